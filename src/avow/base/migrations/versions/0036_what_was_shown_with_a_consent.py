"""What was shown to somebody who consented, and how they said it."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"


def upgrade() -> None:
    op.add_column("standing", sa.Column("said_how", sa.Text(), nullable=True))
    op.add_column("standing", sa.Column("notice_hash", sa.Text(), nullable=True))
    op.add_column("standing", sa.Column("notice_locale", sa.Text(), nullable=True))
    op.add_column("standing", sa.Column("box", sa.LargeBinary(), nullable=True))
    op.create_check_constraint(
        op.f("ck_standing_how"), "standing", "said_how IN ('account', 'panel', 'request', 'signal', 'lapse')"
    )
