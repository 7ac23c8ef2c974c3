"""Spans of runs for OpenTelemetry: what they say, and how they leave. Never in the way of a guard."""
