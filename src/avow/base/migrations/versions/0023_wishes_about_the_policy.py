"""What staff at the desk want done about the policy."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.create_table(
        "policy_wish",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("plan_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("source", sa.Text()),
        sa.Column("effective_at", sa.DateTime(timezone=True)),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("code", sa.Text()),
        sa.Column("detail", sa.Text()),
        sa.Column("hint", sa.Text()),
        sa.CheckConstraint("kind IN ('plan', 'approve', 'apply')", name=op.f("ck_policy_wish_kind")),
        sa.CheckConstraint("state IN ('waiting', 'done', 'refused')", name=op.f("ck_policy_wish_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_wish")),
    )
    op.create_index("policy_wish_of_plan", "policy_wish", ["plan_id", "id"], unique=False)
