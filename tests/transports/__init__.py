"""One contract, and every transport has to keep it."""
