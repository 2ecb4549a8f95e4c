"""The tests; every database and broker in them is real."""
