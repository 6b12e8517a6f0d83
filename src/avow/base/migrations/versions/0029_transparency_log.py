"""What waits for the transparency log, and what may be read of what is in it."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.create_table(
        "log_entry",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("content", sa.Text(), nullable=True),
        sa.Column("place", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_entry")),
    )
    op.create_index(
        "log_entry_place", "log_entry", ["place"], unique=True, postgresql_where=sa.text("place IS NOT NULL")
    )
    op.create_index("log_entry_waiting", "log_entry", ["id"], postgresql_where=sa.text("place IS NULL"))
