"""Upstreams and their models, and the kept traces of completions."""

from sqlalchemy import (
    BigInteger,
    Boolean,
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

from avow.catalog import fact_columns, newest, not_personal, personal, store, table

upstream = table(
    "upstream",
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("processor", Text),
    Column("credential", LargeBinary),
    Column("region", Text),
    Column("trains", Boolean),
    Column("retention_h", Integer),
    Column("contract", Text),
    Column("evidence_until", DateTime(timezone=True)),
    Column("state", Text, nullable=False, server_default="active"),
    Column("leaving", Text, nullable=False, server_default="estimate"),
    CheckConstraint("leaving IN ('estimate', 'drain', 'unbilled')", name="leaving"),
    CheckConstraint("state IN ('active', 'draining')", name="state"),
    CheckConstraint("retention_h >= 0", name="retention"),
    CheckConstraint("kind IN ('openai', 'compatible', 'openrouter', 'azure', 'anthropic', 'engine')", name="kind"),
    holds=[not_personal("an account of the operator with a provider; its credential is sealed for the platform")],
    app="read",
    restored=newest(
        *("kind", "base_url", "processor", "credential", "region", "trains", "retention_h", "contract"),
        *("evidence_until", "state"),
    ),
)
"""`base_url` ends before `/chat/completions`; an engine's is empty, its socket is known to the process that runs it.
`processor` is the outside party that sees the content, by its name in the policy; null when it stays in this house.
`credential` is a system box (`vault.box.seal_system`). From `region` to `evidence_until` stands what is declared of its handling
of data (`handling.Handling`); null: not known. One that is draining gets no new requests. `leaving`: what becomes of a
request whose client leaves (`upstreams.Leaving`)."""

model = table(
    "model",
    Column("id", Text, primary_key=True),
    Column("routing", Text, nullable=False, server_default="finish"),
    Column("context_tokens", Integer, nullable=False),
    Column("output_tokens_max", Integer, nullable=False),
    CheckConstraint("context_tokens > 0 AND output_tokens_max > 0", name="size"),
    CheckConstraint("routing IN ('finish', 'weight', 'price')", name="routing"),
    holds=[not_personal("what can be called, and by which name")],
    app="read",
)
"""`id` is what clients ask for and what prices are set for; a model without a price is refused. `routing` chooses among the
routes of one rank."""

route = table(
    "route",
    Column("model_id", Text, ForeignKey("model.id"), primary_key=True),
    Column("upstream_id", Uuid, ForeignKey("upstream.id"), primary_key=True),
    Column("their_name", Text, nullable=False),
    Column("rank", Integer, nullable=False, server_default="0"),
    Column("weight", Integer, nullable=False, server_default="1"),
    Column("cost_nano", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("rank >= 0 AND weight >= 1 AND cost_nano >= 0", name="numbers"),
    holds=[not_personal("where a model runs")],
    app="read",
    restored=newest(),
)
"""Where a model runs and what it is called there (`fleet.Route`)."""

trace = table(
    "trace",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("box", LargeBinary, nullable=False),
    holds=[personal("api_content", box=["request", "response"])],
)
"""Written by `completion_batch` and `completion_settle` in the transaction of the charge; `id` is the request's."""

cached_answer = table(
    "cached_answer",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("box", LargeBinary, nullable=False),
    Index(None, "tenant_id", "since"),
    holds=[
        personal(
            "cache",
            box=["response"],
            clear=["digest"],
            why="looked up: a keyed hash of what was asked, which tells nothing without its key",
            secret=["digest"],
        )
    ],
)
"""Answers that may be given again (`cache`); `id` is that of the request that was answered, and goes with it."""

filter_decision = table(
    "filter_decision",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("request_id", Uuid, nullable=False),
    Column("filter", Text, nullable=False),
    Column("stage", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("score", Integer, nullable=False),
    Column("state", Text, nullable=False),
    CheckConstraint("stage IN ('prompt', 'output')", name="stage"),
    CheckConstraint("action IN ('block', 'redact', 'flag')", name="action"),
    CheckConstraint("state IN ('stands', 'appealed')", name="state"),
    holds=[
        personal(
            "moderation",
            clear=["request_id", "filter", "stage", "kind", "action", "score", "state"],
            why="a kind and a count and no text: listed and appealed by whom it is about, summed by kind",
        )
    ],
)
"""What a filter did with a request. `score`: how many pieces it found (a count, no
probability). `state` tells whether its person had it looked at again,
which is a complaint among the privacy requests."""

store(
    "engine",
    "memory",
    "engines.llm",
    categories=["api_content"],
    why="what the embedded model is asked, while it answers: text a few seconds longer, tokens until it rests, at most 60 s",
)
