"""The truth on disk. The only SQL of the program stands here."""
