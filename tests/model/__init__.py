"""The protocol as an explicit-state model: every interleaving of a few processes is walked, not a sample of them."""
