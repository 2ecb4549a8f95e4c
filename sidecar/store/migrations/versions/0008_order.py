"""Deliveries of one key leave in order; old ones expire; a backlog drains at a rate."""

import sqlalchemy as sa
from alembic import op

from sidecar.store.types import UtcDateTime, Word

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("mih_queue", sa.Column("order_key", Word, nullable=True))
    op.add_column("mih_queue", sa.Column("expires_at", UtcDateTime(), nullable=True))
    _index_of("order_key", "mih_queue_order", ["order_key", "state", "log_id"])
    _index_of("expires_at", "mih_queue_expires", ["expires_at"])
    for name in ("drain_before", "next_drain_at"):
        op.add_column("mih_circuits", sa.Column(name, UtcDateTime(), nullable=True))


def _index_of(column: str, name: str, columns: list[str]) -> None:
    """Index the rows that have a value, where the database can leave out the others."""
    some = sa.text(f"{column} IS NOT NULL")
    op.create_index(name, "mih_queue", columns, postgresql_where=some, sqlite_where=some)
