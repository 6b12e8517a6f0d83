"""What filters decided: kinds and counts, no text."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_table(
        "filter_decision",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True)),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("filter", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.CheckConstraint("stage IN ('prompt', 'output')", name=op.f("ck_filter_decision_stage")),
        sa.CheckConstraint("action IN ('block', 'redact', 'flag')", name=op.f("ck_filter_decision_action")),
        sa.CheckConstraint("state IN ('stands', 'appealed')", name=op.f("ck_filter_decision_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_filter_decision")),
    )
    op.create_index(op.f("ix_filter_decision_ends_at"), "filter_decision", ["ends_at"])
    op.create_index(op.f("ix_filter_decision_subject_id"), "filter_decision", ["subject_id"])
