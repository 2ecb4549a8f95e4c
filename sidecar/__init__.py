"""Moodle Integration Hub: reads the log of a Moodle and delivers its events to other systems."""

__version__ = "0.1.0"
