"""Loading nightdesk.toml, from its text to the settings."""
