"""What tokens cost: integers only, rounded up once per request."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.errors import AvowError
from avow.billing import tables

PER = 1_000_000


class ModelHasNoPrice(AvowError):
    """This model has no price, so nothing can be reserved for it and it is not called."""

    status: ClassVar[int] = 503
    code: ClassVar[str] = "model_has_no_price"
    hint = "Nothing was charged. Ask the operator to set a price for the model, zero if it is free."


class Price(msgspec.Struct, frozen=True):
    """One version of a model's price: nano-units of `currency` per million tokens."""

    id: UUID
    model: str
    currency: str
    input_nano: int
    cached_nano: int
    output_nano: int
    valid_from: datetime


def cost(price: Price, input_tokens: int, cached_tokens: int, output_tokens: int) -> int:
    """Nano-units for a request. `input_tokens` includes `cached_tokens`; a provider that reports more is capped at input."""
    cached = min(cached_tokens, input_tokens)
    exact = (input_tokens - cached) * price.input_nano + cached * price.cached_nano + output_tokens * price.output_nano
    return -(-exact // PER)


def upper(price: Price, input_tokens_max: int, output_tokens_max: int) -> int:
    """The most a request within these bounds can cost, however much of its input the provider calls cached."""
    return -(
        -(input_tokens_max * max(price.input_nano, price.cached_nano) + output_tokens_max * price.output_nano) // PER
    )


def output_tokens_affordable(price: Price, input_tokens_max: int, amount: int) -> int | None:
    """How many output tokens `amount` can hold besides the input; None: any number, for output is free.

    Negative when not even the input is affordable.
    """
    left = amount * PER - input_tokens_max * max(price.input_nano, price.cached_nano)
    if left < 0:
        return -1
    return left // price.output_nano if price.output_nano else None


class Prices:
    """The price book of one currency, in memory; `load` it at start and when the policy epoch changes."""

    def __init__(self, known: Iterable[Price] = ()) -> None:
        self._versions: dict[str, list[Price]] = {}
        self._fill(known)

    def of(self, model: str, at: datetime) -> Price:
        """The version in force at `at`. Raises `ModelHasNoPrice`."""
        for version in self._versions.get(model, ()):
            if version.valid_from <= at:
                return version
        raise ModelHasNoPrice(param="model")

    async def load(self, connection: AsyncConnection, currency: str = "USD") -> None:
        rows = await connection.execute(select(tables.price).where(tables.price.c.currency == currency))
        self._fill(Price(*row) for row in rows)

    def _fill(self, known: Iterable[Price]) -> None:
        versions: dict[str, list[Price]] = {}
        for price in sorted(known, key=lambda p: p.valid_from, reverse=True):
            versions.setdefault(price.model, []).append(price)
        self._versions = versions


async def put(connection: AsyncConnection, price: Price) -> None:
    """Add a version, as the keeper; the same version again changes nothing."""
    await connection.execute(insert(tables.price).values(msgspec.structs.asdict(price)).on_conflict_do_nothing())
