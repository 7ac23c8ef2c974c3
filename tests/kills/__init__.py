"""Real engines in processes of their own that are killed at named steps, again and again, and must lose nothing."""
