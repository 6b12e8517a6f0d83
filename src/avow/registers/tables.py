"""The register of disclosures, documents that stand behind claims with what became of them, and incidents."""

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, Index, Integer, LargeBinary, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from avow.catalog import fact_columns, newest, not_personal, personal, store, table

TIME = DateTime(timezone=True)

document = table(
    "document",
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, index=True),
    Column("issuer", Text, nullable=False),
    Column("sha256", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("valid_from", TIME, nullable=False),
    Column("valid_until", TIME, nullable=False),
    Column("added_at", TIME, nullable=False),
    Column("state", Text, nullable=False),
    Column("told", Text, nullable=False),
    CheckConstraint("state IN ('held', 'missing', 'changed', 'withdrawn')", name="state"),
    CheckConstraint("valid_from < valid_until", name="validity"),
    holds=[not_personal("a document about the organisation: its name in the policy, digest, issuer and dates")],
    app="read",
    restored=newest("state", whole=True),
)
"""A file in `AVOW_HOME/evidence`, sealed, under the id. `state` is that of the file at the last look; `told` what the history
was told last: a state, or what the dates made of it (`early`, `valid`, `lapsed`). A row is never changed otherwise."""

document_event = table(
    "document_event",
    Column("id", Uuid, primary_key=True),
    Column("document_id", Uuid, ForeignKey("document.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("at", TIME, nullable=False),
    Column("became", Text, nullable=False),
    holds=[not_personal("when a document became valid, ran out or was found changed")],
    app="read",
    restored=newest(whole=True),
)
"""The history of what documents let stand in the policy, published with the changes of the text."""

incident = table(
    "incident",
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("part", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("first_at", TIME, nullable=False),
    Column("last_at", TIME, nullable=False),
    Column("count", Integer, nullable=False),
    Column("closed_at", TIME),
    Column("closed_by", Text),
    CheckConstraint("kind IN ('egress', 'evidence')", name="kind"),
    Index("incident_open", "kind", "part", "about", unique=True, postgresql_where="closed_at IS NULL"),
    holds=[
        not_personal("a kind, a part of the platform, the name of a host or document; who closed it, by a pseudonym")
    ],
    app="read",
    restored=newest("closed_at", whole=True),
)
"""One row for each thing that is wrong, until somebody closes it; what happens again meanwhile is counted."""

register_entry = table(
    "register_entry",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("name", Text, nullable=False),
    Column("host", Text),
    Column("basis", Text, nullable=False),
    Column("refusal", Text),
    Column("terms", JSONB, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("silent_until", TIME),
    Column("box", LargeBinary),
    Index("register_entry_name", "name", unique=True, postgresql_where="refusal IS NULL"),
    Index("register_entry_host", "host", postgresql_where="host IS NOT NULL AND refusal IS NULL"),
    holds=[
        personal("rights", box=["reason", "process"]),
        personal(
            "rights",
            clear=["name", "host", "basis", "refusal", "terms", "made_by", "silent_until"],
            why="asked before every connection; names of companies, words of the policy and dates, no word of a person",
            secret=["made_by"],
        ),
    ],
    app="append",
    restored=newest(whole=True),
)
"""An entry (`entries.Entry` in `terms`), never changed. One about nobody in particular belongs to the platform, one about a
person to them. `refusal`: the rule that it broke when it was made; such a row is the record that it was refused."""

register_event = table(
    "register_event",
    Column("id", Uuid, primary_key=True),
    Column("entry_id", Uuid, ForeignKey("register_entry.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", TIME, nullable=False),
    Column("facts", Integer),
    CheckConstraint("kind IN ('approved', 'ended', 'sent')", name="kind"),
    holds=[not_personal("what became of an entry, when, by which pseudonym of staff, and of how many facts; no more")],
    app="append",
    restored=newest(whole=True),
)

egress_flow = table(
    "egress_flow",
    Column("part", Text, primary_key=True),
    Column("host", Text, primary_key=True),
    Column("entry", Text, nullable=False),
    Column("first_at", TIME, nullable=False),
    Column("last_at", TIME, nullable=False),
    holds=[not_personal("which part of the platform spoke with which host, under which entry, first and last")],
    app="read",
)
"""What was observed: written before a connection, at most once a minute for each part and host."""

store(
    "documents",
    "path",
    "evidence/*",
    why="documents of the organisation that stand behind claims, sealed with a secret of the ring; in no backup",
)
