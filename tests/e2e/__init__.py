"""The installed program on a real terminal, from the launch to the line in the log."""
