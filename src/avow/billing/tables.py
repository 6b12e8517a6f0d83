"""Wallets, holds, charges, usage, prices, and the double-entry ledger of money that came in.

Only the functions in `ledger.sql` write here. The indexes are few on purpose: each costs every request.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Text,
    Uuid,
)
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy.dialects.postgresql import JSONB

from avow.catalog import fact_columns, not_personal, personal, store, table

wallet = table(
    "wallet",
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Uuid, nullable=False),
    Column("currency", Text, nullable=False),
    Column("posted", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("credit_limit", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    CheckConstraint("held >= 0", name="held"),
    CheckConstraint("posted + credit_limit >= held", name="covered"),
    CheckConstraint("state IN ('active', 'frozen')", name="state"),
    Unique("tenant_id", "currency"),
    holds=[not_personal("a balance of a tenant; what people did with it stands in charge")],
    app="read",
    # Half-empty pages keep the many updates of a balance on its page and out of the index.
    postgresql_with={"fillfactor": 40},
)

first_credit = table(
    "first_credit",
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("amount", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="single"),
    CheckConstraint("amount >= 0", name="amount"),
    holds=[not_personal("what the operator gives every new tenant")],
    app="none",
)

wallet_hold = table(
    "wallet_hold",
    Column("id", Uuid, primary_key=True),
    Column("wallet_id", Uuid, nullable=False),
    Column("key_id", Uuid, nullable=False),
    Column("price_id", Uuid, nullable=False),
    Column("model", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("worker_epoch", Integer, nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("money_ends_at", DateTime(timezone=True)),
    Column("usage_ends_at", DateTime(timezone=True)),
    Column("first_byte", Boolean, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("tokens_max", Integer, nullable=False),
    Column("counted_at", DateTime(timezone=True)),
    Column("shared", ARRAY(Uuid)),
    Column("shared_at", DateTime(timezone=True)),
    # The fact columns without their indexes: the live set is small, and each index costs every request.
    *(Column(c.name, c.type, nullable=c.nullable) for c in fact_columns()),
    CheckConstraint("amount >= 0", name="amount"),
    holds=[
        personal(
            "payment",
            clear=[
                *("wallet_id", "key_id", "price_id", "model", "amount", "worker_epoch", "expires_at", "money_ends_at"),
                *(
                    "usage_ends_at",
                    "first_byte",
                    "input_tokens",
                    "cached_tokens",
                    "output_tokens",
                    "tokens_max",
                    "counted_at",
                    "shared",
                    "shared_at",
                ),
            ],
            why="money promised to a running request; it lives as long as the request and is settled by the database",
            stays="It is the money of a request that still runs, and goes when that ends.",
        )
    ],
    app="read",
    postgresql_with={
        "fillfactor": 70,
        "autovacuum_vacuum_scale_factor": 0,
        "autovacuum_vacuum_threshold": 5000,
    },
)

key_use = table(
    "key_use",
    Column("id", Uuid, primary_key=True),
    Column("minute", DateTime(timezone=True), nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("day_nano", BigInteger, nullable=False),
    Column("month_nano", BigInteger, nullable=False),
    Column("total_nano", BigInteger, nullable=False),
    Column("held_nano", BigInteger, nullable=False),
    Column("running", BigInteger, nullable=False, server_default="0"),
    *fact_columns(),
    holds=[
        personal(
            "credential",
            clear=["minute", "requests", "tokens", "day_nano", "month_nano", "total_nano", "held_nano", "running"],
            why="compared with the key's limits in the call that reserves; sums, no single request",
        )
    ],
    app="read",
    # As for wallets; and no index on what each request changes.
    postgresql_with={"fillfactor": 40},
)
"""What a key with limits has used: `id` is the key's, `minute` the last UTC minute with a request. Requests and tokens are those
of that minute, `day_nano` and `month_nano` the money of its day and month, holds included; of `total_nano`, `held_nano` is not
spent yet. The row is made by the key's first request under a limit and counts from then on. `running`: requests under way."""

SHARED_LIMITS = (
    *("requests_per_min", "tokens_per_min", "parallel"),
    *("budget_day_nano", "budget_month_nano", "budget_total_nano"),
)

allowance = table(
    "allowance",
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    *(Column(name, BigInteger) for name in SHARED_LIMITS),
    CheckConstraint("kind IN ('project', 'organisation', 'model')", name="kind"),
    holds=[
        not_personal("what an organisation or a part of it may use together; no word about whose requests they are")
    ],
    app="none",
)
"""What a project or an organisation may use together (`id` is theirs), or each organisation of a model (`id` is the digest of
its name, `allowances.of_model`). The ledger judges it beside the key's limits."""

allowance_use = table(
    "allowance_use",
    Column("id", Uuid, primary_key=True),
    Column("allowance_id", Uuid, nullable=False),
    Column("minute", DateTime(timezone=True), nullable=False),
    *(
        Column(name, BigInteger, nullable=False)
        for name in ("requests", "tokens", "day_nano", "month_nano", "total_nano")
    ),
    *(Column(name, BigInteger, nullable=False) for name in ("held_nano", "running")),
    holds=[not_personal("sums of an organisation, no single request")],
    app="none",
    postgresql_with={"fillfactor": 40},
)
"""As `key_use`, of an allowance; of a model's one row for each organisation."""

charge = table(
    "charge",
    Column("id", Uuid, primary_key=True),
    Column("wallet_id", Uuid, nullable=False),
    Column("price_id", Uuid, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("absorbed", BigInteger, nullable=False),
    *fact_columns(),
    CheckConstraint("amount >= 0 AND amount <= held AND absorbed >= 0", name="amount"),
    Index(None, "wallet_id", "since"),
    holds=[
        personal(
            "payment",
            clear=["wallet_id", "price_id", "held", "amount", "absorbed"],
            why="summed into the balance and compared with the price",
        )
    ],
    app="read",
)

USED_PARTS = ("cache_write_tokens", "reasoning_tokens", "image_tokens", "audio_tokens")

usage = table(
    "usage",
    Column("id", Uuid, primary_key=True),
    Column("key_id", Uuid, nullable=False),
    Column("model", Text, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("cached_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    *(Column(name, Integer, nullable=False, server_default="0") for name in USED_PARTS),
    Column("estimated", Boolean, nullable=False, server_default="false"),
    Column("latency_ms", Integer, nullable=False),
    Column("status", Integer, nullable=False),
    Column("why", Text, nullable=False),
    *fact_columns(),
    holds=[
        personal(
            "usage",
            clear=[
                *("key_id", "model", "input_tokens", "cached_tokens", "output_tokens", *USED_PARTS, "estimated"),
                *("latency_ms", "status", "why"),
            ],
            why="summed by day and model, and recomputed into the charge",
        )
    ],
    app="read",
)

"""`input_tokens` includes cached and cache-write tokens, `output_tokens` reasoning; image and audio stand beside them.
`estimated`: the upstream did not say what was used, so it was told from the bytes that were delivered."""

usage_sum = table(
    "usage_sum",
    Column("purpose", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("why", Text, primary_key=True),
    Column("organisations", Integer, nullable=False),
    *(Column(name, BigInteger, nullable=False) for name in ("calls", "input_tokens", "output_tokens", "latency_ms")),
    CheckConstraint("organisations >= 10", name="group"),
    holds=[not_personal("sums over at least ten organisations by day, model and outcome; no id, no word of anybody")],
    app="none",
    analyst="all",
)
"""Made by `sums` from views that leave out who objected; `latency_ms` is a sum, `why` how the calls ended."""

price = table(
    "price",
    Column("id", Uuid, primary_key=True),
    Column("model", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("input_nano", BigInteger, nullable=False),
    Column("cached_nano", BigInteger, nullable=False),
    Column("output_nano", BigInteger, nullable=False),
    Column("valid_from", DateTime(timezone=True), nullable=False),
    *(Column(name, BigInteger) for name in ("cache_write_nano", "reasoning_nano", "image_nano", "audio_nano")),
    Column("counts", Text),
    Column("sizes", JSONB),
    Column("signature", LargeBinary),
    CheckConstraint("counts IN ('images', 'seconds', 'characters')", name="counts"),
    CheckConstraint(
        "least(input_nano, cached_nano, output_nano, cache_write_nano, reasoning_nano, image_nano, audio_nano) >= 0",
        name="sign",
    ),
    Unique("model", "currency", "valid_from"),
    holds=[not_personal("a price belongs to nobody")],
    app="read",
    writer="read",
)
"""Rows are never changed (`prices.Price`). `signature` is the platform's (`prices.Seal`); a row without it is no price."""

claim = table(
    "claim",
    Column("id", Uuid, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("request_id", Uuid, nullable=False),
    Column("status", Integer),
    Column("charged", BigInteger),
    *fact_columns(),
    holds=[
        personal(
            "payment",
            clear=["digest", "request_id", "status", "charged"],
            why="compared when a request comes again, so that nobody is charged twice for one; keyed digests and ids",
            secret=["digest"],
            # Who is erased sends nothing again, and books are kept of charges.
            erased=True,
        )
    ],
)
"""An idempotency key (`claims`): `id` and `digest` are keyed digests of the key and of what was asked. `status` and `charged`
are null while the request runs."""

ledger_txn = table(
    "ledger_txn",
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False, unique=True),
    *fact_columns(),
    holds=[personal("payment", clear=["kind", "idempotency_key"], why="one event credits a wallet exactly once")],
    app="read",
)

ledger_entry = table(
    "ledger_entry",
    Column("txn_id", Uuid, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("tenant_id", Uuid, nullable=False),
    Column("wallet_id", Uuid, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    holds=[not_personal("an amount between two accounts of a tenant; the person behind it stands in ledger_txn")],
    app="read",
)

worker_epoch = table(
    "worker_epoch",
    Column("epoch", Integer, Identity(always=True), primary_key=True),
    Column("pid", Integer),
    Column("heartbeat", DateTime(timezone=True), nullable=False),
    holds=[not_personal("one life of one of our processes")],
    app="none",
)

store(
    "spool",
    "path",
    "run/spool/*",
    categories=["payment", "usage", "api_content"],
    why="settled requests while the database is away: ids, amounts, tokens and the sealed trace; gone once it has them",
)
