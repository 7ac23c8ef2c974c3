"""The Gemini Interactions API."""
