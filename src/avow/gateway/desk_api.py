"""The desk's routes about what is offered: upstreams with what is declared of them and how they do, models and their prices."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from litestar import get, patch, post
from litestar.params import JSONBody, QueryParameter
from sqlalchemy import Row

from avow.base import metrics, money
from avow.base.actor import PLATFORM
from avow.base.errors import BadInput
from avow.billing.prices import Counts, Price, Prices, Seal
from avow.gateway import offered, offers, route_terms, upstream_terms, watch
from avow.gateway.handling import Handling, admit
from avow.gateway.upstream_terms import Change
from avow.gateway.upstreams import Leaving
from avow.policy import Policy
from avow.privacy.api import Privacy
from avow.privacy.desk import Home, Staff
from avow.registers import documents
from avow.vault import Act

PAGE_MAX = 100
RATES = ("input", "cached", "output", "cache_write", "reasoning", "image", "audio")

Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)]
After = Annotated[str | None, QueryParameter(max_length=200)]
Rate = Annotated[str, msgspec.Meta(max_length=40)]


class Upstream(msgspec.Struct):
    """A provider: what is declared of it, and how it does now. `refused`: why it may not see content (null: it may). `running`
    calls are under way; `open`: in so many processes its breaker is open; `call_s`: the mean of its last calls, in seconds.
    `leaving`: what becomes of a request whose client leaves; `revision`: what a change is made to."""

    name: str
    kind: str
    base_url: str
    processor: str | None
    region: str | None
    trains: bool | None
    retention_h: int | None
    contract: str | None
    evidence_until: datetime | None
    state: Literal["active", "draining"]
    leaving: Leaving
    has_credential: bool
    revision: int
    refused: str | None
    running: int
    open: int
    call_s: float | None


class UpstreamPage(msgspec.Struct):
    """Upstreams by name; `after` asks for the next page, null: there is none."""

    upstreams: list[Upstream]
    after: str | None


class UpstreamChange(Change, frozen=True, kw_only=True):
    """What of the upstream `name` is to be another than it was at `revision`."""

    name: Annotated[str, msgspec.Meta(max_length=200)]
    revision: int


class UpstreamChanged(msgspec.Struct):
    """`refused`: why the upstream may not see content (null: it may)."""

    refused: str | None


class PriceVersion(msgspec.Struct):
    """What a million of each costs since `valid_from`, as decimals; null: it costs as what it is part of. `counts`: what the
    model is paid by (null: tokens). `sizes`: how many times `image` an image of a `SIZE,QUALITY` costs (`,`: any other)."""

    valid_from: datetime
    currency: str
    counts: Counts | None
    input: str
    cached: str
    output: str
    cache_write: str | None
    reasoning: str | None
    image: str | None
    audio: str | None
    sizes: dict[str, int] | None


class Route(msgspec.Struct):
    """Where a model runs. Lower ranks are tried first; of one rank the model's `routing` chooses, by `weight` or `cost`, a
    decimal: what a million tokens cost the operator there. `revision`: what a change is made to."""

    upstream: str
    their_name: str
    rank: int
    weight: int
    cost: str
    revision: int


class RouteChange(route_terms.Change, frozen=True, kw_only=True):
    """What of the route of `model` to `upstream` is to be another than it was at `revision`."""

    model: Annotated[str, msgspec.Meta(max_length=200)]
    upstream: Annotated[str, msgspec.Meta(max_length=200)]
    revision: int


class Model(msgspec.Struct):
    """A model: its size, where it runs, and its price now (null: it has none, so nobody can call it)."""

    id: str
    context_tokens: int
    output_tokens_max: int
    routing: str
    routes: list[Route]
    price: PriceVersion | None


class ModelPage(msgspec.Struct):
    """Models by their name; `after` asks for the next page, null: there is none."""

    models: list[Model]
    after: str | None


class NewPrice(msgspec.Struct, forbid_unknown_fields=True):
    """What a million tokens cost from now on, as decimals, for example "0.15"; parts that are not named stay as they are."""

    model: Annotated[str, msgspec.Meta(max_length=200)]
    input: Rate
    output: Rate
    cached: Rate | None = None


@get("/api/desk/upstreams")
async def list_upstreams(privacy: Privacy, home: Home, after: After = None, limit: Limit = PAGE_MAX) -> UpstreamPage:
    """The providers, with what is declared of each and how it does."""
    now = privacy.clock.now()
    async with privacy.database.tenant(PLATFORM) as c:
        rows = await offered.upstreams(c, after, limit)
        held = await documents.valid(c, now)
    seen = metrics.collect(home / "run" / metrics.FOLDER, watch.UPSTREAMS)
    figures = {name: {row.labels[0]: row.values[0] for row in seen.rows_of(name)} for name in seen.families}
    found = [_upstream(row, privacy.policy, held, now, figures) for row in rows]
    return UpstreamPage(found, found[-1].name if len(found) == limit else None)


@patch("/api/desk/upstreams")
async def change_upstream(data: JSONBody[UpstreamChange], staff: Staff, privacy: Privacy) -> UpstreamChanged:
    """Change what is said of an upstream; what is left out stays. Its next request goes there as it is now."""
    vault, now = privacy.vault, privacy.clock.now()
    async with privacy.database.tenant(PLATFORM) as c:
        made = await upstream_terms.change(c, vault, data.name, data, now, data.revision)
        states = {"before": made.before, "after": {"name": data.name, **made.after}}
        await vault.record_act(c, Act.of_platform(staff, "change upstream", **states))
    return UpstreamChanged(made.forbidden or None)


@get("/api/desk/models")
async def list_models(privacy: Privacy, after: After = None, limit: Limit = PAGE_MAX) -> ModelPage:
    """The models, with where they run and what they cost."""
    async with privacy.database.tenant(PLATFORM) as c:
        found = await offered.models(c, Seal.of(privacy.vault.ring), privacy.clock.now(), after, limit)
    return ModelPage([_model(each) for each in found], found[-1].row.id if len(found) == limit else None)


@patch("/api/desk/models/routes", status_code=204)
async def change_route(data: JSONBody[RouteChange], staff: Staff, privacy: Privacy) -> None:
    """Change how a model's route to an upstream is chosen; what is left out stays. It holds from the next request on."""
    async with privacy.database.tenant(PLATFORM) as c:
        made = await route_terms.change(c, data.model, data.upstream, data, data.revision)
        states = {"before": made.before, "after": {"model": data.model, "upstream": data.upstream, **made.after}}
        await privacy.vault.record_act(c, Act.of_platform(staff, "change route", **states))


@get("/api/desk/prices")
async def list_prices(privacy: Privacy, model: Annotated[str, QueryParameter(max_length=200)]) -> list[PriceVersion]:
    """Every version of a model's price, newest first, at most 100."""
    async with privacy.database.tenant(PLATFORM) as c:
        book = Prices()
        await book.load(c, Seal.of(privacy.vault.ring))
    return [_version(each) for each in book.versions(model)[:PAGE_MAX]]


@post("/api/desk/prices", status_code=204)
async def set_price(data: JSONBody[NewPrice], staff: Staff, privacy: Privacy) -> None:
    """Set what a model costs from now on; what runs is charged by the price under which it was reserved."""
    given = {name: _nano(name, value) for name in ("input", "output", "cached") if (value := getattr(data, name))}
    async with privacy.database.tenant(PLATFORM) as c:
        seal, now = Seal.of(privacy.vault.ring), privacy.clock.now()
        old, new = await offers.reprice(c, seal, data.model, given, now)
        states = {"before": old and _plain(old), "after": _plain(new)}
        await privacy.vault.record_act(c, Act.of_platform(staff, "set price", **states))


def _upstream(
    row: Row[Any], policy: Policy, held: frozenset[str], now: datetime, figures: Mapping[str, Mapping[str, float]]
) -> Upstream:
    told = row.processor, row.region, row.trains, row.retention_h, row.contract, row.evidence_until
    admission = admit(policy, Handling(*told), held, urlsplit(row.base_url).hostname or "", now)
    now_is = {name: rows.get(row.name) for name, rows in figures.items()}
    return Upstream(
        *(row.name, row.kind, row.base_url, *told, row.state, row.leaving, row.has_credential, row.revision),
        refused=None if admission.holds(now) else admission.reason,
        running=int(now_is[watch.RUNNING] or 0),
        open=int(now_is[watch.OPEN] or 0),
        call_s=now_is[watch.CALL_S] or None,
    )


def _model(each: offered.Model) -> Model:
    size = each.row.context_tokens, each.row.output_tokens_max, each.row.routing
    routes = [
        Route(row.upstream, row.their_name, row.rank, row.weight, money.text(row.cost_nano), row.revision)
        for row in each.routes
    ]
    return Model(each.row.id, *size, routes, None if each.price is None else _version(each.price))


def _version(price: Price) -> PriceVersion:
    return PriceVersion(price.valid_from, price.currency, price.counts, **_plain(price))


def _plain(price: Price) -> dict[str, Any]:
    nano = {name: getattr(price, f"{name}_nano") for name in RATES}
    return {name: None if each is None else money.text(each) for name, each in nano.items()} | {"sizes": price.sizes}


def _nano(name: str, value: str) -> int:
    try:
        return money.parse(value)
    except ValueError:
        raise BadInput("A price is a decimal with nine places at most, for example 0.15.", param=name) from None


ROUTES = (list_upstreams, change_upstream, list_models, change_route, list_prices, set_price)
