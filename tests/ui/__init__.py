"""Tests of the screen: pure functions first, then the app over a double of the engine, then real terminals."""
