"""The adapter for Anthropic Managed Agents: what it sends, and what it makes of the service's words."""
