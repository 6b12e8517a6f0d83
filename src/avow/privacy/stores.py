"""Stores: the places where facts lie, each of which can find, end, export, scan and count what is left.

An ending is one of four words of the policy, and here is what it does to a row:

    delete   the row goes.
    blank    the content goes and a bare record stays: the box is emptied and every readable column becomes null. A
             column that the table cannot do without (NOT NULL) is part of the bare record.
    detach   the row stays and belongs to nobody: the box is emptied, and person and organisation are replaced by random
             ids, new for each row, so that two rows of one person no longer meet.
    hold     the row stays as it is until its own end, because the law says so; or until what it serves is over, where its
             table says so (`stays`). Only an erasure can hold.

A row that holds facts of two categories is ended as gently as the gentler of them allows (hold, detach, blank, delete),
and the columns of the harsher one are emptied.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import operator
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, Protocol
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Table,
    Text,
    cast,
    delete,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.engine import RowMapping
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import ColumnExpressionArgument

from avow import catalog
from avow.base.db import Database
from avow.base.errors import AvowError
from avow.policy import Policy
from avow.policy.model import Ending

CHUNK_ROWS = 1000
PAGE_ROWS, PAGE_BYTES = 500, 4 << 20
FOREIGN_KEY_VIOLATION = "23503"
GENTLEST_FIRST: tuple[Ending, ...] = ("hold", "detach", "blank", "delete")

Key = tuple[Any, ...]
Note = Callable[[AsyncConnection, int], Awaitable[None]]
Before = Callable[[AsyncConnection, Sequence[Any]], Awaitable[None]]
"""Is told the ids of the rows that are about to end, in the transaction that ends them."""
Moving = Callable[[AsyncConnection, Sequence[Any]], contextlib.AbstractAsyncContextManager[None]]
"""Is held around a change of the ends of rows, with their ids, in the transaction that changes them."""


class StillReferenced(AvowError):
    """These facts cannot end yet, because others of another person or of the organisation refer to them."""

    status = 409
    code = "still_referenced"
    hint = "End what refers to them first; when somebody is the only owner of an organisation, close the organisation."


class EndingForbidden(AvowError):
    """These facts cannot end as the policy says, because their table does not allow it."""

    status = 409
    code = "ending_forbidden"
    hint = 'Choose on_expiry or on_erasure = "delete" for their category.'


@dataclass(frozen=True, slots=True)
class Of:
    """Facts about one person: an erasure."""

    subject_id: UUID


@dataclass(frozen=True, slots=True)
class Past:
    """Facts whose end has come at `now`: a sweep."""

    now: datetime


Which = Of | Past


@dataclass(frozen=True, slots=True)
class Found:
    """How many facts of a person a store holds, and when the last of them ends (None: no end, or none there)."""

    facts: int
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Ended:
    """What one chunk ended, and the key after which the next chunk goes on; None when there is no more."""

    facts: int
    last: Key | None


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact as it lies in its store: `clear` is readable, `box` sealed (None: no box, or emptied); `secret` names what of
    both nobody is shown."""

    store: str
    category: str
    tenant_id: UUID
    subject_id: UUID
    row_id: UUID | None
    since: datetime
    ends_at: datetime | None
    clear: Mapping[str, Any]
    box: bytes | None
    secret: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Page:
    """Some facts of a person, and the key after which the next page goes on; None when there is no more."""

    facts: list[Fact]
    last: Key | None


class Store(Protocol):
    """A place with facts about people. `c` is a transaction as the keeper; the caller commits after each chunk."""

    @property
    def name(self) -> str: ...

    @property
    def categories(self) -> tuple[str, ...]: ...

    @property
    def sealed(self) -> tuple[str, ...]:
        """The categories of which it holds boxes."""
        ...

    def ending(self, policy: Policy, on: Literal["expiry", "erasure"]) -> Ending:
        """What becomes of its facts under `policy`."""
        ...

    async def find(self, c: AsyncConnection, subject_id: UUID) -> Found: ...

    async def end(self, c: AsyncConnection, which: Which, policy: Policy, after: Key | None = None) -> Ended:
        """End a bounded chunk of `which`, in the order of its keys, beginning after `after`. Repeating it is harmless."""
        ...

    async def export(self, c: AsyncConnection, subject_id: UUID, after: Key | None = None) -> Page:
        """A bounded page of the person's facts, in the order of their keys, beginning after `after`."""
        ...

    async def scan(self, c: AsyncConnection, marker: bytes) -> int:
        """In how many rows or files the bytes of `marker` stand in plain."""
        ...

    async def residual(self, c: AsyncConnection, subject_id: UUID, policy: Policy) -> int:
        """How many facts of the person are there that an erasure should have ended."""
        ...


class TableStore:
    """One declared table; `before` hears of the rows that end, `moving` of those whose end changes."""

    def __init__(self, table: Table, before: Before | None = None, moving: Moving | None = None) -> None:
        self.table = table
        self._before = before
        self._moving = moving
        self._held = tuple(held for other, held in catalog.facts() if other is table)
        self._key = tuple(table.primary_key.columns)

    @property
    def name(self) -> str:
        return self.table.name

    @property
    def categories(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(held.category for held in self._held))

    @property
    def sealed(self) -> tuple[str, ...]:
        """See Store."""
        return tuple(dict.fromkeys(held.category for held in self._held if held.box))

    @property
    def stays(self) -> str:
        """Why its facts stay where an erasure holds them, in a sentence; "": because the law requires it."""
        return next((held.stays for held in self._held if held.stays), "")

    def ending(self, policy: Policy, on: Literal["expiry", "erasure"]) -> Ending:
        """See Store."""
        endings = {_ending(policy, held, on) for held in self._held}
        return next(ending for ending in GENTLEST_FIRST if ending in endings)

    async def find(self, c: AsyncConnection, subject_id: UUID) -> Found:
        """See Store."""
        query = select(func.count(), func.max(self.table.c.ends_at)).where(self.table.c.subject_id == subject_id)
        count, ends_at = (await c.execute(query)).one()
        return Found(count, ends_at)

    async def end(self, c: AsyncConnection, which: Which, policy: Policy, after: Key | None = None) -> Ended:
        """See Store. Raises StillReferenced or EndingForbidden when the database does not let a row end."""
        keys = await self._chunk(c, which, policy, after)
        if keys:
            width = len(self._key)
            chosen = tuple_(*self._key).in_([key[-width:] for key in keys])
            if self._before is not None:
                await self._before(c, [key[-width] for key in keys])
            try:
                await c.execute(self._change(which, policy, chosen))
            except IntegrityError as error:
                raise self._refusal(error) from None
        return Ended(len(keys), keys[-1] if len(keys) == CHUNK_ROWS else None)

    def moving(self, c: AsyncConnection, keys: Sequence[Key]) -> contextlib.AbstractAsyncContextManager[None]:
        """Held by whoever changes the ends of the rows with these keys."""
        return contextlib.nullcontext() if self._moving is None else self._moving(c, [key[0] for key in keys])

    async def export(self, c: AsyncConnection, subject_id: UUID, after: Key | None = None) -> Page:
        """See Store. A page ends at PAGE_ROWS rows, or earlier with the box that fills PAGE_BYTES."""
        mine = (self.table.c.subject_id == subject_id, *self._after(self._key, after))
        sizes = (func.coalesce(func.octet_length(self.table.c[held.column]), 0) for held in self._held if held.box)
        size = functools.reduce(operator.add, sizes, literal(0))
        query = select(*self._key, size).where(*mine).order_by(*self._key).limit(PAGE_ROWS)
        found = [tuple(row) for row in await c.execute(query)]
        sums = itertools.accumulate(row[-1] for row in found)
        count = next((place for place, total in enumerate(sums, 1) if total >= PAGE_BYTES), len(found))
        rows = (
            (await c.execute(select(self.table).where(*mine).order_by(*self._key).limit(count))).mappings().all()
            if count
            else []
        )
        facts = [_fact(self.name, category, self._held, row) for row in rows for category in self.categories]
        more = len(found) == PAGE_ROWS or count < len(found)
        return Page(facts, found[count - 1][:-1] if more else None)

    async def scan(self, c: AsyncConnection, marker: bytes) -> int:
        """See Store. Bytes columns are looked at in their hexadecimal form."""
        whole = cast(literal_column(self.name), Text)
        forms = [marker.hex()]
        with contextlib.suppress(UnicodeDecodeError):
            forms.append(marker.decode())
        found = or_(*(func.strpos(whole, form) > 0 for form in forms))
        return (await c.execute(select(func.count()).select_from(self.table).where(found))).scalar_one()

    async def residual(self, c: AsyncConnection, subject_id: UUID, policy: Policy) -> int:
        """See Store."""
        query = select(func.count()).select_from(self.table).where(*self._wanted(Of(subject_id), policy))
        return (await c.execute(query)).scalar_one()

    async def _chunk(self, c: AsyncConnection, which: Which, policy: Policy, after: Key | None) -> list[Key]:
        order: tuple[Column[Any], ...] = self._key
        if isinstance(which, Past):
            order = (self.table.c.ends_at, *order)
        wanted = (*self._wanted(which, policy), *self._after(order, after))
        return [tuple(row) for row in await c.execute(select(*order).where(*wanted).order_by(*order).limit(CHUNK_ROWS))]

    def _wanted(self, which: Which, policy: Policy) -> tuple[ColumnExpressionArgument[bool], ...]:
        """The facts that still have something to end."""
        columns = self.table.c
        if isinstance(which, Past):
            return (columns.ends_at <= which.now,)
        ending = self.ending(policy, "erasure")
        if ending in ("delete", "detach"):
            return (columns.subject_id == which.subject_id,)
        full = [_is_full(column) for column in self._emptied(policy, "erasure")]
        return (columns.subject_id == which.subject_id, or_(literal(False), *full))

    def _refusal(self, error: IntegrityError) -> AvowError:
        # The database's own text quotes the row, so only its kind goes on.
        if getattr(error.orig, "sqlstate", None) == FOREIGN_KEY_VIOLATION:
            return StillReferenced(f"Facts in {self.name} cannot end yet: others refer to them.")
        return EndingForbidden(f"Facts in {self.name} cannot end as the policy says: the table does not allow it.")

    def _change(self, which: Which, policy: Policy, chosen: ColumnElement[bool]) -> Any:
        on: Literal["expiry", "erasure"] = "expiry" if isinstance(which, Past) else "erasure"
        ending = self.ending(policy, on)
        if ending == "delete":
            return delete(self.table).where(chosen)
        values: dict[str, Any] = {column.name: _empty(column) for column in self._emptied(policy, on)}
        if ending == "detach":
            values |= {"subject_id": func.gen_random_uuid(), "tenant_id": func.gen_random_uuid()}
        if on == "expiry":
            # What stays has had its end; without this the sweep would meet it again for ever.
            values["ends_at"] = None
        return update(self.table).where(chosen).values(values)

    def _emptied(self, policy: Policy, on: Literal["expiry", "erasure"]) -> list[Column[Any]]:
        """The columns that an ending empties where the row stays."""
        detached = self.ending(policy, on) == "detach"
        names: list[str] = []
        for held in self._held:
            if _ending(policy, held, on) in ("delete", "blank"):
                names += held.columns
            elif detached and held.box:
                names.append(held.column)
        boxes = {held.column for held in self._held if held.box}
        columns = [self.table.c[name] for name in dict.fromkeys(names)]
        return [column for column in columns if column.nullable or column.name in boxes]

    def _after(self, order: tuple[Column[Any], ...], after: Key | None) -> tuple[ColumnElement[bool], ...]:
        if after is None:
            return ()
        values = [literal(value, column.type) for column, value in zip(order, after, strict=True)]
        return (tuple_(*order) > tuple_(*values),)


async def end_all(database: Database, store: Store, which: Which, policy: Policy, note: Note | None = None) -> int:
    """End all of `which` in a store, a chunk in each transaction; return how many facts. `note` writes down each chunk."""
    total, after, more = 0, None, True
    while more:
        async with database.begin() as c:
            ended = await store.end(c, which, policy, after)
            if note is not None:
                await note(c, ended.facts)
        total, after, more = total + ended.facts, ended.last, ended.last is not None
    return total


def tables(
    before: Mapping[str, Before] = MappingProxyType({}), moving: Mapping[str, Moving] = MappingProxyType({})
) -> list[TableStore]:
    """A store for each table with facts, children before the tables that they refer to. `before`, by a table's name,
    hears of its rows before they end, `moving` of changes of their ends."""
    declared = dict.fromkeys(table for table, _ in catalog.facts())
    return [TableStore(table, before.get(table.name), moving.get(table.name)) for table in declared]


def _ending(policy: Policy, held: catalog.Personal, on: Literal["expiry", "erasure"]) -> Ending:
    rule = policy.categories[held.category]
    if on == "expiry":
        return rule.on_expiry
    return "delete" if held.erased and rule.on_erasure == "hold" else rule.on_erasure


def _empty(column: Column[Any]) -> bytes | None:
    return None if column.nullable else b""


def _is_full(column: Column[Any]) -> ColumnElement[bool]:
    return column.is_not(None) if column.nullable else func.octet_length(column) > 0


def _fact(store: str, category: str, all_held: Sequence[catalog.Personal], row: RowMapping) -> Fact:
    """What a row holds of one category, sealed and readable together."""
    held = [each for each in all_held if each.category == category]
    id = row.get("id")
    return Fact(
        store,
        category,
        row["tenant_id"],
        row["subject_id"],
        id if isinstance(id, UUID) else None,
        row["since"],
        row["ends_at"],
        {name: row[name] for each in held for name in each.clear},
        next((row[each.column] or None for each in held if each.box), None),
        frozenset().union(*(each.secret for each in held)),
    )
