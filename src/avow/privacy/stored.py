"""What is stored about somebody right now, in numbers: for each category how much, when the next of it ends, and what an
erasure would do. Nothing is opened; it is the loop of an erasure's plan, seen by the person's own organisation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Select, Table, func, literal, or_, select, union_all
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from avow import catalog
from avow.catalog.words import declaration
from avow.policy import Policy
from avow.policy.model import Category
from avow.privacy.standings import Whose

READS: Final = frozenset({"read", "append", "all"})
"""What the role of the routes must be allowed for a table to be counted; mail that waits to be sent is not."""


class Stored(msgspec.Struct):
    """One category. `sealed` of its facts have a part that opens with the person's key only. `next_end`: when the first of them
    ends, `last_end` the last; `endless` of them live as long as the account.

    The rule: `keep` is `period` (of `amount` `unit`, `exactly`, `at most` or `at least`), `life` or `never`; `asked`: nothing
    is kept unless the organisation asks for it. `on_erasure`: `delete`, `blank`, `detach`, or `hold`, kept by law.
    """

    category: str
    facts: int
    sealed: int
    next_end: datetime | None
    last_end: datetime | None
    endless: int
    keep: str
    amount: int
    unit: str
    bound: str
    asked: bool
    on_expiry: str
    on_erasure: str
    purposes: Sequence[str]


async def about(c: AsyncConnection, policy: Policy, whose: Whose, now: datetime) -> list[Stored]:
    """What there is of each category of the policy, the most first."""
    counted = {row.category: row for row in await c.execute(_counted(whose, now))}
    found = [_stored(category, counted.get(category.name)) for category in policy.categories.values()]
    return sorted(found, key=lambda each: (-each.facts, each.category))


def _stored(category: Category, row: Row[Any] | None) -> Stored:
    facts, sealed, endless = (row.facts, row.sealed, row.endless) if row else (0, 0, 0)
    keep = category.keep
    return Stored(
        category=category.name,
        facts=int(facts),
        sealed=int(sealed),
        next_end=row.next_end if row else None,
        last_end=row.last_end if row else None,
        endless=int(endless),
        keep=keep.kind,
        amount=keep.amount,
        unit=keep.unit,
        bound=keep.bound,
        asked=category.ask,
        on_expiry=category.on_expiry,
        on_erasure=category.on_erasure,
        purposes=category.purposes,
    )


def _counted(whose: Whose, now: datetime) -> Select[Any]:
    """One row for each category of which there is something: one question for all tables."""
    lines = union_all(*(_line(*each, whose, now) for each in _tables())).subquery()
    sums: list[ColumnElement[Any]] = [func.sum(lines.c[name]).label(name) for name in ("facts", "sealed", "endless")]
    ends: list[ColumnElement[Any]] = [
        func.min(lines.c.next_end).label("next_end"),
        func.max(lines.c.last_end).label("last_end"),
    ]
    return select(lines.c.category, *sums, *ends).group_by(lines.c.category)


def _tables() -> Iterator[tuple[Table, str, bool]]:
    """Each table that can be counted with each of its categories, and whether it has a box of that category."""
    boxes: dict[tuple[Table, str], bool] = {}
    for table, held in catalog.facts():
        if declaration(table).app in READS:
            boxes[table, held.category] = boxes.get((table, held.category), False) or bool(held.box)
    return ((*key, boxed) for key, boxed in boxes.items())


def _line(table: Table, category: str, boxed: bool, whose: Whose, now: datetime) -> Select[Any]:
    """A person's facts of one category in one table; what has ended is not counted, also before the sweep has been here."""
    ends_at, facts = table.c.ends_at, func.count()
    columns: list[ColumnElement[Any]] = [
        literal(category).label("category"),
        facts.label("facts"),
        (facts if boxed else literal(0)).label("sealed"),
        facts.filter(ends_at.is_(None)).label("endless"),
        func.min(ends_at).label("next_end"),
        func.max(ends_at).label("last_end"),
    ]
    return select(*columns).where(table.c.subject_id == whose.subject_id, or_(ends_at.is_(None), ends_at > now))
