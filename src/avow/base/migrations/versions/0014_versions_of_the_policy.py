"""Versions, plans and floors of the policy; what people were told of and what they accepted."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    _versions()
    _facts(
        "acceptance",
        sa.Column("accepted_version", sa.Integer(), nullable=False),
        sa.Column("accepted_terms", sa.Integer()),
        sa.Column("accepted_how", sa.Text(), nullable=False),
        sa.CheckConstraint("accepted_how IN ('use', 'explicit')", name=op.f("ck_acceptance_how")),
    )
    op.create_index("acceptance_once", "acceptance", ["subject_id", "accepted_version"], unique=True)
    _facts(
        "notice",
        sa.Column("notice", sa.Text(), nullable=False),
        sa.Column("notice_version", sa.Integer(), nullable=False),
        sa.Column("in_banner", sa.Boolean(), nullable=False),
        _time("dismissed_at", nullable=True),
    )
    op.create_index("notice_of_person", "notice", ["subject_id", "id"])
    op.create_table(
        "policy_floor",
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        _json("keeps"),
        sa.PrimaryKeyConstraint("category", "version", name=op.f("pk_policy_floor")),
    )
    _plans()


def _versions() -> None:
    """Until now a version came into force when it was loaded, and its sentences were not kept apart from its text."""
    op.alter_column("policy_version", "applied_at", new_column_name="published_at")
    op.add_column("policy_version", _json("clauses", default="[]"))
    op.add_column("policy_version", sa.Column("material", sa.Boolean(), nullable=False, server_default="true"))
    op.add_column("policy_version", sa.Column("applied_by", sa.Text(), nullable=False, server_default="system:start"))
    op.add_column("policy_version", sa.Column("approved_by", sa.Text()))
    for name in ("effective_at", "in_force_at"):
        op.add_column("policy_version", _time(name, nullable=True))
    op.execute("UPDATE policy_version SET effective_at = published_at, in_force_at = published_at")
    op.alter_column("policy_version", "effective_at", nullable=False)
    op.add_column("policy_epoch", sa.Column("hash", sa.Text(), nullable=False, server_default=""))
    op.execute(
        "UPDATE policy_epoch SET hash = (SELECT hash FROM policy_version ORDER BY version DESC LIMIT 1)"
        " WHERE EXISTS (SELECT FROM policy_version)"
    )
    for column in ("clauses", "material", "applied_by"):
        op.alter_column("policy_version", column, server_default=None)


def _plans() -> None:
    op.create_table(
        "policy_plan",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        _time("made_at"),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("base_hash", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        _time("effective_at", nullable=True),
        _json("found"),
        sa.Column("effects_hash", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.Text()),
        _time("applied_at", nullable=True),
        _json("done"),
        _time("shortened_at", nullable=True),
        sa.Column("told_after", sa.Uuid()),
        _time("told_at", nullable=True),
        sa.CheckConstraint("state IN ('made', 'applied')", name=op.f("ck_policy_plan_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_plan")),
    )


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


def _json(name: str, default: str | None = None) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(), nullable=False, server_default=default)
