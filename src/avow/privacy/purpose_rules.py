"""The purposes of the policy in force, as rows that views of the database join (`billing/sums.sql`)."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.tables import purpose_rule
from avow.policy import Policy


async def learn(c: AsyncConnection, policy: Policy) -> None:
    """Let the rows say what `policy` lists, in the transaction that brings it into force."""
    wanted = of(policy)
    if await held(c) == wanted:
        return
    await c.execute(delete(purpose_rule))
    rows = [{"category": category, "purpose": purpose, "consent": consent} for category, purpose, consent in wanted]
    if rows:
        await c.execute(purpose_rule.insert(), rows)


def of(policy: Policy) -> set[tuple[str, str, bool]]:
    """Category, purpose and whether it rests on consent; nothing of a category of which nothing is stored."""
    return {
        (category.name, purpose, category.basis == "consent")
        for category in policy.categories.values()
        if category.keep.kind != "never"
        for purpose in category.purposes
    }


async def held(c: AsyncConnection) -> set[tuple[str, str, bool]]:
    """What the rows say."""
    return {(row.category, row.purpose, row.consent) for row in await c.execute(select(purpose_rule))}
