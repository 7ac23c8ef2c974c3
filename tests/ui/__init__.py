"""Tests of the console: pure functions, the app over a fake engine, and real pseudo-terminals."""
