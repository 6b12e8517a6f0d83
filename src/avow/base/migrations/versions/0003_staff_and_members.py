"""What somebody was when they looked or acted, and administrative acts on the same record."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("audit", sa.Column("act", sa.Text()))
    # What stands there already was opened by people and by parts of the platform: there was no staff yet.
    op.add_column("audit", sa.Column("role", sa.Text()))
    op.execute(
        "UPDATE audit SET role = CASE WHEN actor LIKE 'system:%' THEN split_part(actor, ':', 2) ELSE 'subject' END"
    )
    op.alter_column("audit", "role", nullable=False)
    op.drop_constraint(op.f("ck_audit_outcome"), "audit", type_="check")
    op.create_check_constraint(op.f("ck_audit_outcome"), "audit", "outcome IN ('opened', 'refused', 'done')")
