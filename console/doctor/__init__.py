"""The checks of `nightdesk doctor`: what would stop a launch."""
