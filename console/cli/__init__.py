"""The roof: parses, builds the parts, runs them. The only constructor of things."""
