"""Models that look at pictures, and prices of images by their size and quality."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0038"
down_revision = "0037"


def upgrade() -> None:
    op.add_column("model", sa.Column("picture_tokens", sa.Integer(), nullable=True))
    op.create_check_constraint(op.f("ck_model_pictures"), "model", "picture_tokens BETWEEN 1 AND 1000000")
    op.add_column("price", sa.Column("sizes", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
