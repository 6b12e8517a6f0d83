"""Limits of API keys, and what is used of them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    for name in ("requests_per_min", "tokens_per_min", "budget_day_nano", "budget_month_nano", "budget_total_nano"):
        op.add_column("api_key", sa.Column(name, sa.BigInteger(), nullable=True))
    op.add_column("wallet_hold", sa.Column("tokens_max", sa.Integer(), nullable=False, server_default="0"))
    op.alter_column("wallet_hold", "tokens_max", server_default=None)
    op.add_column("wallet_hold", sa.Column("counted_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "key_use",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("day_nano", sa.BigInteger(), nullable=False),
        sa.Column("month_nano", sa.BigInteger(), nullable=False),
        sa.Column("total_nano", sa.BigInteger(), nullable=False),
        sa.Column("held_nano", sa.BigInteger(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_key_use")),
        postgresql_with={"fillfactor": 40},
    )
    op.create_index(op.f("ix_key_use_ends_at"), "key_use", ["ends_at"], unique=False)
    op.create_index(op.f("ix_key_use_subject_id"), "key_use", ["subject_id"], unique=False)
