"""Messages to people who are not at the console: which, when, and how they leave. Never in the way of a guard."""
