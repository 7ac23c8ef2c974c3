"""Widgets take values and speak through messages; none of them knows the engine."""
