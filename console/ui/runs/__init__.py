"""Screen 1: live and recent runs, and one run in full."""
