"""When a task is due, and the process that launches it then."""
