"""Over a real sshd on the loopback: what an operator far away lives with."""
