"""What policies remember: a growing cooldown, a window of requests, the next slot, captured payloads."""

import sqlalchemy as sa
from alembic import op

from sidecar.store.types import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for name in ("failed_probes", "window_requests", "window_failures"):
        op.add_column("mih_circuits", sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    for name in ("window_at", "next_slot_at"):
        op.add_column("mih_circuits", sa.Column(name, UtcDateTime(), nullable=True))
    op.add_column("mih_log", sa.Column("request", sa.Text(), nullable=True))
