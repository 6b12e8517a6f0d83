"""Passwords can be reset by mail, and a session says when its person last showed who they are."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "reset",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("token_hmac", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reset")),
        sa.UniqueConstraint("token_hmac", name=op.f("uq_reset_token_hmac")),
    )
    op.create_index(op.f("ix_reset_ends_at"), "reset", ["ends_at"], unique=False)
    op.create_index(op.f("ix_reset_subject_id"), "reset", ["subject_id"], unique=False)
    op.add_column("session", sa.Column("proved_at", sa.DateTime(timezone=True), nullable=True))
