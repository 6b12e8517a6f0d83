"""What tokens cost: integers only, rounded up once per request, by prices that were signed when they were set.

A version of a price is a row that is never changed; each charge names the one it was made by. A row whose signature is not
ours (somebody wrote into the database) is no price, so its model is refused and never cheap.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cached_property
from typing import ClassVar, Literal
from uuid import UUID

import msgspec
import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base import money
from avow.base.errors import AvowError
from avow.billing import tables
from avow.vault.ring import Ring

log = structlog.get_logger()

PER = 1_000_000
_ADD = text(
    "SELECT price_add(:id, :model, :currency, :input_nano, :cached_nano, :output_nano, :valid_from,"
    " CAST(:cache_write_nano AS bigint), CAST(:reasoning_nano AS bigint), CAST(:image_nano AS bigint),"
    " CAST(:audio_nano AS bigint), CAST(:counts AS text), CAST(:sizes AS jsonb), :signature)"
)
Counts = Literal["images", "seconds", "characters"]
"""What a model is paid by that is not paid by tokens."""
SECRET = "price"  # noqa: S105  the name of a secret


class ModelHasNoPrice(AvowError):
    """This model has no price, so nothing can be reserved for it and it is not called."""

    status: ClassVar[int] = 503
    code: ClassVar[str] = "model_has_no_price"
    hint = "Nothing was charged. Ask the operator to set a price for the model, zero if it is free."


class Price(msgspec.Struct, frozen=True, dict=True):
    """One version of a model's price: nano-units of `currency` per million.

    `input_nano` and `output_nano` are the base. What has no price of its own (None) costs as what it is part of: cache writes
    as input, reasoning as output, and image and audio tokens as the dearer of both.

    `counts`: what `image_nano` (images), `audio_nano` (seconds of sound) or `input_nano` (characters) is the price of a million
    of; None: everything is counted in tokens.

    `sizes`: where images of several sizes and qualities have several prices, how many times the price of one stands for an image
    of each, by `SIZE,QUALITY`. Either may be empty: for all that have no row of their own; `,` stands there always.
    """

    id: UUID
    model: str
    currency: str
    input_nano: int
    cached_nano: int
    output_nano: int
    valid_from: datetime
    cache_write_nano: int | None = None
    reasoning_nano: int | None = None
    image_nano: int | None = None
    audio_nano: int | None = None
    counts: Counts | None = None
    sizes: dict[str, int] | None = None

    def image_units(self, size: str | None, quality: str | None) -> tuple[int, int]:
        """The least and the most that an image can count; None: its size or quality is not known."""
        rows = self.sizes
        if rows is None:
            return 1, 1
        named = [key.partition(",") for key in rows]
        sizes = {name for name, _, _ in named} | {""} if size is None else {size}
        qualities = {name for _, _, name in named} | {""} if quality is None else {quality}
        possible = [_units(rows, *each) for each in itertools.product(sizes, qualities)]
        return min(possible), max(possible)

    @property
    def write_rate(self) -> int:
        return self.input_nano if self.cache_write_nano is None else self.cache_write_nano

    @property
    def reasoning_rate(self) -> int:
        return self.output_nano if self.reasoning_nano is None else self.reasoning_nano

    @property
    def image_rate(self) -> int:
        return max(self.input_nano, self.output_nano) if self.image_nano is None else self.image_nano

    @property
    def audio_rate(self) -> int:
        return max(self.input_nano, self.output_nano) if self.audio_nano is None else self.audio_nano

    @cached_property
    def input_rate_max(self) -> int:
        """The most that a token which went in can cost."""
        return max(self.input_nano, self.cached_nano, self.write_rate)

    @cached_property
    def output_rate_max(self) -> int:
        return max(self.output_nano, self.reasoning_rate)

    @property
    def is_free(self) -> bool:
        return not max(self.input_rate_max, self.output_rate_max, self.image_rate, self.audio_rate)


def _units(rows: dict[str, int], size: str, quality: str) -> int:
    """The row that says most about an image: its size goes before its quality."""
    return next(rows[key] for key in (f"{size},{quality}", f"{size},", f",{quality}", ",") if key in rows)


class Used(msgspec.Struct, frozen=True):
    """What a request used. `input` includes `cached` and `cache_write`, `output` includes `reasoning`, as OpenAI counts;
    `image` and `audio` stand beside them. Each counts what its price says that it counts."""

    input: int = 0
    cached: int = 0
    output: int = 0
    cache_write: int = 0
    reasoning: int = 0
    image: int = 0
    audio: int = 0


def cost(price: Price, used: Used) -> int:
    """Nano-units for a request. A part that is said to be more than its whole is capped at it."""
    exact = used.input * price.input_nano + used.output * price.output_nano
    if used.cached or used.cache_write:
        cached = min(used.cached, used.input)
        written = min(used.cache_write, used.input - cached)
        exact += cached * (price.cached_nano - price.input_nano) + written * (price.write_rate - price.input_nano)
    if used.reasoning:
        exact += min(used.reasoning, used.output) * (price.reasoning_rate - price.output_nano)
    if used.image or used.audio:
        exact += used.image * price.image_rate + used.audio * price.audio_rate
    return -(-exact // PER)


def upper(price: Price, input_tokens_max: int, output_tokens_max: int, image_max: int = 0, audio_max: int = 0) -> int:
    """The most a request within these bounds can cost, whatever parts the provider says that it had."""
    exact = input_tokens_max * price.input_rate_max + output_tokens_max * price.output_rate_max
    if image_max or audio_max:
        exact += image_max * price.image_rate + audio_max * price.audio_rate
    return -(-exact // PER)


def output_tokens_affordable(price: Price, input_tokens_max: int, amount: int) -> int | None:
    """How many output tokens `amount` can hold besides the input; None: any number, for output is free.

    Negative when not even the input is affordable.
    """
    left = amount * PER - input_tokens_max * price.input_rate_max
    if left < 0:
        return -1
    return left // price.output_rate_max if price.output_rate_max else None


class Seal:
    """Signs prices (Ed25519, RFC 8032) and knows its own again. `seed` is 32 bytes; see `of`."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @classmethod
    def of(cls, ring: Ring) -> Seal:
        """The platform's own, whose key lies in the ring and is made at the first use."""
        seed = ring.secret(SECRET, create=True)
        assert seed is not None
        return cls(seed)

    def sign(self, price: Price) -> bytes:
        return self._key.sign(_signed(price))

    def is_genuine(self, price: Price, signature: bytes | None) -> bool:
        try:
            self._key.public_key().verify(signature or b"", _signed(price))
        except InvalidSignature:
            return False
        return True


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

    def versions(self, model: str) -> list[Price]:
        """Every version of a model's price, newest first."""
        return list(self._versions.get(model, ()))

    def since(self, model: str) -> datetime:
        """When a model was first offered; of one without a price, the beginning of the count of seconds (POSIX)."""
        versions = self._versions.get(model)
        return versions[-1].valid_from if versions else datetime.fromtimestamp(0, UTC)

    def gives_away(self, at: datetime) -> bool:
        """Whether a model is free, so that somebody without money may ask it."""
        in_force = (next((v for v in versions if v.valid_from <= at), None) for versions in self._versions.values())
        return any(price is not None and price.is_free for price in in_force)

    async def load(self, connection: AsyncConnection, seal: Seal, currency: str = money.CURRENCY) -> None:
        rows = await connection.execute(select(tables.price).where(tables.price.c.currency == currency))
        genuine = []
        for *fields, signature in rows:
            price = Price(*fields)
            if seal.is_genuine(price, signature):
                genuine.append(price)
            else:
                log.error("price_not_genuine", kind=price.model)
        self._fill(genuine)

    def _fill(self, known: Iterable[Price]) -> None:
        versions: dict[str, list[Price]] = {}
        for price in sorted(known, key=lambda p: p.valid_from, reverse=True):
            versions.setdefault(price.model, []).append(price)
        self._versions = versions


async def put(connection: AsyncConnection, price: Price, seal: Seal) -> None:
    """Add a version, as the keeper; the same version again changes nothing."""
    row = {**msgspec.structs.asdict(price), "signature": seal.sign(price)}
    await connection.execute(insert(tables.price).values(row).on_conflict_do_nothing())


async def add(connection: AsyncConnection, price: Price, seal: Seal) -> None:
    """Add a version, as the product's role: at the desk. Workers load their prices anew with this."""
    sizes = None if price.sizes is None else msgspec.json.encode(price.sizes).decode()
    row = {**msgspec.structs.asdict(price), "sizes": sizes, "signature": seal.sign(price)}
    await connection.execute(_ADD, row)


def _signed(price: Price) -> bytes:
    """The only spelling of a price; its time is UTC, for a database gives it back in whatever zone. A price by tokens is
    written as it was before there were others, so that what was signed then is genuine still."""
    fields = {**msgspec.structs.asdict(price), "valid_from": price.valid_from.astimezone(UTC)}
    for name in ("counts", "sizes"):
        if fields[name] is None:
            del fields[name]
    return msgspec.json.encode(fields, order="sorted")
