"""Runs are guarded here: claim, send, follow, stop, settle. Outlives every screen."""
