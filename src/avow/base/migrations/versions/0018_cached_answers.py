"""Answers that may be given again, sealed, with their end."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "cached_answer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True)),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("box", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cached_answer")),
        sa.UniqueConstraint("digest", name=op.f("uq_cached_answer_digest")),
    )
    op.create_index(op.f("ix_cached_answer_ends_at"), "cached_answer", ["ends_at"])
    op.create_index(op.f("ix_cached_answer_subject_id"), "cached_answer", ["subject_id"])
    op.create_index(op.f("ix_cached_answer_tenant_id_since"), "cached_answer", ["tenant_id", "since"])
