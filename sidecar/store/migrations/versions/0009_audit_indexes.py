"""The audit is searched by object, person and action."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_index("mih_audit_object", "mih_audit", ["object", "action", "id"])
    op.create_index("mih_audit_who", "mih_audit", ["who", "id"])
    op.create_index("mih_audit_action", "mih_audit", ["action", "id"])
