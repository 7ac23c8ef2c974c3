"""`/` on every screen: the line to type into, and the words of the filters."""
