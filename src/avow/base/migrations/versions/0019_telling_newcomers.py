"""Who is told of a change is looked for again until its date, so nothing remembers how far telling came."""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.drop_column("policy_plan", "told_after")
