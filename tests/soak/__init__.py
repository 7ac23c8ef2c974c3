"""Long and ordinary: what only shows after minutes."""
