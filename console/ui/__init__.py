"""The console. It shows the state that the engine reports and asks the engine to act; it owns no run."""
