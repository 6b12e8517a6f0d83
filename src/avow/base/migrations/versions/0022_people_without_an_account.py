"""Requests of people without an account, and how an invitation is found for them."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("invitation", sa.Column("email_index", sa.LargeBinary()))
    op.create_index(op.f("ix_invitation_email_index"), "invitation", ["email_index"], unique=False)
    op.create_table(
        "outside_ask",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True)),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("box", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outside_ask")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_outside_ask_token_hash")),
    )
    op.create_index(op.f("ix_outside_ask_ends_at"), "outside_ask", ["ends_at"], unique=False)
    op.create_index(op.f("ix_outside_ask_subject_id"), "outside_ask", ["subject_id"], unique=False)
