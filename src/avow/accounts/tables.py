"""The rows of accounts, and what each holds about a person.

    tenant ─ one wallet      person ─ one credential, one second factor with recovery codes,
                                      passkeys, identities elsewhere, sessions, confirmations, resets, API keys;
           └ invitations, projects    staff where they are that

`person.id` is the subject id that every fact about somebody carries. What a person told us lies sealed in
`person.box`; the address is found again by its blind index only.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Text,
    Uuid,
)

from avow.catalog import fact_columns, never, newest, not_personal, personal, store, table
from avow.policy.words import TECHNICAL_FIELDS

TIME = DateTime(timezone=True)

tenant = table(
    "tenant",
    Column("tenant_id", Uuid, primary_key=True),
    Column("created_at", TIME, nullable=False),
    Column("wallet_id", Uuid, nullable=False, unique=True),
    Column("keep_h", Integer),
    holds=[not_personal("what an organisation chose; who belongs to it stands in person")],
    restored=newest("keep_h"),
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
        personal("account", box=["email", "username", "name", "company", "address", "phone", "country", "of_age"]),
        personal(
            "account",
            clear=["email_index", "confirmed_at", "role"],
            why="finds the person at sign-in, by a keyed digest and no address; says what they may call",
            secret=["email_index"],
        ),
    ],
    restored=newest("role", "confirmed_at"),
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
    restored=newest("role", "trained_until", "box"),
)
"""`id` is the person's. Written by the operator's command only: no route can make anybody staff. `agreement` names the
confidentiality agreement that they signed."""

invitation = table(
    "invitation",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("role", Text, nullable=False),
    Column("token_hmac", LargeBinary, nullable=False, unique=True),
    Column("email_index", LargeBinary, index=True),
    Column("box", LargeBinary, nullable=False),
    CheckConstraint("role IN ('owner', 'admin', 'member', 'viewer')", name="role"),
    holds=[
        personal("account", box=["email"]),
        personal(
            "account",
            clear=["role", "token_hmac", "email_index"],
            why="a keyed digest of the token that the mail carries, one of the address, which finds it for whoever asks what "
            "is stored about theirs, and a role",
            secret=["token_hmac", "email_index"],
        ),
    ],
    restored=never(),
)
"""`subject_id` is who the invited person will be; `ends_at` when the invitation does."""

credential = table(
    "credential",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("box", LargeBinary, nullable=False),
    Index("uq_credential_subject_id", "subject_id", unique=True),
    holds=[personal("credential", box=["password_hash"], secret=["password_hash"])],
)

session = table(
    "session",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("token_hmac", LargeBinary, nullable=False, unique=True),
    Column("last_seen_at", TIME, nullable=False),
    Column("absolute_ends_at", TIME, nullable=False),
    Column("proved_at", TIME),
    Column("factor_at", TIME),
    holds=[
        personal(
            "credential",
            clear=["token_hmac", "last_seen_at", "absolute_ends_at", "proved_at", "factor_at"],
            why="compared at each request; a keyed digest and times, no network address, no device",
            secret=["token_hmac"],
        )
    ],
    restored=never(),
)
"""`ends_at` is the idle end, moved on by use (at most hourly) and never past `absolute_ends_at`. `proved_at`: when its
person last showed who they are, `factor_at`: when a second factor (a code, or a passkey that verified its user); null
counts as long ago."""

visit = table(
    "visit",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("box", LargeBinary, nullable=False),
    holds=[personal("technical", box=TECHNICAL_FIELDS)],
)
"""From where a session began, or an attempt to sign in came (`visits`); its `id` is the session's, which may end before it, or
the attempt's. Empty unless the policy lists it."""

sign_in = table(
    "sign_in",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("box", LargeBinary, nullable=False),
    Index("sign_in_of_person", "subject_id", "id"),
    holds=[personal("security_log", box=["event", "outcome"])],
    app="append",
)
"""Attempts to sign in to an account (`sign_ins`); the `id` of one that succeeded is its session's. Empty unless the policy
keeps it."""

confirmation = table(
    "confirmation",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("token_hmac", LargeBinary, nullable=False, unique=True),
    holds=[
        personal(
            "credential",
            clear=["token_hmac"],
            why="a keyed digest of the token that the mail carries",
            secret=["token_hmac"],
        )
    ],
    restored=never(),
)

second_factor = table(
    "second_factor",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("confirmed_at", TIME),
    Column("last_step", BigInteger, nullable=False),
    Column("box", LargeBinary, nullable=False),
    Index("uq_second_factor_subject_id", "subject_id", unique=True),
    holds=[
        personal("credential", box=["totp_secret"], secret=["totp_secret"]),
        personal("credential", clear=["confirmed_at", "last_step"], why="compared so that no code works twice; times"),
    ],
    restored=newest("confirmed_at", "box", whole=True),
)
"""One for each person. `confirmed_at` null: proposed, and nobody has shown yet that they can make its codes; it ends soon.
`last_step`: the 30 s since 1970 of the last code that was taken (RFC 6238 §5.2: once only)."""

recovery_code = table(
    "recovery_code",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("code_hmac", LargeBinary, nullable=False, unique=True),
    holds=[
        personal(
            "credential",
            clear=["code_hmac"],
            why="a keyed digest of a code that was shown once",
            secret=["code_hmac"],
        )
    ],
)

passkey = table(
    "passkey",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("credential_index", LargeBinary, nullable=False, unique=True),
    Column("sign_count", BigInteger, nullable=False),
    Column("last_used_at", TIME),
    Column("box", LargeBinary, nullable=False),
    holds=[
        personal("credential", box=["credential_id", "public_key", "name"]),
        personal(
            "credential",
            clear=["credential_index", "sign_count", "last_used_at"],
            why="found by a keyed digest and compared at sign-in; a count and a time",
            secret=["credential_index"],
        ),
    ],
)

identity = table(
    "identity",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("identity_index", LargeBinary, nullable=False, unique=True),
    Column("box", LargeBinary, nullable=False),
    holds=[
        personal("credential", box=["issuer", "provider_subject"]),
        personal(
            "credential",
            clear=["identity_index"],
            why="finds the person at sign-in; a keyed digest",
            secret=["identity_index"],
        ),
    ],
)

ceremony = table(
    "ceremony",
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("token_hmac", LargeBinary, nullable=False, unique=True),
    Column("ends_at", TIME, nullable=False, index=True),
    holds=[not_personal("that a browser began something; who is there is not known yet, and it ends in ten minutes")],
    restored=never(),
)

reset = table(
    "reset",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("token_hmac", LargeBinary, nullable=False, unique=True),
    holds=[
        personal(
            "credential",
            clear=["token_hmac"],
            why="a keyed digest of the token that the mail carries",
            secret=["token_hmac"],
        )
    ],
    restored=never(),
)

project = table(
    "project",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("keep_h", Integer),
    Column("archived_at", TIME),
    Column("box", LargeBinary, nullable=False),
    Index("project_of_tenant", "tenant_id", "id"),
    holds=[
        personal("account", box=["project_name"]),
        personal("account", clear=["keep_h", "archived_at"], why="read with each key of the project; hours and a time"),
    ],
    restored=newest("keep_h", "archived_at"),
)
"""`subject_id` is the tenant's id: a project belongs to the organisation itself. `keep_h`: as in `tenant`."""

LIMITS = ("requests_per_min", "tokens_per_min", "parallel", "budget_day_nano", "budget_month_nano", "budget_total_nano")
"""What a key may use at most; null: no limit. Judged by the ledger in the call that reserves."""

api_key = table(
    "api_key",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("wallet_id", Uuid, nullable=False),
    Column("public_id", Text, nullable=False, unique=True),
    Column("secret_hmac", LargeBinary, nullable=False),
    Column("box", LargeBinary, nullable=False),
    Column("project_id", Uuid, ForeignKey("project.id", ondelete="SET NULL"), index=True),
    Column("keep_h", Integer),
    Column("state", Text, nullable=False),
    Column("expires_at", TIME),
    Column("revoked_at", TIME),
    *(Column(name, BigInteger) for name in LIMITS),
    Column("scopes", ARRAY(Text)),
    Column("models", ARRAY(Text)),
    Column("network_digests", ARRAY(Text)),
    Column("last_used_at", TIME),
    Column("old_public_id", Text, unique=True),
    Column("old_secret_hmac", LargeBinary),
    Column("old_until", TIME),
    CheckConstraint("state IN ('active', 'archived', 'revoked')", name="state"),
    holds=[
        personal("credential", box=["name", "networks"]),
        personal(
            "credential",
            clear=[
                *("wallet_id", "public_id", "secret_hmac", "keep_h", "state", "expires_at", "revoked_at", *LIMITS),
                *(
                    "project_id",
                    "scopes",
                    "models",
                    "network_digests",
                    "last_used_at",
                    "old_public_id",
                    "old_secret_hmac",
                    "old_until",
                ),
            ],
            why="compared at each call; ids, a keyed digest, states and times",
            secret=["secret_hmac", "network_digests", "old_secret_hmac"],
        ),
    ],
    restored=newest(
        *(
            "public_id",
            "secret_hmac",
            "box",
            "keep_h",
            "state",
            "expires_at",
            "revoked_at",
            *LIMITS,
            "scopes",
            "models",
        ),
        *("network_digests", "old_public_id", "old_secret_hmac", "old_until"),
    ),
)
"""State `archived`: its project is; `revoked` is for good. `last_used_at` is a minute. After a rotation the secret before
works as `old_…` until `old_until`."""

store(
    "identity provider",
    "processor",
    "AVOW_OIDC_ISSUER",
    why="where people sign in who chose it; it is told that somebody signs in here, and nothing that is kept here",
)
store(
    "throttle",
    "memory",
    "accounts.throttle",
    why="how often signing in failed: counts under digests whose key dies with the process, for networks after an hour",
)
