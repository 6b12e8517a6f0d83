"""Upstreams that pass requests on to others."""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.drop_constraint(op.f("ck_upstream_kind"), "upstream", type_="check")
    op.create_check_constraint(
        op.f("ck_upstream_kind"),
        "upstream",
        "kind IN ('openai', 'compatible', 'openrouter', 'azure', 'anthropic', 'engine')",
    )
