"""The only HTTP clients. `contract` is the port, `http` the parts that every service shares, `gemini` one service."""
