"""The wire format of Anthropic Managed Agents: sessions, their events and the templates that they are made from."""
