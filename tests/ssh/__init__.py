"""The console over a real sshd on the loopback interface, as a remote operator uses it."""
