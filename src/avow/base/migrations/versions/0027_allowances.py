"""What several keys may use together, and how many requests of a key may run at once."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.create_table(
        "allowance",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("requests_per_min", sa.BigInteger(), nullable=True),
        sa.Column("tokens_per_min", sa.BigInteger(), nullable=True),
        sa.Column("parallel", sa.BigInteger(), nullable=True),
        sa.Column("budget_day_nano", sa.BigInteger(), nullable=True),
        sa.Column("budget_month_nano", sa.BigInteger(), nullable=True),
        sa.Column("budget_total_nano", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind IN ('project', 'organisation', 'model')", name=op.f("ck_allowance_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_allowance")),
    )
    op.create_table(
        "allowance_use",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("allowance_id", sa.Uuid(), nullable=False),
        sa.Column("minute", sa.DateTime(timezone=True), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("day_nano", sa.BigInteger(), nullable=False),
        sa.Column("month_nano", sa.BigInteger(), nullable=False),
        sa.Column("total_nano", sa.BigInteger(), nullable=False),
        sa.Column("held_nano", sa.BigInteger(), nullable=False),
        sa.Column("running", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_allowance_use")),
        postgresql_with={"fillfactor": 40},
    )
    op.add_column("api_key", sa.Column("parallel", sa.BigInteger(), nullable=True))
    op.add_column("key_use", sa.Column("running", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("wallet_hold", sa.Column("shared", sa.ARRAY(sa.Uuid()), nullable=True))
    op.add_column("wallet_hold", sa.Column("shared_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE key_use u SET running = (SELECT count(*) FROM wallet_hold h WHERE h.key_id = u.id AND h.counted_at IS NOT NULL)"
    )
