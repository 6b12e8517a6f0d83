"""What is offered, page by page: the upstreams, and the models with where each runs and what it costs now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.billing import prices
from avow.billing.prices import Price, Prices, Seal
from avow.gateway import tables

DECLARED = (
    *(column for column in tables.upstream.c if column.name not in ("id", "credential")),
    tables.upstream.c.credential.is_not(None).label("has_credential"),
)


class Model(NamedTuple):
    """A row of `tables.model`, its routes (with `upstream`, the name) as they are tried, and its price; None: it has none."""

    row: Row[Any]
    routes: list[Row[Any]]
    price: Price | None


async def upstreams(connection: AsyncConnection, after: str | None, limit: int) -> Sequence[Row[Any]]:
    """Providers by name, behind `after`, with what is declared of each; their credentials stay sealed."""
    name = tables.upstream.c.name
    query = select(*DECLARED).order_by(name).limit(limit)
    return (await connection.execute(query if after is None else query.where(name > after))).all()


async def models(connection: AsyncConnection, seal: Seal, now: datetime, after: str | None, limit: int) -> list[Model]:
    """Models by their id, behind `after`."""
    known = tables.model.c.id
    query = select(tables.model).order_by(known).limit(limit)
    rows = (await connection.execute(query if after is None else query.where(known > after))).all()
    ways = await _ways(connection, [row.id for row in rows])
    book = Prices()
    await book.load(connection, seal)
    return [Model(row, ways.get(row.id, []), _price(book, row.id, now)) for row in rows]


async def _ways(connection: AsyncConnection, named: Sequence[str]) -> dict[str, list[Row[Any]]]:
    query = select(tables.route, tables.upstream.c.name.label("upstream")).join(tables.upstream)
    found: dict[str, list[Row[Any]]] = {}
    for row in await connection.execute(query.where(tables.route.c.model_id.in_(named)).order_by("rank", "upstream")):
        found.setdefault(row.model_id, []).append(row)
    return found


def _price(book: Prices, model: str, now: datetime) -> Price | None:
    try:
        return book.of(model, now)
    except prices.ModelHasNoPrice:
        return None
