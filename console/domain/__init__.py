"""The vocabulary and rules of Nightdesk as plain values: standard library only, no I/O, no clock, no async code."""
