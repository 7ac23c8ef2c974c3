"""Tests of the engine with a fake provider and a real store, without a screen and without a network."""
