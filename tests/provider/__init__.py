"""The HTTP client, proved on a mocked transport, on misbehaving loopback servers and on the simulator."""
