"""Idempotency keys, and what a client pays that leaves."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.create_table(
        "claim",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("charged", sa.BigInteger(), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claim")),
    )
    op.create_index(op.f("ix_claim_ends_at"), "claim", ["ends_at"], unique=False)
    op.create_index(op.f("ix_claim_subject_id"), "claim", ["subject_id"], unique=False)
    op.add_column("upstream", sa.Column("leaving", sa.Text(), server_default="estimate", nullable=False))
    op.create_check_constraint(op.f("ck_upstream_leaving"), "upstream", "leaving IN ('estimate', 'drain', 'unbilled')")
