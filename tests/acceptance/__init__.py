"""The real process on real Moodle rows, against real servers."""
