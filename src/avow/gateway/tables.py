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
    text,
)

from avow.catalog import fact_columns, never, newest, not_personal, personal, store, table

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
    Column("revision", Integer, nullable=False, server_default="1"),
    CheckConstraint("leaving IN ('estimate', 'drain', 'unbilled')", name="leaving"),
    CheckConstraint("state IN ('active', 'draining')", name="state"),
    CheckConstraint("retention_h >= 0", name="retention"),
    CheckConstraint("kind IN ('openai', 'compatible', 'openrouter', 'azure', 'anthropic', 'engine')", name="kind"),
    holds=[not_personal("an account of the operator with a provider; its credential is sealed for the platform")],
    app="read",
    restored=newest(
        *("kind", "base_url", "processor", "credential", "region", "trains", "retention_h", "contract"),
        *("evidence_until", "state", "revision"),
    ),
)
"""`base_url` ends before `/chat/completions`; an engine's is empty, its socket is known to the process that runs it.
`processor` is the outside party that sees the content, by its name in the policy; null when it stays in this house.
`credential` is a system box (`vault.box.seal_system`). From `region` to `evidence_until` stands what is declared of its handling
of data (`handling.Handling`); null: not known. One that is draining gets no new requests. `leaving`: what becomes of a
request whose client leaves (`upstreams.Leaving`). `revision` counts the changes, so that none is made to what was changed
meanwhile."""

model = table(
    "model",
    Column("id", Text, primary_key=True),
    Column("routing", Text, nullable=False, server_default="finish"),
    Column("context_tokens", Integer, nullable=False),
    Column("output_tokens_max", Integer, nullable=False),
    Column("picture_tokens", Integer),
    CheckConstraint("context_tokens > 0 AND output_tokens_max > 0", name="size"),
    CheckConstraint("picture_tokens BETWEEN 1 AND 1000000", name="pictures"),
    CheckConstraint("routing IN ('finish', 'weight', 'price')", name="routing"),
    holds=[not_personal("what can be called, and by which name")],
    app="read",
)
"""`id` is what clients ask for and what prices are set for; a model without a price is refused. `routing` chooses among the
routes of one rank. `picture_tokens`: the most tokens that a picture in a request makes; null: it takes none."""

route = table(
    "route",
    Column("model_id", Text, ForeignKey("model.id"), primary_key=True),
    Column("upstream_id", Uuid, ForeignKey("upstream.id"), primary_key=True),
    Column("their_name", Text, nullable=False),
    Column("rank", Integer, nullable=False, server_default="0"),
    Column("weight", Integer, nullable=False, server_default="1"),
    Column("cost_nano", BigInteger, nullable=False, server_default="0"),
    Column("revision", Integer, nullable=False, server_default="1"),
    CheckConstraint("rank >= 0 AND weight >= 1 AND cost_nano >= 0", name="numbers"),
    holds=[not_personal("where a model runs")],
    app="read",
    restored=newest(),
)
"""Where a model runs and what it is called there (`fleet.Route`). `revision` counts the changes, as that of an upstream."""

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

upload = table(
    "upload",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("key_id", Uuid, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("box", LargeBinary, nullable=False),
    holds=[
        personal(
            "api_content",
            box=["file"],
            clear=["key_id", "size"],
            why="listed by the keys of a person, and bounded in sum",
        )
    ],
    restored=never(),
)
"""A file that was sent for a batch (`files`); its box holds its name, `upload_part` what is in it."""

upload_part = table(
    "upload_part",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("upload_id", Uuid, nullable=False),
    Column("number", Integer, nullable=False),
    Column("box", LargeBinary, nullable=False),
    Index(None, "upload_id", "number", unique=True),
    holds=[personal("api_content", box=["text"], clear=["upload_id", "number"], why="read part by part, in order")],
    restored=never(),
)

batch = table(
    "batch",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("key_id", Uuid, nullable=False),
    Column("upload_id", Uuid, nullable=False),
    Column("path", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("lease_until", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
    Column("box", LargeBinary, nullable=False),
    CheckConstraint(
        "state IN ('validating', 'in_progress', 'cancelling', 'completed', 'failed', 'expired', 'cancelled')",
        name="state",
    ),
    Index("ix_batch_open", "lease_until", postgresql_where=text("ended_at IS NULL")),
    holds=[
        personal(
            "api_content",
            box=["metadata", "error"],
            clear=["key_id", "upload_id", "path", "state", "due_at", "lease_until", "ended_at"],
            why="found by the worker that goes on with it, for the key that pays",
        )
    ],
    restored=never(),
)
"""Many requests (`batches`). A worker that works on it has it until `lease_until`. None outlives a restore: what it had asked
by then would be asked and paid for again."""

batch_line = table(
    "batch_line",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("batch_id", Uuid, nullable=False),
    Column("number", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("box", LargeBinary, nullable=False),
    CheckConstraint("state IN ('waiting', 'done', 'failed')", name="state"),
    Index(None, "batch_id", "state", "number"),
    holds=[
        personal(
            "api_content",
            box=["request", "response"],
            clear=["batch_id", "number", "state", "size"],
            why="answered in order, and counted by state",
        )
    ],
    restored=never(),
)
"""A request of a batch: asked once, under an idempotency key made of `id`. Once answered it holds the answer, and of the
request only what its client calls it."""

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
    CheckConstraint("stage IN ('prompt', 'image', 'upload', 'output')", name="stage"),
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
