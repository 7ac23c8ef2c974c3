"""Spans of runs: what they say, and how they leave whatever the receiver does."""
