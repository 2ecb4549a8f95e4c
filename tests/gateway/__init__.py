"""Direct calls through the gateway."""
