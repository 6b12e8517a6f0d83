"""What API keys may be used for, when they were last used, and their secret before a rotation."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    for name in ("scopes", "models", "network_digests"):
        op.add_column("api_key", sa.Column(name, sa.ARRAY(sa.Text()), nullable=True))
    op.add_column("api_key", sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("api_key", sa.Column("old_public_id", sa.Text(), nullable=True))
    op.add_column("api_key", sa.Column("old_secret_hmac", sa.LargeBinary(), nullable=True))
    op.add_column("api_key", sa.Column("old_until", sa.DateTime(timezone=True), nullable=True))
    op.create_unique_constraint(op.f("uq_api_key_old_public_id"), "api_key", ["old_public_id"])
