"""The provider for Anthropic Managed Agents: a run is a session that is made idle and started by one message."""
