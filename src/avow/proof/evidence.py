"""Findings become evidence: kept with their time, shown while they are younger than a day."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.proof.tables import evidence
from avow.vault import tlog

Verdict = Literal["proved", "failed", "unproved", "attested"]

FRESH_FOR = timedelta(hours=24)
KEPT_FOR = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found: a verdict and a figure in words (never an id of a person)."""

    verdict: Verdict
    figure: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """A finding with its probe and its time."""

    probe: str
    verdict: Verdict
    figure: str
    at: datetime
    ms: int
    leaf: UUID | None = None
    """Under which id it is in the transparency log, or waits for its place there."""


async def record(connection: AsyncConnection, found: Evidence, policy_hash: str) -> None:
    """Keep what a probe found, in the log too, and let go of what is older than 90 days: there, only noise stays of it."""
    told = {"probe": found.probe, "verdict": found.verdict, "figure": found.figure, "at": found.at.isoformat()}
    leaf = await tlog.append(connection, "evidence", tlog.spelled({**told, "policy": policy_hash}))
    row = {"id": leaf.id, **asdict(found), "policy_hash": policy_hash}
    del row["leaf"]
    await connection.execute(evidence.insert().values(row))
    old = delete(evidence).where(evidence.c.at < found.at - KEPT_FOR).returning(evidence.c.id)
    await tlog.forget(connection, (await connection.execute(old)).scalars().all())


async def latest(connection: AsyncConnection, policy_hash: str, now: datetime) -> list[Evidence]:
    """The last evidence of each probe under the policy in force; what is older than a day counts as unproved."""
    rows = await connection.execute(
        select(evidence)
        .ext(distinct_on(evidence.c.probe))
        .where(evidence.c.policy_hash == policy_hash)
        .order_by(evidence.c.probe, evidence.c.at.desc())
    )
    found = [Evidence(r.probe, r.verdict, r.figure, r.at, r.ms, r.id) for r in rows]
    return [e if now - e.at < FRESH_FOR else replace(e, verdict="unproved", figure="stale") for e in found]
