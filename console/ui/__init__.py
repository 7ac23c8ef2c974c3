"""The screen. It shows what the engine says and asks the engine to act; it owns no run."""
