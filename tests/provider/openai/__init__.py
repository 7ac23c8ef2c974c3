"""The adapter for OpenAI Agents sessions: its requests, what it reads, and what each answer proves."""
