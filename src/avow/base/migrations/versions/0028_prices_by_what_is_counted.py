"""Prices of images, seconds and characters."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    op.add_column("price", sa.Column("counts", sa.Text(), nullable=True))
    op.create_check_constraint(op.f("ck_price_counts"), "price", "counts IN ('images', 'seconds', 'characters')")
