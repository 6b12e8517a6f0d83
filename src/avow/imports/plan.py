"""What an import would make, as a value: upstreams, models with their routes and prices, keys with their owners; and what it
leaves out, with the reason. Pure: nothing is looked up and nothing is made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

from avow.accounts.key_terms import Setting
from avow.base.errors import BadInput
from avow.gateway import upstream_terms
from avow.gateway.fleet import Routing
from avow.gateway.handling import is_here
from avow.imports import foreign
from avow.imports.foreign import ValueUnfit

CONTEXT_TOKENS = 128_000
OUTPUT_TOKENS_MAX = 16_384
SIZE_TOKENS_MAX = 2**31 - 1
WEIGHT_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Upstream:
    """An account with a provider. `processor`: the outside party; None: it answers on this machine.

    `origin` says where the credential comes from, never what it is.
    """

    name: str
    kind: str
    base_url: str
    processor: str | None
    credential: str | None = field(default=None, repr=False)
    origin: str = "no credential"


@dataclass(frozen=True, slots=True)
class Route:
    """Where a model runs; `upstream` by its name in the plan."""

    upstream: str
    their_name: str
    rank: int = 0
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Price:
    """Nano-units per million tokens; None costs as what it is part of, as in `billing.prices.Price`."""

    input_nano: int
    output_nano: int
    cached_nano: int | None = None
    cache_write_nano: int | None = None
    reasoning_nano: int | None = None
    image_nano: int | None = None
    audio_nano: int | None = None

    @classmethod
    def dearest(cls, prices: Sequence[Price]) -> Price:
        """Of each column the most, on its own: no use of any of them is cheaper by it."""
        tops = {
            column.name: max(each._rate(column.name) for each in prices)
            for column in fields(cls)
            if any(getattr(each, column.name) is not None for each in prices)
        }
        return cls(**tops)

    def _rate(self, column: str) -> int:
        given: int | None = getattr(self, column)
        if given is not None:
            return given
        if column == "reasoning_nano":
            return self.output_nano
        return self.input_nano if column.startswith("cache") else max(self.input_nano, self.output_nano)


@dataclass(frozen=True, slots=True)
class Model:
    """A model as clients ask for it; each upstream stands at most once among its routes."""

    id: str
    price: Price
    routes: tuple[Route, ...]
    routing: Routing = "weight"
    context_tokens: int = CONTEXT_TOKENS
    output_tokens_max: int = OUTPUT_TOKENS_MAX


@dataclass(frozen=True, slots=True)
class Key:
    """A key to be made anew. `origin` names it among its kind for ever; `owner` is the address of whose it is to be."""

    origin: str
    owner: str
    setting: Setting


@dataclass(frozen=True, slots=True)
class Left:
    """Something that is not carried over, or not as it was, and why."""

    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """`source` is the program that the files are from."""

    source: str
    upstreams: tuple[Upstream, ...] = ()
    models: tuple[Model, ...] = ()
    keys: tuple[Key, ...] = ()
    left: tuple[Left, ...] = ()


class Upstreams:
    """Collects upstreams: the same address, kind and credential is one, and each has a name of its own.

    The party is the same for all upstreams of one host: it is one provider, however many accounts somebody has there.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[str, str, str | None], Upstream] = {}
        self._names: set[str] = set()

    def add(self, wanted: str, kind: str, base_url: str, credential: str | None, origin: str) -> Upstream:
        """An upstream that is to be called `wanted`, or that with a number behind it. Raises ValueUnfit."""
        known = self._made.get((kind, base_url, credential))
        if known is not None:
            return known
        try:
            upstream_terms.check(kind, base_url, credential, None)
        except BadInput as wrong:
            raise ValueUnfit(f"it cannot be used: {wrong.sentence}") from None
        party = slug(wanted)
        name, number = party, 1
        while name in self._names:
            number += 1
            name = f"{party}-{number}"
        self._names.add(name)
        made = Upstream(name, kind, base_url, None if is_here(base_url) else party, credential, origin)
        self._made[kind, base_url, credential] = made
        return made

    def used(self, models: tuple[Model, ...]) -> tuple[Upstream, ...]:
        """Those at which one of the models runs."""
        names = {route.upstream for model in models for route in model.routes}
        return tuple(each for each in self._made.values() if each.name in names)


def slug(text: str) -> str:
    """A name for an upstream and its party: small letters, digits and hyphens, as names in a policy are."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "upstream"


def host(url: str) -> str:
    """The host of a URL with its port. Raises ValueUnfit for what is no URL."""
    try:
        parts = urlsplit(url)
        port = f"-{parts.port}" if parts.port else ""
    except ValueError:
        raise ValueUnfit("its address is no URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ValueUnfit("its address is no http(s) URL without a password")
    return parts.hostname + port


def size(value: Any, otherwise: int) -> int:
    """A number of tokens. Raises ValueUnfit."""
    if value is None:
        return otherwise
    found = foreign.whole(value)
    if not 1 <= found <= SIZE_TOKENS_MAX:
        raise ValueUnfit(f"{foreign.shown(value)!r} is no number of tokens")
    return found


def weight(value: Any) -> int:
    """A share, one or more. Raises ValueUnfit."""
    return min(max(1, int(foreign.number(value))), WEIGHT_MAX) if value is not None else 1


def ranked(routes: list[Route]) -> tuple[Route, ...]:
    """Routes with each upstream once (the first stays, weights add up) and ranks without gaps from 0."""
    first: dict[str, Route] = {}
    for route in routes:
        known = first.get(route.upstream)
        if known is None:
            first[route.upstream] = route
        elif (known.rank, known.their_name) == (route.rank, route.their_name):
            both = min(known.weight + route.weight, WEIGHT_MAX)
            first[route.upstream] = Route(known.upstream, known.their_name, known.rank, both)
    steps = {rank: step for step, rank in enumerate(sorted({route.rank for route in first.values()}))}
    return tuple(Route(each.upstream, each.their_name, steps[each.rank], each.weight) for each in first.values())


def named_rows(rows: Iterable[Mapping[str, Any]], id: str) -> Iterator[Mapping[str, Any]]:
    """Rows by their id, each once. Raises ImportUnreadable where one stands twice."""
    seen: set[str] = set()
    for row in rows:
        key = str(row.get(id))
        if key in seen:
            raise foreign.ImportUnreadable(f"Two rows have the {id} {foreign.shown(key)!r}.")
        seen.add(key)
        yield row
