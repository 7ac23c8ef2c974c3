"""Tests of the drill against a service."""
