"""The drill: makes every guard fire against the simulated service."""
