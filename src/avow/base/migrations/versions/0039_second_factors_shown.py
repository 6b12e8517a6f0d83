"""When a second factor was shown in a session."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"


def upgrade() -> None:
    op.add_column("session", sa.Column("factor_at", sa.DateTime(timezone=True), nullable=True))
