"""What people type: thin commands that parse, call one function, and show what came of it."""
