"""Renewal: what a restored database is brought up to, before any traffic, so that a restore takes nothing back.

    newest states → what never outlives a restore goes → ends by the periods in force since → erasures once more

Rows take the newest state that is known of them (`newest`). What cannot take it is not left as it was: the row goes.
Everything can be done twice, and a database that was not brought to the end is taken up again at the next start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from itertools import islice
from uuid import UUID

import msgspec
from sqlalchemy import Column, Table, delete, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from avow import catalog
from avow.base.actor import PLATFORM
from avow.base.errors import AvowError
from avow.base.tables import policy_version
from avow.policy import Policy
from avow.privacy import erase, floors, memory, shortening, versions
from avow.privacy.memory import Known
from avow.privacy.needs import Needs
from avow.privacy.newest import State
from avow.privacy.outlook import tables_of
from avow.privacy.stores import CHUNK_ROWS, TableStore
from avow.privacy.tables import newest_state

CHUNK_STATES = 200

Anchor = Callable[[], Awaitable[None]]


class NewestMissing(AvowError):
    """What happened since this backup is not known any more, so it could bring back what was taken back since."""

    status = 410
    code = "newest_missing"
    hint = (
        "Restore a newer backup, or put the newest keyring folder of this installation back first: its file `newest` "
        "lists what was tightened since."
    )


class NewestRefused(AvowError):
    """The database does not take the newest state of a row, so it was not restored."""

    status = 409
    code = "newest_refused"
    hint = "Use the version of Avow that ran last; if it is this one, restore a newer backup."


async def catch_up(needs: Needs, anchor: Anchor | None = None) -> bool:
    """At a start: write down what was left, or bring a database that came back from somewhere up to date, as `renew`; says
    whether it was one. Raises NewestMissing, NewestRefused, NewestForeign or NewestBroken."""
    async with needs.database.begin() as c:
        older = (await memory.look(c, needs.newest)).is_older
    if older:
        await renew(needs, anchor)
    await memory.write_down(needs)
    return older


async def renew(needs: Needs, anchor: Anchor | None = None) -> None:
    """Bring a restored database up to date. Raises as `catch_up`.

    `anchor` begins the chain of the record anew, for the restored one is shorter than the newest link says. It runs behind
    whatever may refuse, and before the database counts as up to date: a kill in between does both again.
    """
    async with needs.database.begin() as c:
        known = await memory.look(c, needs.newest)
        # A database without a policy is a new one: there is nothing in it that could be older.
        if known.told < known.head.since and await c.scalar(select(policy_version.c.version).limit(1)):
            raise NewestMissing
    await _apply_all(needs, known)
    await _end_never(needs)
    held = await _policy(needs)
    await _shorten(needs)
    await replay(replace(needs, policy=held))
    if anchor is not None:
        await anchor()
    async with needs.database.begin() as c:
        last = max(known.head.last, known.reserved)
        await c.execute(update(newest_state).values(told=known.head.last, reserved=last))


async def replay(needs: Needs) -> int:
    """End again whatever of an erased person is there, and every erased item; return how many persons and items.

    Their keys are destroyed again too, should this keyring not be the newest.
    """
    stones = needs.tombstones.read()
    persons = {stone.name for stone in stones if not stone.table}
    found = set()
    for store in tables_of(needs):
        found |= {
            each async for each in _ids(needs, store.table.c.subject_id) if needs.tombstones.person(each) in persons
        }
    for subject_id in sorted(found):
        await erase.again(needs, subject_id)
    items = {(stone.table, stone.name) for stone in stones if stone.table}
    return len(found) + sum([await _replay_items(needs, store, items) for store in tables_of(needs)])


# --- newest states


async def _apply_all(needs: Needs, known: Known) -> None:
    """Each state in its turn; what the database refuses is tried once more behind the others, for they may be in its way."""
    refused, states = list[State](), needs.newest.read(known.told)
    while chunk := list(islice(states, CHUNK_STATES)):
        async with needs.database.begin() as c:
            refused += [state for state in chunk if not await _is_applied(c, state)]
    for state in refused:
        async with needs.database.begin() as c:
            if not await _is_applied(c, state) and not await _is_applied(c, msgspec.structs.replace(state, row=None)):
                raise NewestRefused(f"{NewestRefused.__doc__} It is a row of {state.table}.")


async def _is_applied(c: AsyncConnection, state: State) -> bool:
    statement = _statement(state)
    if not statement:
        return True
    given = msgspec.json.encode({**(state.row or {}), **state.key}).decode()
    try:
        async with c.begin_nested():
            await c.execute(text(statement), {"given": given})
    except IntegrityError:
        return False
    return True


def _statement(state: State) -> str:
    """SQL that brings a row to its newest state; empty for a table of which nothing is kept any more."""
    table = catalog.metadata.tables.get(state.table)
    how = None if table is None else catalog.declaration(table).restored
    if table is None or how is None:
        return ""
    if state.row is None:
        return _deletion(table)
    return _entry(table, state) if how.whole else _change(table, state)


def _deletion(table: Table) -> str:
    return f"DELETE FROM {table.name} t USING {_given(table)} WHERE {_same(table)}"  # noqa: S608


def _change(table: Table, state: State) -> str:
    """Bring a row that is there to its newest state; one made since the backup stays away."""
    columns = [column.name for column in table.c if column.name in (state.row or {})]
    values = ", ".join(f"{name} = g.{name}" for name in columns)
    return f"UPDATE {table.name} t SET {values} FROM {_given(table)} WHERE {_same(table)}" if values else ""  # noqa: S608


def _entry(table: Table, state: State) -> str:
    """Bring a row to its newest state or back, unless it is about a person of whom there is nothing else; who asked something
    without an account belongs to the platform."""
    keys = [column.name for column in table.primary_key.columns]
    columns = [column.name for column in table.c if column.name in (state.row or {})]
    values = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in keys)
    there = " OR ".join([f"g.tenant_id = '{PLATFORM}'", *_mentions()]) if state.subject else "true"
    return (
        f"INSERT INTO {table.name} ({', '.join(columns)}) SELECT {', '.join(f'g.{name}' for name in columns)} "  # noqa: S608
        f"FROM {_given(table)} WHERE {there} ON CONFLICT ({', '.join(keys)}) DO UPDATE SET {values}"
    )


def _mentions() -> Iterator[str]:
    for table in dict.fromkeys(table for table, _ in catalog.facts()):
        how = catalog.declaration(table).restored
        if how is None or not how.whole:
            yield f"EXISTS (SELECT FROM {table.name} x WHERE x.subject_id = g.subject_id)"


def _given(table: Table) -> str:
    return f"jsonb_populate_record(NULL::{table.name}, CAST(:given AS jsonb)) g"


def _same(table: Table) -> str:
    return " AND ".join(f"t.{column.name} = g.{column.name}" for column in table.primary_key.columns)


# --- what follows from them


async def _end_never(needs: Needs) -> None:
    """Sessions, invitations and tokens of the time of the backup end: who used them up since is not known."""
    async with needs.database.begin() as c:
        for table, how in catalog.restored():
            if how.never:
                await c.execute(delete(table))


async def _policy(needs: Needs) -> Policy:
    """What is in force in the restored database; that of the settings where nothing is."""
    async with needs.database.begin() as c:
        try:
            return (await versions.in_force(c)).policy
        except versions.VersionUnknown:
            return needs.policy


async def _shorten(needs: Needs) -> None:
    """What a policy since the backup shortened ends as soon as it said."""
    async with needs.database.begin() as c:
        ratchet = await floors.load(c)
    for store in tables_of(needs):
        after, more = None, True
        while more:
            async with needs.database.begin() as c:
                *_, after = await shortening.shorten(c, store, ratchet, needs.clock.now(), after)
            more = after is not None


# --- erasures


async def _replay_items(needs: Needs, store: TableStore, items: set[tuple[str, bytes]]) -> int:
    if not any(table == store.name for table, _ in items):
        return 0
    ids = store.table.c.id
    gone = [each async for each in _ids(needs, ids) if (store.name, needs.tombstones.item(store.name, each)) in items]
    for start in range(0, len(gone), CHUNK_ROWS):
        async with needs.database.begin() as c:
            await c.execute(delete(store.table).where(ids.in_(gone[start : start + CHUNK_ROWS])))
    return len(gone)


async def _ids(needs: Needs, column: Column[UUID]) -> AsyncIterator[UUID]:
    """The different values of an indexed column, in order."""
    after = UUID(int=0)
    while True:
        query = select(column).where(column > after).group_by(column).order_by(column).limit(CHUNK_ROWS)
        async with needs.database.begin() as c:
            found = list((await c.execute(query)).scalars())
        for each in found:
            yield each
        if len(found) < CHUNK_ROWS:
            return
        after = found[-1]
