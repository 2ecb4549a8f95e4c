"""Rows become requests: tests of matching and rendering."""
