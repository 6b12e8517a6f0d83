"""Changes to an upstream are counted, so that none is made to what was changed meanwhile."""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"


def upgrade() -> None:
    op.add_column("upstream", sa.Column("revision", sa.Integer(), server_default="1", nullable=False))
