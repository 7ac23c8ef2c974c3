"""Widgets that several screens use. They take values and post messages; none of them knows the engine."""
