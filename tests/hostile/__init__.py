"""Hostile text on every screen and in every output of a real terminal; secrets that must appear nowhere."""
