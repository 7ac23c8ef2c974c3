"""One module per command or small family. Heavy imports stand inside the functions that need them."""
