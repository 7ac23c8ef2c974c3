"""The drill against the real service: every guard, with the key of the user, at a bounded cost."""
