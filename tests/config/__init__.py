"""nightdesk.toml, from the text to the settings."""
