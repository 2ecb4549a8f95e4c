"""What is watched of Moodle; indexes for statistics."""

import sqlalchemy as sa
from alembic import op

from sidecar.store.types import TABLE_OPTIONS, Name, UtcDateTime, Word

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "mih_watch",
        sa.Column("site", Name, primary_key=True),
        sa.Column("subject", Word, primary_key=True),
        sa.Column("level", Word, nullable=False),
        sa.Column("code", Word, nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("since_at", UtcDateTime(), nullable=False),
        sa.Column("seen_at", UtcDateTime(), nullable=False),
        **TABLE_OPTIONS,
    )
    op.create_index("mih_dlq_created", "mih_dlq", ["created_at", "service"])
    op.drop_index("mih_stats_begins", table_name="mih_stats")
    op.create_index(
        "mih_stats_begins", "mih_stats", ["span", "begins_at", "service", "delivered", "failed", "dead"]
    )
