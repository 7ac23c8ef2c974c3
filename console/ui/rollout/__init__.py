"""Screen 3: the stages of tasks."""
