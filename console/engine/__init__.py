"""The engine: launches, supervises, stops and settles runs, independent of any screen."""
