"""Upstreams and their models, and the kept traces of completions."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Integer, LargeBinary, Text, Uuid

from avow.catalog import fact_columns, not_personal, personal, store, table

upstream = table(
    "upstream",
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("processor", Text),
    Column("credential", LargeBinary),
    CheckConstraint("kind IN ('openai', 'compatible', 'azure', 'anthropic', 'engine')", name="kind"),
    holds=[not_personal("an account of the operator with a provider; its credential is sealed for the platform")],
    app="read",
)
"""`base_url` ends before `/chat/completions`; an engine's is empty, its socket is known to the process that runs it.
`processor` is the outside party that sees the content, by its name in the policy; null when it stays in this house.
`credential` is a system box (`vault.box.seal_system`)."""

model = table(
    "model",
    Column("id", Text, primary_key=True),
    Column("upstream_id", Uuid, ForeignKey("upstream.id"), nullable=False),
    Column("their_name", Text, nullable=False),
    Column("context_tokens", Integer, nullable=False),
    Column("output_tokens_max", Integer, nullable=False),
    CheckConstraint("context_tokens > 0 AND output_tokens_max > 0", name="size"),
    holds=[not_personal("what can be called, and by which name")],
    app="read",
)
"""`id` is what clients ask for and what prices are set for; a model without a price is refused."""

trace = table(
    "trace",
    Column("id", Uuid, primary_key=True),
    *fact_columns(),
    Column("box", LargeBinary, nullable=False),
    holds=[personal("api_content", box=["request", "response"])],
)
"""Written by `completion_batch` and `completion_settle` in the transaction of the charge; `id` is the request's."""

store(
    "engine",
    "memory",
    "engines.llm",
    categories=["api_content"],
    why="what the embedded model is asked, while it answers: text a few seconds longer, tokens until it rests, at most 60 s",
)
