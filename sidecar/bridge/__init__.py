"""Events become deliveries here: tail, match, render, dispatch."""
