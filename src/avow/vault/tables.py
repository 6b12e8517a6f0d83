"""What a person has said about their data, who looked at it, and the mail that waits for them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    Text,
    Uuid,
)

from avow.catalog import fact_columns, newest, not_personal, personal, store, table

standing = table(
    "standing",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("kind", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("value", Boolean, nullable=False),
    Column("said_how", Text),
    Column("notice_hash", Text),
    Column("notice_locale", Text),
    Column("box", LargeBinary),
    CheckConstraint("kind IN ('consent', 'objection', 'restriction')", name="kind"),
    CheckConstraint("said_how IN ('account', 'panel', 'request', 'signal', 'lapse')", name="how"),
    Index("standing_of_person", "subject_id", "kind", "purpose", "since", "id"),
    holds=[
        personal("consent", box=["text", "receipt"]),
        personal(
            "consent",
            clear=["kind", "purpose", "value", "said_how", "notice_hash", "notice_locale"],
            why="asked at every opening, and joined when facts are read for a purpose; words of the policy and a digest",
        ),
    ],
    app="append",
    restored=newest(whole=True),
)
"""Append only; the newest row of a person, kind and purpose holds. `since` is when it was said, `policy_version` to
which text. `value` false: withdrawn or lifted. A restriction covers every purpose and leaves it empty. The box of a consent
holds the text that was shown and the signed receipt with the salt of its leaf in the log, `notice_hash` is the SHA-256 of
that text (UTF-8), and `said_how` where it was said: in the
account, on the panel of cookies, by a request, by a signal of the browser (Sec-GPC), or not by the person: it lapsed."""

audit = table(
    "audit",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("actor", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("act", Text),
    Column("category", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("count", Integer, nullable=False),
    Column("box", LargeBinary),
    CheckConstraint("outcome IN ('opened', 'refused', 'done')", name="outcome"),
    Index("audit_of_person", "subject_id", "since", "id"),
    holds=[
        personal("audit", box=["reason", "before", "after"]),
        personal(
            "audit",
            clear=["actor", "role", "act", "category", "purpose", "outcome", "count"],
            why="counted and sorted to find unusual access; ids and words of the policy only",
            secret=["actor"],
        ),
    ],
    app="append",
)
"""The subject is the person concerned; `actor` is `kind:id` of who looked or acted (a pseudonym of staff), `role` what
they were when they did, `since` is when. An opening counts its boxes; an administrative act has the outcome `done` and
a word in `act`. The box holds the reason that was given, and digests of what an act found and left."""

audit_link = table(
    "audit_link",
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("row_id", Uuid, nullable=False, unique=True),
    Column("salt", LargeBinary),
    Column("leaf", LargeBinary, nullable=False),
    Column("link", LargeBinary, nullable=False),
    Column("released", LargeBinary),
    Column("until", LargeBinary, nullable=False),
    Index("audit_link_live", "number", postgresql_where="released IS NULL"),
    holds=[not_personal("keyed hashes of lines of the record, and a salt that goes when its line ends")],
    app="none",
)
"""One link for each line of `audit`, in the order in which the keeper found them; see `chain`."""

log_entry = table(
    "log_entry",
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("entry", LargeBinary, nullable=False),
    Column("salt", LargeBinary),
    Column("content", Text),
    Column("place", BigInteger),
    Index("log_entry_place", "place", unique=True, postgresql_where="place IS NOT NULL"),
    Index("log_entry_waiting", "id", postgresql_where="place IS NULL"),
    holds=[
        not_personal("what is public about the platform, and salted hashes of the rest; whose they are is not told")
    ],
    app="append",
)
"""What is in the transparency log, or waits for its `place` there; see `tlog`."""

store("transparency log", "path", "tlog/*", why="salted hashes of what was published, and of receipts")

outbox = table(
    "outbox",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("purpose", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_try_at", DateTime(timezone=True), nullable=False),
    Column("box", LargeBinary, nullable=False),
    CheckConstraint("state IN ('waiting', 'failed')", name="state"),
    Index("outbox_due", "next_try_at", postgresql_where="state = 'waiting'"),
    holds=[
        personal("mail", box=["recipient", "subject", "text"]),
        personal(
            "mail",
            clear=["purpose", "state", "attempts", "next_try_at"],
            why="the keeper looks for what is due without opening it",
        ),
    ],
    app="insert",
)
"""Mail that waits to be sent. The id is chosen by the caller, so putting the same message twice keeps one."""

store(
    "keyring",
    "path",
    "keyring/*",
    why="the random halves of the keys, sealed, under ids; in no backup, for what is destroyed here is to stay destroyed",
)
store("key cache", "memory", "vault.ring", why="keys in use, at most 10,000 for at most 5 seconds in each process")
