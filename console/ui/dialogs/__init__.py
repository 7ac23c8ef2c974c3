"""One file per screen. Only a screen connects widgets with the engine."""
