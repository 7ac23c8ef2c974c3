"""The contract of the provider port, checked for every adapter against its face of the simulator."""
