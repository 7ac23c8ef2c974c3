"""The only HTTP clients: `contract` is the port, `http` what all services share; each other folder is one service."""
