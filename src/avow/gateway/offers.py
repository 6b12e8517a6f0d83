"""What the operator offers: upstreams, the models behind them, and the price of each. Written as the keeper.

Every change counts the policy's epoch up, so that each worker loads its rules anew before its next request.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.errors import BadInput, NotFound
from avow.base.ids import uuid7
from avow.billing import prices
from avow.billing.prices import Price
from avow.gateway import tables
from avow.gateway.client import Target
from avow.gateway.upstreams import KINDS
from avow.vault import Vault


@dataclass(frozen=True, slots=True)
class Offer:
    """A model as clients ask for it: its upstream, their name for it, its size, and nano-units per million tokens."""

    id: str
    upstream: str
    their_name: str
    context_tokens: int
    output_tokens_max: int
    input_nano: int
    output_nano: int
    cached_nano: int | None = None


async def put_engine(connection: AsyncConnection, name: str) -> None:
    """The embedded engine, once."""
    row = {"id": uuid7(), "name": name, "kind": "engine", "base_url": ""}
    await connection.execute(insert(tables.upstream).values(row).on_conflict_do_nothing(index_elements=["name"]))


async def put_upstream(
    connection: AsyncConnection,
    vault: Vault,
    name: str,
    base_url: str,
    credential: str | None,
    processor: str | None,
    kind: str = "openai",
) -> None:
    """Add a provider, or change the one of this name. Raises BadInput for a URL that is none and a kind not known."""
    if kind not in KINDS:
        raise BadInput(f"There is no kind {kind!r}.", hint=f"Kinds are {', '.join(KINDS)}.", param="kind")
    try:
        Target(base_url, {})
    except ValueError as wrong:
        raise BadInput(f"{wrong}.".capitalize(), param="base_url") from None
    known = await connection.scalar(select(tables.upstream.c.id).where(tables.upstream.c.name == name))
    row_id: UUID = known or uuid7()
    sealed = None
    if credential:
        sealed = await asyncio.to_thread(vault.seal_credential, tables.upstream.name, row_id, credential)
    row = {"kind": kind, "base_url": base_url, "processor": processor or name, "credential": sealed}
    made = insert(tables.upstream).values(id=row_id, name=name, **row)
    await connection.execute(made.on_conflict_do_update(index_elements=["name"], set_=row))
    await _count(connection)


async def put_model(connection: AsyncConnection, offer: Offer, at: datetime) -> None:
    """Add a model, or change it; a new price holds from `at`. Raises NotFound for an unknown upstream, BadInput."""
    if min(offer.context_tokens, offer.output_tokens_max) <= 0:
        raise BadInput("A model's context and longest output are at least one token.")
    if min(offer.input_nano, offer.output_nano, offer.cached_nano or 0) < 0:
        raise BadInput("A price is zero or more.")
    upstream = await connection.scalar(select(tables.upstream.c.id).where(tables.upstream.c.name == offer.upstream))
    if upstream is None:
        raise NotFound(f"There is no upstream {offer.upstream!r}.", hint="Add it first: avow upstream add")
    row = {
        "upstream_id": upstream,
        "their_name": offer.their_name,
        "context_tokens": offer.context_tokens,
        "output_tokens_max": offer.output_tokens_max,
    }
    made = insert(tables.model).values(id=offer.id, **row)
    await connection.execute(made.on_conflict_do_update(index_elements=["id"], set_=row))
    cached = offer.input_nano if offer.cached_nano is None else offer.cached_nano
    price = Price(uuid7(), offer.id, "USD", offer.input_nano, cached, offer.output_nano, at)
    if await _price_differs(connection, price):
        await prices.put(connection, price)
    await _count(connection)


async def _price_differs(connection: AsyncConnection, price: Price) -> bool:
    book = prices.Prices()
    await book.load(connection, price.currency)
    try:
        known = book.of(price.model, price.valid_from)
    except prices.ModelHasNoPrice:
        return True
    now = (known.input_nano, known.cached_nano, known.output_nano)
    return now != (price.input_nano, price.cached_nano, price.output_nano)


async def _count(connection: AsyncConnection) -> None:
    await connection.execute(text("UPDATE policy_epoch SET epoch = epoch + 1"))
