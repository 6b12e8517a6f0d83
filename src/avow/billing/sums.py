"""Sums over many organisations: all that improving the service, trends of use, research and development work from.

They are made by a job under the database role `avow_analyst`, which can read views of sums (`sums.sql`) and the table that
they go to, and no row about anybody. A group of fewer than ten organisations is left out. Who objected to the purpose, or
had the use of their data restricted, is in none; a day's sums are made anew while its rows live, so that this holds for the
last week too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, or_, select, text

from avow.base.actor import Actor
from avow.base.db import Database
from avow.base.errors import AvowError
from avow.billing.tables import usage_sum
from avow.policy import Policy
from avow.policy.words import SUMMED
from avow.vault import Act, Vault

SUMS_JOB = "billing.sum"
CATEGORY = "usage"
DAYS_MAX = 7
"""How many days back are made anew."""
KEPT = timedelta(days=400)
STATEMENT_S_MAX = 600
ROWS_MAX = 10_000
COLUMNS = tuple(column.name for column in usage_sum.c if column.name != "purpose")


class PurposeRefused(AvowError):
    """The policy does not let the record of use serve this purpose."""

    status = 403
    code = "purpose_refused"
    hint = "The clause use.usage lists what it serves; the attempt is on record."


def purposes(policy: Policy) -> tuple[str, ...]:
    """The purposes of sums that the policy lists for the record of use, where one is kept."""
    rule = policy.categories.get(CATEGORY)
    if rule is None or rule.keep.kind == "never":
        return ()
    return tuple(purpose for purpose in SUMMED if purpose in rule.purposes)


async def make(analyst: Database, policy: Policy, now: datetime) -> int:
    """Make the sums of the last whole days (UTC) for each purpose of the policy, in the place of those that were there.

    `analyst` speaks as role `avow_analyst`. Sums of a purpose that the policy lists no more go, and those older than 400
    days. Gives how many were made.
    """
    wanted, today, count = purposes(policy), now.astimezone(UTC).date(), 0
    first = today - timedelta(days=_days(policy, now))
    async with analyst.begin() as c:
        await c.execute(text("SELECT set_config('app.at', :at, true)"), {"at": now.isoformat()})
        day, columns = usage_sum.c.day, ", ".join(COLUMNS)
        await c.execute(
            delete(usage_sum).where(or_(usage_sum.c.purpose.not_in(wanted), day < today - KEPT, day >= first))
        )
        for purpose in wanted:
            # The name of a schema is no parameter; it is a word of ours.
            made = text(
                f"INSERT INTO usage_sum (purpose, {columns}) SELECT :purpose, {columns} FROM for_{purpose}.usage_by_day"  # noqa: S608
                " WHERE day >= :first AND day < :today"
            )
            done = await c.execute(made, {"purpose": purpose, "first": first, "today": today})
            count += done.rowcount
    return count


async def read(keeper: Database, vault: Vault, who: Actor, purpose: str) -> Sequence[Mapping[str, Any]]:
    """The sums for a purpose, the newest day first, at most 10,000.

    Raises PurposeRefused for a purpose that is none of sums or not in the policy; then the attempt stands on the record.
    """
    if purpose not in purposes(vault.policy):
        async with keeper.begin() as c:
            tried = Act.of_platform(who, "read sums", category=CATEGORY, purpose=purpose)
            await vault.record_act(c, tried, outcome="refused")
        raise PurposeRefused
    mine = select(*(usage_sum.c[name] for name in COLUMNS)).where(usage_sum.c.purpose == purpose)
    newest = mine.order_by(usage_sum.c.day.desc(), usage_sum.c.model, usage_sum.c.why).limit(ROWS_MAX)
    async with keeper.begin() as c:
        return [dict(row) for row in (await c.execute(newest)).mappings()]


def _days(policy: Policy, now: datetime) -> int:
    """Days of which no row has ended yet: their sums are whole."""
    rule = policy.categories.get(CATEGORY)
    ends_at = None if rule is None else rule.keep.end(now)
    return DAYS_MAX if ends_at is None else max(0, min(DAYS_MAX, (ends_at - now).days - 1))
