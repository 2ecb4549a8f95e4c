"""What Alembic runs: on the connection that `sidecar.store.migrate` hands over, or offline as SQL text."""

from alembic import context

from sidecar.store.tables import metadata

VERSION_TABLE = "mih_version"

connection = context.config.attributes.get("connection")
if connection is None:
    context.configure(
        dialect_name=context.config.attributes["dialect"],
        output_buffer=context.config.attributes["output"],
        target_metadata=metadata,
        version_table=VERSION_TABLE,
        as_sql=True,
        literal_binds=True,
    )
else:
    context.configure(connection=connection, target_metadata=metadata, version_table=VERSION_TABLE)

with context.begin_transaction():
    context.run_migrations()
