"""The real engine against a faulty service, in simulated time: thousands of seeded worlds, each checked to its end."""
