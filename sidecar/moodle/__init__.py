"""Moodle's database, read only: SELECT by bounded ranges of the primary key, never a write, never a lock."""
