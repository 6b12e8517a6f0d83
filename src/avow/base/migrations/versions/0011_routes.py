"""A model may run at several upstreams, and of an upstream it is declared what it does with data."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    for column in (
        sa.Column("region", sa.Text()),
        sa.Column("trains", sa.Boolean()),
        sa.Column("retention_h", sa.Integer()),
        sa.Column("contract", sa.Text()),
        sa.Column("evidence_until", sa.DateTime(timezone=True)),
        sa.Column("state", sa.Text(), server_default="active", nullable=False),
    ):
        op.add_column("upstream", column)
    op.create_check_constraint(op.f("ck_upstream_state"), "upstream", "state IN ('active', 'draining')")
    op.create_check_constraint(op.f("ck_upstream_retention"), "upstream", "retention_h >= 0")
    # Until now an upstream of this machine was named like a party outside.
    op.execute(
        "UPDATE upstream SET processor = NULL"
        " WHERE processor = name AND base_url ~ '^https?://(localhost|127[.][0-9.]+|[[]::1[]])(:|/|$)'"
    )
    _routes()


def _routes() -> None:
    op.add_column("model", sa.Column("routing", sa.Text(), server_default="finish", nullable=False))
    op.create_check_constraint(op.f("ck_model_routing"), "model", "routing IN ('finish', 'weight', 'price')")
    op.create_table(
        "route",
        sa.Column("model_id", sa.Text(), nullable=False),
        sa.Column("upstream_id", sa.Uuid(), nullable=False),
        sa.Column("their_name", sa.Text(), nullable=False),
        sa.Column("rank", sa.Integer(), server_default="0", nullable=False),
        sa.Column("weight", sa.Integer(), server_default="1", nullable=False),
        sa.Column("cost_nano", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("rank >= 0 AND weight >= 1 AND cost_nano >= 0", name=op.f("ck_route_numbers")),
        sa.ForeignKeyConstraint(["model_id"], ["model.id"], name=op.f("fk_route_model_id")),
        sa.ForeignKeyConstraint(["upstream_id"], ["upstream.id"], name=op.f("fk_route_upstream_id")),
        sa.PrimaryKeyConstraint("model_id", "upstream_id", name=op.f("pk_route")),
    )
    op.execute("INSERT INTO route (model_id, upstream_id, their_name) SELECT id, upstream_id, their_name FROM model")
    op.drop_column("model", "upstream_id")
    op.drop_column("model", "their_name")
