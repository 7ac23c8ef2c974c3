"""The only HTTP client. What a provider is stands in `contract`; each provider is a sibling of `interactions`."""
