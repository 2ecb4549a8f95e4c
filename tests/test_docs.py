"""The pages under docs/ pass through here: complete, linked, true where a machine can tell."""
