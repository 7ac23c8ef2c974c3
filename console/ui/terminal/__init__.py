"""The terminal: driver, input, output by difference, and what a terminal is capable of."""
