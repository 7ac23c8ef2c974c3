"""Runs the suites with one bug planted in the program at a time: a suite must find each of its bugs."""
