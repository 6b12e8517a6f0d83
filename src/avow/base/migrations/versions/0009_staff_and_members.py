"""Roles in an organisation, staff, invitations; and the record says what somebody was when they looked or acted."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    _record()
    # Until now everybody had a tenant of their own.
    op.add_column("person", sa.Column("role", sa.Text()))
    op.execute("UPDATE person SET role = 'owner'")
    op.alter_column("person", "role", nullable=False)
    op.create_check_constraint(
        op.f("ck_person_role"), "person", "role IN ('owner', 'admin', 'member', 'viewer', 'former')"
    )
    op.create_index("person_of_tenant", "person", ["tenant_id"])
    _facts("staff", sa.Column("role", sa.Text(), nullable=False), _time("trained_until"), _box())
    _facts(
        "invitation",
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("token_hmac", sa.LargeBinary(), nullable=False),
        _box(),
        sa.CheckConstraint("role IN ('owner', 'admin', 'member', 'viewer')", name=op.f("ck_invitation_role")),
        sa.UniqueConstraint("token_hmac", name=op.f("uq_invitation_token_hmac")),
    )


def _record() -> None:
    op.add_column("audit", sa.Column("act", sa.Text()))
    # What stands there already was opened by people and by parts of the platform: there was no staff yet.
    op.add_column("audit", sa.Column("role", sa.Text()))
    op.execute(
        "UPDATE audit SET role = CASE WHEN actor LIKE 'system:%' THEN split_part(actor, ':', 2) ELSE 'subject' END"
    )
    op.alter_column("audit", "role", nullable=False)
    op.drop_constraint(op.f("ck_audit_outcome"), "audit", type_="check")
    op.create_check_constraint(op.f("ck_audit_outcome"), "audit", "outcome IN ('opened', 'refused', 'done')")


def _facts(name: str, *columns: sa.schema.SchemaItem) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        _time("since"),
        _time("ends_at", nullable=True),
        sa.Column("policy_version", sa.Integer(), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
    )
    for column in ("ends_at", "subject_id"):
        op.create_index(op.f(f"ix_{name}_{column}"), name, [column])


def _time(name: str, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _box() -> sa.Column[bytes]:
    return sa.Column("box", sa.LargeBinary(), nullable=False)
