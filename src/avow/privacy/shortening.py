"""Shortening: what a stricter policy means for what is stored already.

A fact ends by the shortest period that was in force since it was collected (`floors`). When a shorter one comes, the end
of each fact is moved forward, in every table, and never back: reads hide what has ended at once, and the next sweep ends
it. Its box was sealed for the hour of its old end, and the key of an hour is shared: the row goes at the new end, the key
when that hour is over, and a plan names both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal, literal_column, or_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.policy import Floor, Keep, Ratchet
from avow.privacy.stores import CHUNK_ROWS, Key, TableStore

FAR_OFF: ColumnElement[datetime] = literal_column("'infinity'::timestamptz")


@dataclass(frozen=True, slots=True)
class Cut:
    """What a shorter period does to one store: facts that end sooner, and those of them that end at once.

    `keys_until`: the last hour for which one of them is sealed; None: none has an hour. `keys_of_account`: one is sealed
    for the life of the account, and its key goes with that.
    """

    store: str
    categories: tuple[str, ...]
    shortened: int
    expired: int
    keys_until: datetime | None
    keys_of_account: bool


async def count(c: AsyncConnection, store: TableStore, ratchet: Ratchet, now: datetime) -> Cut:
    """What would end sooner in a store at `now` under `ratchet`; changes nothing."""
    columns, ends = store.table.c, _end(store, ratchet)
    cut = Cut(store.name, store.categories, 0, 0, None, False)
    if ends is None:
        return cut
    row = (
        await c.execute(
            select(
                func.count(),
                func.count().filter(ends <= now),
                func.max(columns.ends_at),
                func.bool_or(columns.ends_at.is_(None)),
            ).where(_is_later(store, ends, now))
        )
    ).one()
    sealed = bool(store.sealed)
    until, of_account = (row[2], bool(row[3])) if sealed else (None, False)
    return replace(cut, shortened=row[0], expired=row[1], keys_until=until, keys_of_account=of_account)


async def shorten(
    c: AsyncConnection, store: TableStore, ratchet: Ratchet, now: datetime, after: Key | None
) -> tuple[int, int, Key | None]:
    """Move the ends of a bounded chunk forward, in the order of its keys, beginning after `after`.

    Returns how many facts end sooner, how many of them at once, and the key to go on after; None: there are no more.
    """
    ends, keys = _end(store, ratchet), tuple(store.table.primary_key.columns)
    if ends is None:
        return 0, 0, None
    wanted = [_is_later(store, ends, now)]
    if after is not None:
        last = [literal(value, column.type) for column, value in zip(keys, after, strict=True)]
        wanted.append(tuple_(*keys) > tuple_(*last))
    found = [tuple(row) for row in await c.execute(select(*keys).where(*wanted).order_by(*keys).limit(CHUNK_ROWS))]
    if not found:
        return 0, 0, None
    # The condition once more: what was moved meanwhile is not counted twice.
    chosen = and_(tuple_(*keys).in_(found), _is_later(store, ends, now))
    moved = update(store.table).where(chosen).values(ends_at=ends).returning(store.table.c.ends_at)
    async with store.moving(c, found):
        at = [row.ends_at for row in await c.execute(moved)]
    return len(at), sum(each <= now for each in at), found[-1] if len(found) == CHUNK_ROWS else None


def _is_later(store: TableStore, ends: ColumnElement[Any], now: datetime) -> ColumnElement[bool]:
    """Facts that are there at `now` and end later than they may."""
    column = store.table.c.ends_at
    return and_(or_(column.is_(None), column > now), ends < func.coalesce(column, FAR_OFF))


def _end(store: TableStore, ratchet: Ratchet) -> ColumnElement[Any] | None:
    """When each row of a table ends at the latest, in SQL; None where no period was changed since one was collected.

    A row with facts of several categories ends with the first of them. A floor with one period is the one under which its
    facts were written: their ends stand, whatever instant they were counted from.
    """
    versions = sorted({version for name, version in ratchet.floors if name in store.categories})
    whens = []
    for version in versions:
        floors = [ratchet.floors.get((category, version)) for category in store.categories]
        ends = [end for floor in floors if floor and len(floor.keeps) > 1 for end in _ends(store, floor)]
        if ends:
            whens.append((store.table.c.policy_version == version, func.least(*ends)))
    return case(*whens, else_=FAR_OFF) if whens else None


def _ends(store: TableStore, floor: Floor) -> Iterator[ColumnElement[Any]]:
    since: ColumnElement[Any] = store.table.c.since
    for keep in floor.keeps:
        if keep.hours is not None:
            yield since + literal(timedelta(hours=keep.hours))
        elif keep.kind == "period":
            yield func.timezone("UTC", func.timezone("UTC", since) + _months(keep))


def _months(keep: Keep) -> ColumnElement[Any]:
    # PostgreSQL takes the last day of a month that lacks the day, as `Keep.end` does.
    return literal_column(f"interval '{int(keep.amount)} {'years' if keep.unit == 'years' else 'months'}'")
