"""The engine without a screen and without a network: a fake provider at the port, the real store below."""
