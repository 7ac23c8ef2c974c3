"""HTTP exchanges, bounds, errors, event streams and secrets, independent of any one service."""
