"""Privacy requests of every kind with the times of their states, and the copies that are made for them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("rights_request", sa.Column("purpose", sa.Text()))
    op.add_column("rights_request", sa.Column("place", sa.Text()))
    op.add_column("rights_request", sa.Column("times", postgresql.JSONB()))
    op.execute(
        "UPDATE rights_request SET times = jsonb_build_object('received', since) || jsonb_build_object(state, changed_at)"
    )
    op.alter_column("rights_request", "times", nullable=False)
    op.drop_constraint(op.f("ck_rights_request_kind"), "rights_request", type_="check")
    op.create_check_constraint(
        op.f("ck_rights_request_kind"),
        "rights_request",
        "kind IN ('access', 'port', 'rectify', 'erase', 'restrict', 'object', 'withdraw', 'complain')",
    )
    op.create_table(
        "copy_part",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True)),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("store", sa.Text(), nullable=False),
        sa.Column("facts", sa.Integer(), nullable=False),
        sa.Column("last", postgresql.JSONB()),
        sa.Column("box", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"], ["rights_request.id"], name=op.f("fk_copy_part_request_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_copy_part")),
        sa.UniqueConstraint("request_id", "number", name=op.f("uq_copy_part_request_id_number")),
    )
    for column in ("ends_at", "subject_id"):
        op.create_index(op.f(f"ix_copy_part_{column}"), "copy_part", [column])
