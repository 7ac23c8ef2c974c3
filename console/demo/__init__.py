"""The demo: the real console on the simulated service, with sample tasks and a week of history."""
