"""Floors: the shortest period that was in force since a fact was collected, for whoever must know when it ends.

They are the ratchet of `policy.ratchet`, kept in a small table. A version that comes into force adds its periods to all
that stand there; none ever goes, so nothing that a person was promised is taken back.
"""

from __future__ import annotations

from types import MappingProxyType

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.tables import policy_floor
from avow.policy import Floor, Keep, Policy, Ratchet


async def load(c: AsyncConnection) -> Ratchet:
    """All floors."""
    rows = (await c.execute(select(policy_floor))).all()
    found = {(row.category, row.version): Floor(tuple(Keep(*keep) for keep in row.keeps)) for row in rows}
    return Ratchet(MappingProxyType(found))


async def learn(c: AsyncConnection, policy: Policy) -> Ratchet:
    """Add the periods of a policy that has come into force, in the transaction that brings it."""
    known = await load(c)
    wiser = known.after(policy)
    rows = [
        {"category": category, "version": version, "keeps": [_plain(keep) for keep in floor.keeps]}
        for (category, version), floor in wiser.floors.items()
        if known.floors.get((category, version)) != floor
    ]
    if rows:
        added = insert(policy_floor).values(rows)
        newer = {"keeps": added.excluded.keeps}
        await c.execute(added.on_conflict_do_update(index_elements=["category", "version"], set_=newer))
    return wiser


def _plain(keep: Keep) -> list[object]:
    return [keep.kind, keep.amount, keep.unit, keep.bound, keep.clock, keep.with_account]
