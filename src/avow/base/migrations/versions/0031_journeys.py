"""The steps of the canaries' journeys."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.create_table(
        "canary_step",
        sa.Column("journey", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("figure", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('going', 'passed', 'failed', 'unproved', 'skipped')", name=op.f("ck_canary_step_state")
        ),
        sa.PrimaryKeyConstraint("journey", "number", name=op.f("pk_canary_step")),
    )
