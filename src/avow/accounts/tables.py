"""The rows of accounts, and what each holds about a person.

    tenant ─ one wallet        person ─ one credential, sessions, confirmations, API keys

`person.id` is the subject id that every fact about somebody carries. What a person told us lies sealed in
`person.box`; the address is found again by its blind index only.
"""

from sqlalchemy import Column, DateTime, Index, Integer, LargeBinary, Text, Uuid

from avow.catalog import fact_columns, not_personal, personal, table

TIME = DateTime(timezone=True)

tenant = table(
    "tenant",
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False, server_default="customer"),
    Column("created_at", TIME, nullable=False),
    Column("wallet_id", Uuid, nullable=False, unique=True),
    Column("keep_h", Integer),
    holds=[not_personal("what an organisation chose; who belongs to it stands in person")],
)
"""`keep_h` is how many hours of API content the tenant asked to keep (null: not asked). `kind` (customer, internal)
is for the operator's statistics only: no product code reads it."""

person = table(
    "person",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("email_index", LargeBinary, nullable=False, unique=True),
    Column("confirmed_at", TIME),
    Column("box", LargeBinary, nullable=False),
    holds=[
        personal("account", box=["email", "username", "name", "company", "address", "phone"]),
        personal("account", clear=["email_index", "confirmed_at"], why="finds the person at sign-in; keyed, no address"),
    ],
)

credential = table(
    "credential",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("box", LargeBinary, nullable=False),
    Index("credential_of_person", "subject_id", unique=True),
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
    Index("api_key_of_tenant", "tenant_id", "id"),
    holds=[
        personal("credential", box=["name"]),
        personal(
            "credential",
            clear=["wallet_id", "public_id", "secret_hmac", "keep_h", "state", "expires_at", "revoked_at"],
            why="compared at each call; ids, a keyed digest, states and times",
        ),
    ],
)
