"""What a restore may not take back, and the end to which the record holds each of its lines."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.create_table(
        "newest_noted",
        sa.Column("number", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("of_table", sa.Text(), nullable=False),
        sa.Column("key", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_newest_noted")),
    )
    op.create_table(
        "newest_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("file", sa.Uuid(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1 AND told <= reserved", name=op.f("ck_newest_state_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_newest_state")),
    )
    # A chain from before holds its lines to no end; begun anew, it does (avow record anchor).
    op.execute("ALTER TABLE audit_link ADD COLUMN until BYTEA NOT NULL DEFAULT ''")
    op.execute("ALTER TABLE audit_link ALTER COLUMN until DROP DEFAULT")
