"""The HTTP API: what people and programs ask of a running sidecar, over its own port."""
