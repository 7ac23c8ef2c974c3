"""Whole processes against one state folder, at one instant."""
