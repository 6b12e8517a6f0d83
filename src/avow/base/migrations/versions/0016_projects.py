"""Projects of an organisation; a key can belong to one, and stops while it is archived."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "project",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True)),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        sa.Column("keep_h", sa.Integer()),
        sa.Column("archived_at", sa.DateTime(timezone=True)),
        sa.Column("box", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project")),
    )
    op.create_index(op.f("ix_project_ends_at"), "project", ["ends_at"])
    op.create_index(op.f("ix_project_subject_id"), "project", ["subject_id"])
    op.create_index("project_of_tenant", "project", ["tenant_id", "id"])
    op.add_column("api_key", sa.Column("project_id", sa.Uuid()))
    op.create_index(op.f("ix_api_key_project_id"), "api_key", ["project_id"])
    op.create_foreign_key(
        op.f("fk_api_key_project_id"), "api_key", "project", ["project_id"], ["id"], ondelete="SET NULL"
    )
    op.drop_constraint(op.f("ck_api_key_state"), "api_key")
    op.create_check_constraint(op.f("ck_api_key_state"), "api_key", "state IN ('active', 'archived', 'revoked')")
