"""The rows of accounts, and what each holds about a person.

    tenant ─ one wallet      person ─ one credential, sessions, confirmations, API keys; staff where they are that
           └ invitations

`person.id` is the subject id that every fact about somebody carries. What a person told us lies sealed in
`person.box`; the address is found again by its blind index only.
"""

from sqlalchemy import CheckConstraint, Column, DateTime, Index, Integer, LargeBinary, Text, Uuid

from avow.catalog import fact_columns, not_personal, personal, table

TIME = DateTime(timezone=True)

tenant = table(
    "tenant",
    Column("tenant_id", Uuid, primary_key=True),
    Column("created_at", TIME, nullable=False),
    Column("wallet_id", Uuid, nullable=False, unique=True),
    Column("keep_h", Integer),
    holds=[not_personal("what an organisation chose; who belongs to it stands in person")],
)
"""`keep_h`: how many hours of API content the tenant asked to keep; null: it did not ask."""

tenant_kind = table(
    "tenant_kind",
    Column("tenant_id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    CheckConstraint("kind IN ('customer', 'internal')", name="kind"),
    holds=[not_personal("whether the platform runs the organisation itself, to keep it out of statistics")],
    app="insert",
)
"""Apart from `tenant`, and not readable to the product's role: what is shown to canaries is shown to customers."""

person = table(
    "person",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("email_index", LargeBinary, nullable=False, unique=True),
    Column("confirmed_at", TIME),
    Column("role", Text, nullable=False),
    Column("box", LargeBinary, nullable=False),
    CheckConstraint("role IN ('owner', 'admin', 'member', 'viewer', 'former')", name="role"),
    Index("person_of_tenant", "tenant_id"),
    holds=[
        personal("account", box=["email", "username", "name", "company", "address", "phone"]),
        personal(
            "account",
            clear=["email_index", "confirmed_at", "role"],
            why="finds the person at sign-in, by a keyed digest and no address; says what they may call",
        ),
    ],
)
"""`role` is what somebody is in their tenant; `former`: no member any more, with nothing left but their own rights."""

staff = table(
    "staff",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("role", Text, nullable=False),
    Column("trained_until", TIME, nullable=False),
    Column("box", LargeBinary, nullable=False),
    holds=[
        personal("account", box=["agreement"]),
        personal(
            "account", clear=["role", "trained_until"], why="asked at each request: what they may call, and until when"
        ),
    ],
    app="read",
)
"""`id` is the person's. Written by the operator's command only: no route can make anybody staff. `agreement` names the
confidentiality agreement that they signed."""

invitation = table(
    "invitation",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("role", Text, nullable=False),
    Column("token_hmac", LargeBinary, nullable=False, unique=True),
    Column("box", LargeBinary, nullable=False),
    CheckConstraint("role IN ('owner', 'admin', 'member', 'viewer')", name="role"),
    holds=[
        personal("account", box=["email"]),
        personal(
            "account", clear=["role", "token_hmac"], why="a keyed digest of the token that the mail carries, and a role"
        ),
    ],
)
"""`subject_id` is who the invited person will be; `ends_at` when the invitation does."""

credential = table(
    "credential",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("box", LargeBinary, nullable=False),
    Index("uq_credential_subject_id", "subject_id", unique=True),
    holds=[personal("credential", box=["password_hash"])],
)

session = table(
    "session",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("token_hmac", LargeBinary, nullable=False, unique=True),
    Column("last_seen_at", TIME, nullable=False),
    Column("absolute_ends_at", TIME, nullable=False),
    holds=[
        personal(
            "credential",
            clear=["token_hmac", "last_seen_at", "absolute_ends_at"],
            why="compared at each request; a keyed digest and times, no network address, no device",
        )
    ],
)
"""`ends_at` is the idle end, moved on by use (at most hourly) and never past `absolute_ends_at`."""

confirmation = table(
    "confirmation",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("token_hmac", LargeBinary, nullable=False, unique=True),
    holds=[personal("credential", clear=["token_hmac"], why="a keyed digest of the token that the mail carries")],
)

api_key = table(
    "api_key",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("wallet_id", Uuid, nullable=False),
    Column("public_id", Text, nullable=False, unique=True),
    Column("secret_hmac", LargeBinary, nullable=False),
    Column("box", LargeBinary, nullable=False),
    Column("keep_h", Integer),
    Column("state", Text, nullable=False),
    Column("expires_at", TIME),
    Column("revoked_at", TIME),
    CheckConstraint("state IN ('active', 'revoked')", name="state"),
    holds=[
        personal("credential", box=["name"]),
        personal(
            "credential",
            clear=["wallet_id", "public_id", "secret_hmac", "keep_h", "state", "expires_at", "revoked_at"],
            why="compared at each call; ids, a keyed digest, states and times",
        ),
    ],
)
