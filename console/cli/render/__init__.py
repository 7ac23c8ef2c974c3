"""Turns values of the engine into the text and the JSON that commands print."""
