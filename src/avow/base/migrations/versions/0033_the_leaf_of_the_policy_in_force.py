"""The leaf of the policy in force."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"


def upgrade() -> None:
    op.add_column("policy_epoch", sa.Column("leaf", sa.Uuid(), nullable=True))
