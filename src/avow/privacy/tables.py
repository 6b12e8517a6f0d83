"""Requests of people about their data, copies made for them, how far an erasure came, and the backups that exist."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from avow.catalog import fact_columns, never, newest, not_personal, personal, store, table

TIME = DateTime(timezone=True)

rights_request = table(
    "rights_request",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("kind", Text, nullable=False),
    Column("purpose", Text),
    Column("place", Text),
    Column("state", Text, nullable=False),
    Column("times", JSONB, nullable=False),
    Column("reason", Text),
    Column("due_at", TIME, nullable=False),
    Column("changed_at", TIME, nullable=False),
    Column("plan", JSONB),
    Column("receipt", LargeBinary),
    Column("token_hash", LargeBinary, nullable=False),
    Column("box", LargeBinary),
    CheckConstraint(
        "kind IN ('access', 'port', 'rectify', 'erase', 'restrict', 'object', 'withdraw', 'complain')", name="kind"
    ),
    CheckConstraint(
        "state IN ('received', 'verified', 'planned', 'running', 'succeeded', 'refused', 'failed')", name="state"
    ),
    Index("rights_request_of_person", "subject_id", "id"),
    holds=[
        personal("rights", box=["text", "answer", "email"]),
        personal(
            "rights",
            clear=[
                *("kind", "purpose", "place", "state", "times", "reason", "due_at", "changed_at"),
                *("plan", "receipt", "token_hash"),
            ],
            why="the keeper works on it and watches the due date, also when nobody is left who could open a box; words of "
            "the policy, a country, states, times, counts, and a receipt that names nobody",
            secret=["token_hash"],
        ),
    ],
    restored=newest("state", "due_at", "reason", "receipt", "box", whole=True),
)
"""`since` is when it was received; `times` maps each state that it was in to when that began, `place` is where the person
says to live, for the due date, and `purpose` what an objection or a withdrawal is about. `reason` is one of our own error
codes, never a person's words. `receipt` is the signed document; whoever has the token of which `token_hash` is the SHA-256
may read it, because an erased person has no account any more. Requests of people without an account belong to the platform
and to an id of their own; the `email` in their box is where the answer goes."""

outside_ask = table(
    "outside_ask",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("box", LargeBinary, nullable=False),
    holds=[
        personal("rights", box=["email", "kind", "text", "place"]),
        personal(
            "rights", clear=["token_hash"], why="a digest of the token that the mail carries", secret=["token_hash"]
        ),
    ],
    restored=never(),
)
"""What somebody without an account asked, until they have shown that the address is theirs: a day. It belongs to the
platform, for whoever typed the address may be anybody."""

copy_part = table(
    "copy_part",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("request_id", Uuid, ForeignKey("rights_request.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("store", Text, nullable=False),
    Column("facts", Integer, nullable=False),
    Column("last", JSONB),
    Column("box", LargeBinary, nullable=False),
    UniqueConstraint("request_id", "number"),
    holds=[
        personal("copy", box=["content"]),
        personal(
            "copy",
            clear=["request_id", "number", "store", "facts", "last"],
            why="says how far the copy has come, so that it goes on after a kill: names of stores, ids and counts",
        ),
    ],
)
"""One piece of a copy of somebody's data: facts of one store. `last` is the key of its last fact, null behind the store's
end. All pieces of a copy end together; they go as soon as the copy was fetched."""

erasure_progress = table(
    "erasure_progress",
    Column("request_id", Uuid, ForeignKey("rights_request.id", ondelete="CASCADE"), primary_key=True),
    Column("step", Text, primary_key=True),
    Column("facts", Integer, nullable=False),
    Column("done_at", TIME),
    holds=[not_personal("how far an erasure came: names of stores, counts and times; gone with the receipt")],
    app="none",
)

acceptance = table(
    "acceptance",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("accepted_version", Integer, nullable=False),
    Column("accepted_terms", Integer),
    Column("accepted_how", Text, nullable=False),
    CheckConstraint("accepted_how IN ('use', 'explicit')", name="how"),
    Index("acceptance_once", "subject_id", "accepted_version", unique=True),
    holds=[
        personal(
            "consent",
            clear=["accepted_version", "accepted_terms", "accepted_how"],
            why="asked at each use of the platform: whether the policy in force was accepted; numbers and a word",
        )
    ],
    app="append",
)
"""That somebody accepted a version of the policy, and of the terms where the policy asks for it: at `since`, by clicking or
by use. It is no consent: nothing that asks for consent ever reads it."""

notice = table(
    "notice",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("notice", Text, nullable=False),
    Column("notice_version", Integer, nullable=False),
    Column("in_banner", Boolean, nullable=False),
    Column("dismissed_at", TIME),
    Index("notice_of_person", "subject_id", "id"),
    holds=[
        personal(
            "account",
            clear=["notice", "notice_version", "in_banner", "dismissed_at"],
            why="the dashboard shows it until it is dismissed; kinds of notice, numbers and times",
        )
    ],
)
"""That somebody was told of a change: one row for each person and change, written with the mail about it. `id` follows from
both, so that telling twice tells once."""

policy_plan = table(
    "policy_plan",
    Column("id", Uuid, primary_key=True),
    Column("state", Text, nullable=False),
    Column("made_at", TIME, nullable=False),
    Column("made_by", Text, nullable=False),
    Column("base_hash", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("effective_at", TIME),
    Column("found", JSONB, nullable=False),
    Column("effects_hash", Text, nullable=False),
    Column("approved_by", Text),
    Column("applied_at", TIME),
    Column("done", JSONB, nullable=False),
    Column("shortened_at", TIME),
    Column("told_at", TIME),
    CheckConstraint("state IN ('made', 'applied')", name="state"),
    holds=[
        not_personal("a change of the policy: texts, counts and times; who made it is named by a pseudonym of staff")
    ],
    app="read",
    restored=newest("state", "shortened_at", "told_at", whole=True),
)
"""`found` is what the plan found, `effects_hash` the digest of the rules and kinds of effect in it; `effective_at` null:
as soon as it is applied. `done` counts what was ended where, in the transactions that do it. `told_at` is when
everybody who was there had been told."""

policy_wish = table(
    "policy_wish",
    Column("id", Uuid, primary_key=True),
    Column("plan_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", TIME, nullable=False),
    Column("source", Text),
    Column("effective_at", TIME),
    Column("state", Text, nullable=False),
    Column("code", Text),
    Column("detail", Text),
    Column("hint", Text),
    CheckConstraint("kind IN ('plan', 'approve', 'apply')", name="kind"),
    CheckConstraint("state IN ('waiting', 'done', 'refused')", name="state"),
    Index("policy_wish_of_plan", "plan_id", "id"),
    holds=[not_personal("what was wanted of the policy, when, and what came of it; who, by a pseudonym of staff")],
    app="append",
    restored=newest("state", whole=True),
)
"""What staff at the desk want of a plan; a wish of the kind `plan` has the plan's id and the text of the policy. The routes
only add: what became of it the keeper writes. A refused one says why in an error's words."""

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
    restored=newest("path", "ends_at", whole=True),
)
"""A folder is told of every erasure while `ends_at` has not come; one out of reach (`reachable` false) is told later."""

newest_noted = table(
    "newest_noted",
    Column("number", BigInteger, Identity(always=True), primary_key=True),
    Column("of_table", Text, nullable=False),
    Column("key", JSONB, nullable=False),
    holds=[
        not_personal("keys of rows that changed, for the second until the keeper has written down what they are now")
    ],
    app="none",
)
"""Filled by triggers on every table that is declared with `newest`, emptied by `memory`."""

newest_state = table(
    "newest_state",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("file", Uuid, nullable=False),
    Column("told", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    CheckConstraint("id = 1 AND told <= reserved", name="single"),
    holds=[not_personal("how far the file of newest states has been written: an id and two numbers")],
    app="none",
)
"""A file that knows a number above `reserved` is newer than this database, which then is a restored one; a file that does not
know `told` has lost its end."""

restoration = table(
    "restoration",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("backup", Uuid, nullable=False),
    Column("made_at", TIME, nullable=False),
    CheckConstraint("id = 1", name="single"),
    holds=[not_personal("the backup that this database came from, until the record and the log have taken note of it")],
    app="none",
)

store(
    "backups",
    "outside",
    "folders outside AVOW_HOME",
    why="folders that the operator chose with `avow backup`: sealed rows without their keys, told of every erasure",
)
