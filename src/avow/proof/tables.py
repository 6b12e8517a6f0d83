"""What the probes found, and the scratch row in which the raw scan plants its control."""

from sqlalchemy import CheckConstraint, Column, DateTime, Integer, LargeBinary, Text, Uuid

from avow.catalog import not_personal, table

evidence = table(
    "evidence",
    Column("id", Uuid, primary_key=True),
    Column("probe", Text, nullable=False, index=True),
    Column("verdict", Text, nullable=False),
    Column("figure", Text, nullable=False),
    Column("policy_hash", Text, nullable=False),
    Column("ms", Integer, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, index=True),
    holds=[not_personal("verdicts and counts about the platform and its canaries; no id of a person")],
    app="read",
)

canary_step = table(
    "canary_step",
    Column("journey", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("figure", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    CheckConstraint("state IN ('going', 'passed', 'failed', 'unproved', 'skipped')", name="state"),
    holds=[not_personal("what canaries did and what was found of them, in counts; no id of anybody")],
    app="read",
)
"""The steps of the canaries' journeys. One that is `going` and old was broken off by a kill."""

scan_control = table(
    "scan_control",
    Column("id", Uuid, primary_key=True),
    Column("planted", LargeBinary, nullable=False),
    holds=[not_personal("random bytes that the raw scan must find before its silence counts")],
    app="none",
)
