"""Metrics in the text format of Prometheus: what they are, and the address at which `serve` shows them."""
