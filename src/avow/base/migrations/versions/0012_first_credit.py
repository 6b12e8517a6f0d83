"""What a new tenant starts with is the operator's to say."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "first_credit",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_first_credit_single")),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_first_credit_amount")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_first_credit")),
    )
