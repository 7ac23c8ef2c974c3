"""Every way in which an answer of the service can go wrong, against the real engine and the real client."""
