"""Prices of their own for parts of a request, signed."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("price", sa.Column("cache_write_nano", sa.BigInteger(), nullable=True))
    op.add_column("price", sa.Column("reasoning_nano", sa.BigInteger(), nullable=True))
    op.add_column("price", sa.Column("image_nano", sa.BigInteger(), nullable=True))
    op.add_column("price", sa.Column("audio_nano", sa.BigInteger(), nullable=True))
    op.add_column("price", sa.Column("signature", sa.LargeBinary(), nullable=True))
    op.add_column("usage", sa.Column("cache_write_tokens", sa.Integer(), server_default="0", nullable=False))
    op.add_column("usage", sa.Column("reasoning_tokens", sa.Integer(), server_default="0", nullable=False))
    op.add_column("usage", sa.Column("image_tokens", sa.Integer(), server_default="0", nullable=False))
    op.add_column("usage", sa.Column("audio_tokens", sa.Integer(), server_default="0", nullable=False))
    op.add_column("usage", sa.Column("estimated", sa.Boolean(), server_default="false", nullable=False))
    op.drop_constraint(op.f("ck_price_sign"), "price")
    op.create_check_constraint(
        op.f("ck_price_sign"),
        "price",
        "least(input_nano, cached_nano, output_nano, cache_write_nano, reasoning_nano, image_nano, audio_nano) >= 0",
    )
