"""Files of requests and batches of them."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"


def _fact() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=False),
    )


def _made(name: str, *columns: sa.Column[Any] | sa.Constraint) -> None:
    box = sa.Column("box", sa.LargeBinary(), nullable=False)
    op.create_table(name, *_fact(), *columns, box, sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")))
    for column in ("ends_at", "subject_id"):
        op.create_index(op.f(f"ix_{name}_{column}"), name, [column])


def upgrade() -> None:
    op.drop_constraint(op.f("ck_filter_decision_stage"), "filter_decision")
    stages = "stage IN ('prompt', 'image', 'upload', 'output')"
    op.create_check_constraint(op.f("ck_filter_decision_stage"), "filter_decision", stages)
    _made(
        "upload",
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
    )
    _made(
        "upload_part",
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
    )
    op.create_index(op.f("ix_upload_part_upload_id_number"), "upload_part", ["upload_id", "number"], unique=True)
    _made(
        "batch",
        sa.Column("key_id", sa.Uuid(), nullable=False),
        sa.Column("upload_id", sa.Uuid(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('validating', 'in_progress', 'cancelling', 'completed', 'failed', 'expired', 'cancelled')",
            name=op.f("ck_batch_state"),
        ),
    )
    op.create_index("ix_batch_open", "batch", ["lease_until"], postgresql_where=sa.text("ended_at IS NULL"))
    _made(
        "batch_line",
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('waiting', 'done', 'failed')", name=op.f("ck_batch_line_state")),
    )
    op.create_index(op.f("ix_batch_line_batch_id_state_number"), "batch_line", ["batch_id", "state", "number"])
