"""Gaps of which only some ids are missing: how many, and which."""

import sqlalchemy as sa
from alembic import op

from sidecar.store.types import BigId, LongText

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("mih_gaps", sa.Column("missing", BigId, nullable=False, server_default="0"))
    op.add_column("mih_gaps", sa.Column("bits", LongText, nullable=True))
    op.execute("UPDATE mih_gaps SET missing = last_id - first_id + 1")
