"""Moodle's rows without a database: decoding, masking, names."""
