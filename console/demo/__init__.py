"""The demo: the real console on the simulated service, with sample tasks and a month of history."""
