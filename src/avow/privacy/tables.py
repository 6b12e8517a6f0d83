"""Requests of people about their data, how far an erasure came, and the backups that exist."""

from sqlalchemy import Boolean, CheckConstraint, Column, DateTime, ForeignKey, Index, Integer, LargeBinary, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from avow.catalog import fact_columns, not_personal, personal, store, table

TIME = DateTime(timezone=True)

rights_request = table(
    "rights_request",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("due_at", TIME, nullable=False),
    Column("changed_at", TIME, nullable=False),
    Column("plan", JSONB),
    Column("receipt", LargeBinary),
    Column("token_hash", LargeBinary, nullable=False),
    Column("box", LargeBinary),
    CheckConstraint("kind IN ('access', 'port', 'rectify', 'erase', 'complain')", name="kind"),
    CheckConstraint(
        "state IN ('received', 'verified', 'planned', 'running', 'succeeded', 'refused', 'failed')", name="state"
    ),
    Index("rights_request_of_person", "subject_id", "id"),
    holds=[
        personal("rights", box=["text"]),
        personal(
            "rights",
            clear=["kind", "state", "reason", "due_at", "changed_at", "plan", "receipt", "token_hash"],
            why="the keeper works on it and watches the due date, also when nobody is left who could open a box; states, "
            "times, counts, and a receipt that names nobody",
        ),
    ],
)
"""`since` is when it was received. `reason` is one of our own error codes, never a person's words. `receipt` is the signed
document; whoever has the token of which `token_hash` is the SHA-256 may read it, because an erased person has no account
any more."""

erasure_progress = table(
    "erasure_progress",
    Column("request_id", Uuid, ForeignKey("rights_request.id", ondelete="CASCADE"), primary_key=True),
    Column("step", Text, primary_key=True),
    Column("facts", Integer, nullable=False),
    Column("done_at", TIME),
    holds=[not_personal("how far an erasure came: names of stores, counts and times; gone with the receipt")],
    app="none",
)

backup_folder = table(
    "backup_folder",
    Column("id", Uuid, primary_key=True),
    Column("path", Text, nullable=False),
    Column("made_at", TIME, nullable=False),
    Column("ends_at", TIME, nullable=False),
    Column("reachable", Boolean, nullable=False),
    Index("backup_folder_end", "ends_at"),
    holds=[not_personal("where a backup lies and when it ends; what is in it is ended by the keys and by its own end")],
    app="none",
)
"""A folder is told of every erasure while `ends_at` has not come; one out of reach (`reachable` false) is told later."""

store(
    "backups",
    "outside",
    "folders outside AVOW_HOME",
    why="folders that the operator chose with `avow backup`: sealed rows without their keys, told of every erasure",
)
