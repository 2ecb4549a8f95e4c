"""The HTTP API, over a real port, with real stores and a real receiver behind it."""
