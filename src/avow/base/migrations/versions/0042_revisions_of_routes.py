"""Changes to a route are counted, so that none is made to what was changed meanwhile."""

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"


def upgrade() -> None:
    op.add_column("route", sa.Column("revision", sa.Integer(), server_default="1", nullable=False))
