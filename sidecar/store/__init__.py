"""The sidecar's own tables: engine, migrations and one module per table. The caller opens the transaction."""
