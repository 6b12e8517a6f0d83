"""What the operator offers: upstreams, the models behind them, and the price of each. Written as the keeper.

Every change counts the policy's epoch up, so that each worker loads its rules anew before its next request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from sqlalchemy import delete, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base import money
from avow.base.errors import AvowError, BadInput, NotFound
from avow.base.ids import uuid7
from avow.billing import prices
from avow.billing.prices import Counts, Price, Seal
from avow.gateway import route_terms, tables, upstream_terms
from avow.gateway.fleet import Routing
from avow.gateway.handling import Handling
from avow.gateway.upstreams import Leaving
from avow.vault import Vault

RATE_MAX = 4_000_000_000 * money.NANO
PICTURE_TOKENS_MAX = 1_000_000
UNITS_MAX = 100_000_000
"""Ten images of so many units are a number that a usage can hold."""


class PriceNotByTokens(AvowError):
    """This model is paid by images, sound or characters, for which a price of tokens says nothing."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "price_not_by_tokens"
    hint = "Nothing was changed. Set its price at the terminal: avow model add MODEL --per-image, --per-minute or so."


@dataclass(frozen=True, slots=True)
class Offer:
    """A model as clients ask for it: its size, and nano-units per million tokens (`prices.Price`); and one upstream where it
    runs.

    The same model at another upstream is another route: `rank`, `weight` and `cost_nano` (the operator's own cost of a
    million tokens there) choose between them, as `routing` says (`fleet`).
    """

    id: str
    upstream: str
    their_name: str
    context_tokens: int
    output_tokens_max: int
    input_nano: int
    output_nano: int
    cached_nano: int | None = None
    cache_write_nano: int | None = None
    reasoning_nano: int | None = None
    image_nano: int | None = None
    audio_nano: int | None = None
    counts: Counts | None = None
    sizes: dict[str, int] | None = None
    """See `prices.Price.sizes`."""
    picture_tokens: int | None = None
    """The most tokens that a picture makes; 0: it takes none; None: as before."""
    routing: Routing = "finish"
    rank: int = 0
    weight: int = 1
    cost_nano: int = 0


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
    declared: Handling,
    kind: str = "openai",
    leaving: Leaving = "estimate",
) -> None:
    """Add a provider, or say all of the one of this name anew. Raises BadInput as `upstream_terms.check`."""
    upstream_terms.check(kind, base_url, credential or None, declared.retention_h)
    known = await connection.scalar(select(tables.upstream.c.id).where(tables.upstream.c.name == name))
    row_id: UUID = known or uuid7()
    sealed = None
    if credential:
        sealed = await asyncio.to_thread(vault.seal_credential, tables.upstream.name, row_id, credential)
    row = {"kind": kind, "base_url": base_url, "credential": sealed, "leaving": leaving, **asdict(declared)}
    made = insert(tables.upstream).values(id=row_id, name=name, **row)
    anew = {**row, "revision": tables.upstream.c.revision + 1}
    await connection.execute(made.on_conflict_do_update(index_elements=["name"], set_=anew))
    await _count(connection)


async def drain(connection: AsyncConnection, name: str, *, ends: bool = False) -> None:
    """Send an upstream nothing new (what runs there ends as it would), or, with `ends`, again. Raises NotFound."""
    row = {"state": "active" if ends else "draining", "revision": tables.upstream.c.revision + 1}
    await connection.execute(
        update(tables.upstream).where(tables.upstream.c.id == await _upstream(connection, name)).values(row)
    )
    await _count(connection)


async def remove_upstream(connection: AsyncConnection, name: str) -> None:
    """Forget an upstream, with its credential. Raises NotFound, and BadInput while a model runs there."""
    id = await _upstream(connection, name)
    models = (
        await connection.execute(select(tables.route.c.model_id).where(tables.route.c.upstream_id == id))
    ).scalars()
    if offered := sorted(models):
        hint = f"Take each away first: avow model leave {offered[0]} --upstream {name}"
        raise BadInput(f"Models are offered at {name!r}: {', '.join(offered[:5])}.", hint=hint, param="name")
    await connection.execute(delete(tables.upstream).where(tables.upstream.c.id == id))
    await _count(connection)


async def leave(connection: AsyncConnection, model: str, upstream: str) -> None:
    """A model does not run at an upstream any more. Raises NotFound."""
    at = await _upstream(connection, upstream)
    gone = delete(tables.route).where(tables.route.c.model_id == model, tables.route.c.upstream_id == at)
    if not (await connection.execute(gone)).rowcount:
        raise route_terms.absent(model, upstream)
    await _count(connection)


async def _upstream(connection: AsyncConnection, name: str) -> UUID:
    found: UUID | None = await connection.scalar(select(tables.upstream.c.id).where(tables.upstream.c.name == name))
    if found is None:
        raise NotFound(
            f"There is no upstream {name!r}.",
            hint="avow upstream list shows those that are there; avow upstream add adds one.",
        )
    return found


async def put_model(connection: AsyncConnection, offer: Offer, at: datetime, seal: Seal) -> None:
    """Add a model or a route of it, or change them; a new price, signed with `seal`, holds from `at`. Raises NotFound,
    BadInput."""
    if min(offer.context_tokens, offer.output_tokens_max) <= 0:
        raise BadInput("A model's context and longest output are at least one token.")
    units = (offer.sizes or {}).values()
    if min(units, default=0) < 0:
        raise BadInput("A price is zero or more.")
    if max(units, default=0) > UNITS_MAX:
        raise BadInput("The dearest image costs too many times what the prices have in common.", param="sizes")
    if not 0 <= (offer.picture_tokens or 0) <= PICTURE_TOKENS_MAX:
        raise BadInput(f"A picture makes at most {PICTURE_TOKENS_MAX} tokens.", param="picture_tokens")
    price = _price(offer, at)
    _check_rates(each or 0 for each in _rates(price))
    route_terms.check(offer.their_name, offer.rank, offer.weight, offer.cost_nano)
    upstream = await _upstream(connection, offer.upstream)
    row: dict[str, Any] = {
        "routing": offer.routing,
        "context_tokens": offer.context_tokens,
        "output_tokens_max": offer.output_tokens_max,
    }
    if offer.picture_tokens is not None:
        row["picture_tokens"] = offer.picture_tokens or None
    made = insert(tables.model).values(id=offer.id, **row)
    await connection.execute(made.on_conflict_do_update(index_elements=["id"], set_=row))
    there = {"their_name": offer.their_name, "rank": offer.rank, "weight": offer.weight, "cost_nano": offer.cost_nano}
    way = insert(tables.route).values(model_id=offer.id, upstream_id=upstream, **there)
    anew = {**there, "revision": tables.route.c.revision + 1}
    await connection.execute(way.on_conflict_do_update(index_elements=["model_id", "upstream_id"], set_=anew))
    if await _price_differs(connection, price, seal):
        await prices.put(connection, price, seal)
    await _count(connection)


async def reprice(
    connection: AsyncConnection, seal: Seal, model: str, rates: Mapping[str, int], at: datetime
) -> tuple[Price | None, Price]:
    """Let a model cost other `rates` (nano-units per million, by `input`, `output`, `cached`) from `at`, as the product's role;
    what is not named stays as it is. Gives the price before and the new one. Raises NotFound, BadInput, PriceNotByTokens."""
    if await connection.scalar(select(tables.model.c.id).where(tables.model.c.id == model)) is None:
        raise NotFound(f"There is no model {model!r}.", param="model")
    _check_rates(rates.values())
    book = prices.Prices()
    await book.load(connection, seal)
    known = next((each for each in book.versions(model) if each.valid_from <= at), None)
    if known is not None and known.counts is not None:
        raise PriceNotByTokens
    base = known or Price(uuid7(), model, money.CURRENCY, 0, rates.get("cached", rates["input"]), 0, at)
    named = {f"{name}_nano": rate for name, rate in rates.items()}
    new = msgspec.structs.replace(base, id=uuid7(), valid_from=at, **named)
    await prices.add(connection, new, seal)
    return known, new


async def processors(connection: AsyncConnection) -> dict[str, list[Leaving]]:
    """The outside parties, by their name in the policy, that a model of ours may be asked at, and what a client pays that
    leaves before the end (several accounts with one party may have several rules)."""
    at = tables.upstream.c
    known = select(at.processor, at.leaving).join(tables.route).where(at.processor.is_not(None)).distinct()
    found: dict[str, list[Leaving]] = {}
    for name, leaving in await connection.execute(known.order_by(at.processor, at.leaving)):
        found.setdefault(name, []).append(leaving)
    return found


def _price(offer: Offer, at: datetime) -> Price:
    cached = offer.input_nano if offer.cached_nano is None else offer.cached_nano
    parts = offer.cache_write_nano, offer.reasoning_nano, offer.image_nano, offer.audio_nano
    counted = offer.counts, offer.sizes
    return Price(uuid7(), offer.id, money.CURRENCY, offer.input_nano, cached, offer.output_nano, at, *parts, *counted)


def _check_rates(rates: Iterable[int]) -> None:
    given = list(rates)
    if min(given) < 0:
        raise BadInput("A price is zero or more.")
    if max(given) > RATE_MAX:
        raise BadInput("A price of a million is 4,000,000,000 at most.")


def _rates(price: Price) -> tuple[int | None, ...]:
    base = price.input_nano, price.cached_nano, price.output_nano
    return *base, price.cache_write_nano, price.reasoning_nano, price.image_nano, price.audio_nano


async def _price_differs(connection: AsyncConnection, price: Price, seal: Seal) -> bool:
    """Whether the price in force is another one; a part that is given no price of its own keeps the one that it has."""
    book = prices.Prices()
    await book.load(connection, seal, price.currency)
    try:
        known = book.of(price.model, price.valid_from)
    except prices.ModelHasNoPrice:
        return True
    if price.sizes is not None and price.sizes != known.sizes:
        return True
    said = (new for new in zip(_rates(known), _rates(price), strict=True) if new[1] is not None)
    return known.counts != price.counts or any(old != new for old, new in said)


async def _count(connection: AsyncConnection) -> None:
    await connection.execute(text("UPDATE policy_epoch SET epoch = epoch + 1"))
