"""Retention: what has come to its end goes, in every store, and the hour's keys go with it.

The same loop as an erasure with the other condition. Boxes are unreadable once the key of their hour is destroyed, in
every old backup too; the rows go within ten minutes of their end, because the sweep runs every ten minutes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from avow.base import jobs
from avow.base.errors import AvowError
from avow.privacy import backup, folders, memory, requests
from avow.privacy.needs import Needs
from avow.privacy.stores import EndingForbidden, Past, StillReferenced, end_all
from avow.vault.ring import ClockJump, hour_of

SLOTS_AHEAD_H = 2
LONG_MONTHS = timedelta(days=3)
"""By how much a period of months counted back can differ from one counted forward."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did. `clock_jump`: the clock is not believed, so that no key was destroyed (rows went all the same)."""

    ended: dict[str, int]
    keys: int
    backups: int
    clock_jump: bool
    mirrors_missing: tuple[str, ...]


async def sweep(needs: Needs, now: datetime, confirm_clock: bool = False) -> Swept:
    """End everything whose end has come at `now`; with `confirm_clock` an operator vouches for the clock.

    Raises StillReferenced or EndingForbidden when the database does not let a row end; everything else has gone by then.
    """
    await make_slots(needs, now)
    keys, missing, jump = await _destroy_slots(needs, now, confirm_clock)
    ended, refused = {}, list[AvowError]()
    for store in needs.stores:
        try:
            ended[store.name] = await end_all(needs.database, store, Past(now), needs.policy)
        except (StillReferenced, EndingForbidden) as error:
            refused.append(error)
    backups = await folders.expire(needs.database, now)
    await memory.trim(needs, now, _matters_from(needs, now))
    await folders.tell(needs.database, needs.tombstones, needs.newest)
    async with needs.database.begin() as c:
        await jobs.trim(c, now)
    await requests.resume(needs.database)
    if refused:
        raise refused[0]
    return Swept({name: count for name, count in ended.items() if count}, keys, backups, jump, missing)


async def make_slots(needs: Needs, now: datetime) -> int:
    """Make the keys of the hours in which facts collected from now on will end, so that no request has to."""
    return await asyncio.to_thread(needs.ring.make_slots, sorted(set(_hours(needs, now))))


def _matters_from(needs: Needs, now: datetime) -> datetime:
    """Backups made before this have ended, wherever they lie."""
    return now - (backup.end(needs.policy, now) - now) - LONG_MONTHS


def _hours(needs: Needs, now: datetime) -> Iterator[int]:
    for category in needs.policy.categories.values():
        for ahead_h in range(SLOTS_AHEAD_H):
            ends_at = category.keep.end(now + timedelta(hours=ahead_h))
            if ends_at is not None and category.keep.kind == "period":
                yield hour_of(ends_at)


async def _destroy_slots(needs: Needs, now: datetime, confirmed: bool) -> tuple[int, tuple[str, ...], bool]:
    try:
        destroyed = await asyncio.to_thread(needs.ring.destroy_slots, now, confirmed)
    except ClockJump:
        return 0, (), True
    return destroyed[0], destroyed.mirrors_missing, False
