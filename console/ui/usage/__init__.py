"""Screen 4: usage by day."""
