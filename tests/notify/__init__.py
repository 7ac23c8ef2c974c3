"""Tests of the messages to people who are not at the console."""
