"""Tests on every real database."""
