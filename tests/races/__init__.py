"""Whole processes race for keys, caps and the kill switch of one state folder."""
