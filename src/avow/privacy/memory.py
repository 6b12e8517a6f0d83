"""Memory: what a restore may not take back is written down beside the ring, right after the transaction that did it.

Triggers note the key of each row that changes (`newest.sql`), in the same transaction; the keeper reads every second what
those rows are now, appends that to the file, and takes the notes away. A kill in between leaves the notes, and the next
start writes them down before any traffic. Numbers are reserved in the database before they stand in the file: a file that
knows a higher one is newer than its database, which then came back from somewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import Row, Table, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from avow import catalog
from avow.base.errors import AvowError
from avow.base.ids import uuid7
from avow.catalog import Restored
from avow.privacy.needs import Needs
from avow.privacy.newest import Head, Newest, State
from avow.privacy.tables import backup_folder, newest_noted, newest_state

CHUNK_ROWS = 500
COMMITTED_WITHIN = timedelta(days=1)
"""Far longer than it takes from a tombstone to the commit of what it stands for."""
LOCK: Final = 726177
"""The advisory lock without which nobody writes anything down."""
_LOCK = text(f"SELECT pg_advisory_xact_lock({LOCK})")


class NewestForeign(AvowError):
    """The list of newest states beside the keyring is that of another database."""

    status = 409
    code = "newest_foreign"
    hint = "Put the keyring folder back that belongs to this database, or restore a backup of this installation."


class Known(NamedTuple):
    """How far the file of newest states goes, and how far this database knows it; see `newest_state`."""

    head: Head
    told: int
    reserved: int

    @property
    def is_older(self) -> bool:
        """Whether the database is older than the file: it was restored, and what happened since is to be replayed."""
        return self.head.last > self.reserved


async def look(c: AsyncConnection, newest: Newest) -> Known:
    """Hold the database against the file, in a transaction that keeps others from both. Either is begun where it is new.

    Raises NewestForeign, or NewestBroken for a file that cannot be read.
    """
    await c.execute(_LOCK)
    row = (await c.execute(select(newest_state))).one_or_none()
    head = await asyncio.to_thread(newest.head)
    if head is None or (row is not None and row.file == head.file and head.last < row.told):
        if row is not None:
            # What is gone cannot be replayed, so backups from before are not restored any more.
            structlog.get_logger().error("newest_lost", kind=f"states up to {row.reserved}")
        head = await _begin(newest, row)
    if row is None:
        row = await _enter(c, head)
    if row.file != head.file:
        raise NewestForeign
    return Known(head, row.told, row.reserved)


async def write_down(needs: Needs) -> int:
    """Write down what the noted rows are now; returns how many. Nothing in a database that waits to be brought up to date."""
    total = 0
    while True:
        async with needs.database.begin() as c:
            if not await c.scalar(select(newest_noted.c.number).limit(1)):
                return total
            known = await look(c, needs.newest)
            if known.is_older:
                return total
            await c.execute(update(newest_state).values(reserved=known.reserved + CHUNK_ROWS))
        async with needs.database.begin() as c:
            total += await _write_chunk(c, needs, known.reserved)


async def trim(needs: Needs, now: datetime, matters_from: datetime) -> None:
    """Forget states that no backup can ask for: of the erased, those before `matters_from` that are older than every backup
    folder, and, once they are the half, those that were followed by a newer one of the same row.

    A database that does not know the last of those is not taken any more (`renewal.renew`), so whatever was erased a day
    or more before that one was written stands in no database that could come: its tombstone goes too."""
    async with needs.database.begin() as c:
        known = await look(c, needs.newest)
        oldest = await c.scalar(select(func.min(backup_folder.c.made_at)))
        if not known.is_older:
            await asyncio.to_thread(_trim, needs, min(matters_from, oldest or now))


def _trim(needs: Needs, since: datetime) -> None:
    buried = {stone.name for stone in needs.tombstones.read() if not stone.table}
    newest: dict[bytes, int] = {}
    gone, count, aged, aged_s = set[int](), 0, 0, 0
    for state in needs.newest.read():
        count += 1
        newest[_canonical([state.table, state.key])] = state.number
        if any(needs.tombstones.person(each) in buried for each in _people(state)):
            gone.add(state.number)
        elif state.at_s + 1 < since.timestamp():
            gone.add(state.number)
            aged, aged_s = state.number, state.at_s
    if gone or (count - len(newest)) * 2 > count:
        kept = set(newest.values()) - gone
        needs.newest.keep(lambda state: state.number in kept, aged)
    if aged:
        needs.tombstones.forget_items(datetime.fromtimestamp(aged_s, UTC) - COMMITTED_WITHIN)


def _people(state: State) -> Iterator[UUID]:
    """Whose ids may stand in a state: its subject's, and that of a row that has the id of its person."""
    if state.subject is not None:
        yield state.subject
    with contextlib.suppress(ValueError):
        yield UUID(str(state.key.get("id")))


async def _begin(newest: Newest, row: Row[Any] | None) -> Head:
    file, since = (uuid7(), 0) if row is None else (row.file, row.reserved)
    await asyncio.to_thread(newest.begin, file, since)
    return Head(file, since, since)


async def _enter(c: AsyncConnection, head: Head) -> Row[Any]:
    """A database that never heard of the file, with whatever it holds, is older than anything in it."""
    fresh = {"id": 1, "file": head.file, "told": 0, "reserved": 0}
    row: Row[Any] = (await c.execute(insert(newest_state).values(fresh).returning(newest_state))).one()
    return row


async def _write_chunk(c: AsyncConnection, needs: Needs, reserved: int) -> int:
    await c.execute(_LOCK)
    if await c.scalar(select(newest_state.c.reserved)) != reserved + CHUNK_ROWS:
        return 0  # Somebody else was faster; our numbers are left out.
    noted = (await c.execute(select(newest_noted).order_by(newest_noted.c.number).limit(CHUNK_ROWS))).all()
    states = await _states(c, noted, reserved, int(needs.clock.now().timestamp()))
    if states:
        await asyncio.to_thread(needs.newest.append, states)
        await c.execute(update(newest_state).values(told=states[-1].number))
    await c.execute(delete(newest_noted).where(newest_noted.c.number.in_([row.number for row in noted])))
    return len(states)


async def _states(c: AsyncConnection, noted: Sequence[Row[Any]], number: int, at_s: int) -> list[State]:
    """What the noted rows are now, each once, in the order in which they were noted."""
    tables = {table.name: (table, how) for table, how in catalog.restored()}
    keys: dict[str, dict[bytes, dict[str, Any]]] = defaultdict(dict)
    for row in noted:
        if row.of_table in tables:
            keys[row.of_table][_canonical(row.key)] = row.key
    found = {name: await _rows(c, tables[name][0], list(wanted.values())) for name, wanted in keys.items()}
    order = dict.fromkeys((row.of_table, _canonical(row.key)) for row in noted if row.of_table in tables)
    return [
        _state(number + place, at_s, *tables[name], keys[name][key], found[name].get(key))
        for place, (name, key) in enumerate(order, 1)
    ]


def _state(
    number: int, at_s: int, table: Table, how: Restored, key: dict[str, Any], row: dict[str, Any] | None
) -> State:
    subject = UUID(row["subject_id"]) if row and "subject_id" in row else None
    if row is not None and not how.whole:
        row = {column: row[column] for column in how.columns}
    return State(number, at_s, str(table.name), key, row, subject)


async def _rows(c: AsyncConnection, table: Table, keys: list[dict[str, Any]]) -> dict[bytes, dict[str, Any]]:
    """The rows of these keys that are there, as PostgreSQL writes them in JSON, by their key."""
    names = [column.name for column in table.primary_key.columns]
    query = (
        f"SELECT to_jsonb(t)::text FROM {table.name} t JOIN jsonb_populate_recordset(NULL::{table.name}, "  # noqa: S608
        f"CAST(:keys AS jsonb)) k USING ({', '.join(names)})"
    )
    given = {"keys": msgspec.json.encode(keys).decode()}
    rows = [msgspec.json.decode(row) for row in await c.scalars(text(query), given)]
    return {_canonical({name: row[name] for name in names}): row for row in rows}


def _canonical(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")
