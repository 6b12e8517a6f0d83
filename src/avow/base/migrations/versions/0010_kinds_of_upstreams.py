"""Upstreams of more kinds than one."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.drop_constraint(op.f("ck_upstream_kind"), "upstream", type_="check")
    op.create_check_constraint(
        op.f("ck_upstream_kind"), "upstream", "kind IN ('openai', 'compatible', 'azure', 'anthropic', 'engine')"
    )
