"""The state that screens show and how it is kept up to date, without any widget."""
