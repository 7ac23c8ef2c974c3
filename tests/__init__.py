"""Tests mirror the tree of `console`; each says what it proves."""
