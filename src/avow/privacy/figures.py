"""Figures about how what is stored comes to its end: sweeps, what is late, and the oldest fact of each category."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.metrics import Family
from avow.catalog import facts
from avow.policy import Policy

SWEPT_AT: Final = "avow_sweep_at_seconds"
LATE: Final = "avow_ending_late_seconds"
CLOCK_REFUSED: Final = "avow_clock_refused"
OLDEST_AT: Final = "avow_oldest_at_seconds"

FAMILIES: Final = (
    Family("avow_sweeps_total", "counter", "Sweeps that ended what was due."),
    Family(SWEPT_AT, "gauge", "When the last sweep ended, in seconds since 1970.", largest=True),
    Family("avow_ended_total", "counter", "Facts that sweeps ended, by the store that held them.", ("store",)),
    Family(LATE, "gauge", "How long the fact that is due longest has been past its end."),
    Family(CLOCK_REFUSED, "gauge", "1 while the clock is not believed and no key is destroyed."),
    Family(OLDEST_AT, "gauge", "When the oldest fact of a category began, in seconds since 1970.", ("category",)),
)


async def oldest(c: AsyncConnection, policy: Policy) -> dict[str, datetime]:
    """When the oldest fact of each category began that the policy keeps for a period; as the keeper, who alone sees all.

    Ids are made in the order of time (RFC 9562 §5.7) and begin each key, so that one row of each table is read and
    none is counted.
    """
    found: dict[str, datetime] = {}
    for table, categories in _tables(policy).items():
        first = select(table.c.since).where(table.c.ends_at.is_not(None)).order_by(*table.primary_key).limit(1)
        since: datetime | None = await c.scalar(first)
        if since is not None:
            found |= {each: min(since, found.get(each, since)) for each in categories}
    return found


def _tables(policy: Policy) -> dict[Table, set[str]]:
    """Each table with those of its categories that are kept for a period."""
    found: dict[Table, set[str]] = {}
    for table, held in facts():
        rule = policy.categories.get(held.category)
        if rule is not None and rule.keep.kind == "period":
            found.setdefault(table, set()).add(held.category)
    return found
