"""A simulated agent service: an HTTP server on loopback with fault switches, for the demo, the drill and the tests.

`state` holds what really happens (runs, sandboxes, faults, counts) and knows no wire format. `gemini` is its face: the
routes and bodies of the Interactions API. `server` serves both in a thread, `process` in a child process.
"""
