"""A campus to watch: Moodle's tables in SQLite, three services, and the sidecar between them."""
