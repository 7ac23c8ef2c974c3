"""The adapter for OpenAI Agents sessions."""
