"""A process says what keeps it from its work."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("mih_replicas", sa.Column("problem", sa.Text, nullable=True))
