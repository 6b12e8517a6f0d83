"""Tables of the platform itself."""

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, DateTime, Integer, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from avow.catalog import newest, not_personal, store, table

policy_version = table(
    "policy_version",
    Column("version", Integer, primary_key=True),
    Column("hash", Text, nullable=False, unique=True),
    Column("source", Text, nullable=False),
    Column("clauses", JSONB, nullable=False),
    Column("material", Boolean, nullable=False),
    Column("published_at", DateTime(timezone=True), nullable=False),
    Column("effective_at", DateTime(timezone=True), nullable=False),
    Column("in_force_at", DateTime(timezone=True)),
    Column("applied_by", Text, nullable=False),
    Column("approved_by", Text),
    holds=[not_personal("a published text; who applied it is named by a pseudonym of staff")],
    app="read",
    restored=newest("in_force_at", whole=True),
)
"""Never changed but for `in_force_at`, which is set once, when the version takes effect. `source` is the text of the file,
`clauses` what was published of it in each language. `material`: a rule changed, not only a name or a mailbox."""

policy_epoch = table(
    "policy_epoch",
    Column("id", Integer, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("hash", Text, nullable=False, server_default=""),
    Column("leaf", Uuid),
    CheckConstraint("id = 1", name="single"),
    holds=[not_personal("a counter that grows when a rule or a setting that requests are compiled from changes")],
    app="read",
    writer="read",
)
"""`hash` is that of the policy in force: a version's, or, until a change takes effect, of what both versions allow; `leaf` is
the row of the log that says which sentences that policy has."""

policy_floor = table(
    "policy_floor",
    Column("category", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("keeps", JSONB, nullable=False),
    holds=[not_personal("periods of the policy")],
    app="none",
    restored=newest("keeps", whole=True),
)
"""The periods that were in force since facts of a category began to be collected under a version; the earliest end of them
counts."""

purpose_rule = table(
    "purpose_rule",
    Column("category", Text, primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("consent", Boolean, nullable=False),
    holds=[not_personal("what the policy in force lists")],
    app="none",
)
"""Which category serves which purpose now; `consent`: for those only who gave it. Views of sums join it."""

schema_state = table(
    "schema_state",
    Column("id", Integer, primary_key=True),
    Column("hash", Text, nullable=False),
    CheckConstraint("id = 1", name="single"),
    holds=[not_personal("the hash of functions, grants and row policies that are in force")],
    app="none",
)

store("alembic", "database", "public.alembic_version", why="which migrations have run")
store("lock", "path", "avow.lock", why="keeps a second Avow out of this folder; empty")
store("settings", "path", "avow.toml", why="the operator's settings, when they are in a file")
store("postgres", "path", "pg/*", why="the database's files: tables, indexes, write-ahead log")
store("run", "path", "run/*", why="sockets, process ids and money events waiting for the database; ids only")
store(
    *("log", "path", "log/*"),
    why="what went wrong inside, and when: classes of errors, places in the code, routes; nobody's id, address or request. There "
    "is no access log; each file is gone after 30 days",
)
store(
    "mailbox", "outside", "mail/*", categories=["mail"], why="stands for people's mailboxes where no mail relay is set"
)
store(
    "demo", "outside", "demo.json", categories=["credential"], why="the demo person's key and password, handed to them"
)
