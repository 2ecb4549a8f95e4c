"""Real processes between real servers, harmed on purpose: every committed row arrives, or it is told."""
