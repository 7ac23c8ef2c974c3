"""One run from its claim to its end: launch, monitor, cancel, settle; `supervisor` drives them."""
