"""A payload that was edited by hand keeps what it was; dead letters are counted and found by their reason."""

import sqlalchemy as sa
from alembic import op

from sidecar.store.types import LongText

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("mih_queue", sa.Column("original", LongText, nullable=True))
    op.create_index("mih_dlq_reason", "mih_dlq", ["reason", "service", "status", "created_at"])
