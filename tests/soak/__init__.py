"""Long runs of ordinary use: leaks and losses that only show after minutes."""
