"""A real HTTP server on loopback that speaks the Interactions API, with fault switches, for demo, drill and tests."""
