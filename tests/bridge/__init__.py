"""The four verbs of the product, on real databases."""
