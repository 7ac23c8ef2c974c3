"""The words and rules of Nightdesk as values: stdlib only, no I/O, no clock, no await."""
