"""The simulated service as the Gemini Interactions API shows it: routes, validation, bodies and the event stream."""
