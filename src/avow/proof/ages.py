"""Whether the end that stands on a fact is the end that the policy gives it: the row's own word is not believed."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Table, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.catalog import facts
from avow.policy import Keep, Policy

SKEW = "1 second"


async def beyond(c: AsyncConnection, table: Table, policy: Policy) -> int:
    """How many facts of a table end later than their rule lets what began when they did, or have no end although it has.

    Where a row holds facts of several categories, the longest of their periods counts; where one lives as long as the
    account, or an ended row stays behind emptied, there is no end to hold a row against.
    """
    rules = [policy.categories[held.category] for other, held in facts() if other is table]
    if any(rule.keep.kind != "period" or rule.on_expiry != "delete" for rule in rules):
        return 0
    latest = func.greatest(*(_end(table, rule.keep) for rule in rules)) + text(f"interval '{SKEW}'")
    wrong = or_(table.c.ends_at.is_(None), table.c.ends_at > latest)
    return await c.scalar(select(func.count()).select_from(table).where(wrong)) or 0


def _end(table: Table, keep: Keep) -> ColumnElement[object]:
    """The end of a row by a period, in UTC; PostgreSQL cuts months and years at the month's last day, as `Keep.end` does."""
    step = {"years": f"{keep.amount} years", "months": f"{keep.amount} months"}.get(keep.unit, f"{keep.hours} hours")
    return func.timezone("UTC", func.timezone("UTC", table.c.since) + text(f"interval '{step}'"))
