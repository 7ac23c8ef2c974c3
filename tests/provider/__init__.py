"""The HTTP client, tested on a mocked transport, on misbehaving loopback servers and on the simulator."""
