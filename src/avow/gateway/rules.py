"""What requests are judged by: the policy, the models with their upstreams, and the prices, as one value with an epoch.

The ledger answers every reservation with the epoch in force. A worker whose rules are of another epoch loads them anew and
judges the request again; until then a request costs a dictionary look-up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import Row, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts.directory import KeyRecord
from avow.base import money
from avow.base.actor import GATEWAY
from avow.base.db import Database
from avow.base.tables import policy_epoch
from avow.billing.prices import Prices, Seal
from avow.engines import llm
from avow.gateway import filters, handling, tables, upstreams
from avow.gateway.client import Target
from avow.gateway.filters import Filters
from avow.gateway.fleet import Route, Routing
from avow.gateway.handling import Admission, Handling
from avow.gateway.surfaces import Surface
from avow.gateway.upstreams import Upstream, Way
from avow.policy import NEVER, Never, Overrides, Plan, Policy, compile
from avow.registers import broker, documents, entries, incidents
from avow.vault import Vault

PART = "gateway"
CONTENT, USAGE, MONEY, CACHE = "api_content", "usage", "payment", "cache"
PLANS_MAX = 10_000
OPAQUE_SECRET = "opaque ids at upstreams"  # noqa: S105 (the name of a secret)

Only = tuple[Route, Way, Target]
Follow = Callable[[AsyncConnection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Model:
    """`id` is what clients ask for; `routes` are the upstreams where it runs, at least one."""

    id: str
    routes: tuple[Route, ...]
    context_tokens: int
    output_tokens_max: int
    routing: Routing = "finish"
    picture_tokens: int | None = None
    """The most tokens that a picture makes; None: it takes none."""
    stays_here: bool = field(init=False)
    """Whether nobody outside sees what is sent to any of its routes."""

    def __post_init__(self) -> None:
        here = all(route.upstream.processor is None for route in self.routes)
        object.__setattr__(self, "stays_here", here)

    def open_to(self, key: KeyRecord) -> bool:
        """Whether the key may use this model."""
        return key.models is None or self.id in key.models

    def seen_by(self, plan: Plan, at: datetime) -> Sequence[Route]:
        """The routes whose upstreams may see content, by the plan and by what is declared of them."""
        return self.routes if self.stays_here else _holding(self.allowed(plan), at)

    def allowed(self, plan: Plan) -> Sequence[Route]:
        """The routes whose upstreams may see content by the plan, were what is declared of them still true."""
        parties = ((route, route.upstream.processor) for route in self.routes)
        return [route for route, processor in parties if processor is None or plan.may_see(processor)]

    def reason(self, plan: Plan) -> str:
        """Why no upstream of this model may see content."""
        said = {
            route.upstream.admission.reason
            or f"{route.upstream.processor} is not among the parties that this key allows"
            for route in self.routes
        }
        return "; ".join(sorted(said))


class Terms:
    """What holds for every request of a key to a model by a surface, as long as the rules do; the periods, for a UTC day."""

    __slots__ = ("_day", "_kept", "_money", "_usage", "key", "model", "only", "plan", "routes")

    def __init__(self, rules: Rules, key: KeyRecord, model: Model, surface: Surface) -> None:
        self.key, self.model = key, model
        plan = self.plan = rules.plan(key)
        self.routes = [route for route in model.allowed(plan) if surface.name in route.upstream.ways]
        self.only = _only(self.routes, surface)
        self._day = 0

    def seen_by(self, at: datetime) -> Sequence[Route]:
        """The routes that offer the surface and may see content."""
        return self.routes if self.model.stays_here else _holding(self.routes, at)

    def ends(self, at: datetime) -> tuple[datetime | Never | None, datetime | None, datetime | None]:
        """The ends of the content, the charge and the usage of a request made at `at`, in UTC. What the ledger must write and the
        policy never keeps ends as it begins."""
        day = at.toordinal()
        if day != self._day:
            self._kept, self._money, self._usage = (self.plan.lasts(each, at) for each in (CONTENT, MONEY, USAGE))
            self._day = day
        kept, money, usage = self._kept, self._money, self._usage
        return (
            at + kept if isinstance(kept, timedelta) else kept,
            None if money is None else at if money is NEVER else at + money,
            None if usage is None else at if usage is NEVER else at + usage,
        )


def _holding(routes: Iterable[Route], at: datetime) -> Sequence[Route]:
    """Those of whose upstreams everything that has to be declared is, and is still valid."""
    return [route for route in routes if route.upstream.admission.holds(at)]


def _only(routes: Sequence[Route], surface: Surface) -> Only | None:
    """The only route there is, with its way and target, where it answers whole and in the dialect of the surface."""
    if len(routes) != 1 or surface.kept is not None or surface.takes_form:
        return None
    way, target = routes[0].upstream.ways[surface.name]
    if way.back is not None or way.only_streams or way.sends_form or way.dialect.wrap is not None:
        return None
    return routes[0], way, target


@dataclass(frozen=True, slots=True)
class Rules:
    """One epoch's rules. Immutable but for the plans and terms compiled so far."""

    epoch: int
    policy: Policy
    models: Mapping[str, Model]
    prices: Prices
    filters: Filters | None = None
    _plans: dict[tuple[int, int | None, int | None, int | None], Plan] = field(default_factory=dict, repr=False)
    _terms: dict[tuple[int, str, str], Terms] = field(default_factory=dict, repr=False)
    """Those of a key hold for its record as it was read: another record, and they are made anew in their place."""

    def terms(self, key: KeyRecord, model_id: str, surface: Surface) -> Terms | None:
        """The terms of a key for a model and a surface; None: there is no such model for it."""
        name = (key.key_id.int, model_id, surface.name)
        terms = self._terms.get(name)
        if terms is None or terms.key is not key:
            model = self.models.get(model_id)
            if model is None or not model.open_to(key):
                return None
            if len(self._terms) >= PLANS_MAX:
                self._terms.clear()
            terms = self._terms[name] = Terms(self, key, model, surface)
        return terms

    def plan(self, key: KeyRecord) -> Plan:
        """What may be stored of this key's requests, and who may see them."""
        name = (key.key_id.int, key.keep_h, key.project_keep_h, key.tenant_keep_h)
        plan = self._plans.get(name)
        if plan is None:
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            wishes = (overrides(each) for each in (key.tenant_keep_h, key.project_keep_h, key.keep_h))
            plan = self._plans[name] = compile(self.policy, *wishes, epoch=self.epoch)
        return plan


class RuleBook:
    """The rules in force, and how to get newer ones."""

    def __init__(self, load: Callable[[], Awaitable[Rules]]) -> None:
        self._load = load
        self._lock = asyncio.Lock()
        self._current: Rules | None = None

    @property
    def current(self) -> Rules:
        assert self._current is not None, "await start() first"
        return self._current

    async def start(self) -> None:
        self._current = await self._load()

    async def renew(self, epoch: int) -> Rules:
        """Rules at least as new as `epoch`; many who ask at once cause one load."""
        async with self._lock:
            if self.current.epoch < epoch:
                self._current = await self._load()
        return self.current


async def load(
    database: Database,
    vault: Vault,
    engine: llm.Engine | None,
    follow: Follow | None = None,
    currency: str = money.CURRENCY,
) -> Rules:
    """The rules of the epoch in force, read as role `app`, under the vault's policy, which `follow` brings up to date."""
    async with database.begin() as connection:
        # The epoch first: what changes while the rest is read makes it stale, never the other way round.
        epoch = await connection.scalar(select(policy_epoch.c.epoch))
        if follow is not None:
            await follow(connection)
        prices = Prices()
        await prices.load(connection, Seal.of(vault.ring), currency)
        held = await documents.valid(connection, vault.clock.now())
        models, searched = await _models(connection, vault, engine, held), filters.build(vault.policy)
        return Rules(epoch or 0, vault.policy, models, prices, searched)


async def _models(
    connection: AsyncConnection, vault: Vault, engine: llm.Engine | None, held: frozenset[str]
) -> dict[str, Model]:
    """The models that run anywhere, by id: upstreams that are draining, and an engine that does not run, are left out."""
    found: dict[UUID, Upstream] = {}
    for row in await connection.execute(select(tables.upstream).where(tables.upstream.c.state == "active")):
        if row.kind == "engine" and engine is not None:
            found[row.id] = upstreams.engine(row.name, engine)
        elif row.kind in upstreams.KINDS:
            found[row.id] = await _provider(connection, row, vault, held)
    routes: dict[str, list[Route]] = {}
    for row in await connection.execute(select(tables.route).order_by(tables.route.c.rank)):
        if row.upstream_id in found:
            made = Route(found[row.upstream_id], row.their_name, row.rank, row.weight, row.cost_nano)
            routes.setdefault(row.model_id, []).append(made)
    rows = await connection.execute(select(tables.model).order_by(tables.model.c.id))
    return {
        row.id: Model(
            row.id, tuple(routes[row.id]), row.context_tokens, row.output_tokens_max, row.routing, row.picture_tokens
        )
        for row in rows
        if row.id in routes
    }


async def _provider(c: AsyncConnection, row: Row[Any], vault: Vault, held: frozenset[str]) -> Upstream:
    declared = Handling(
        *(row.processor, row.region, row.trains, row.retention_h, row.contract, row.evidence_until),
    )
    return upstreams.provider(
        row.kind,
        row.name,
        row.base_url,
        _credential(row, vault),
        processor=row.processor,
        admission=await _admission(c, row, vault, declared, held),
        opaque_key=vault.ring.secret(OPAQUE_SECRET, create=True) or b"",
        leaving=row.leaving,
        revision=row.revision,
    )


async def _admission(
    c: AsyncConnection, row: Row[Any], vault: Vault, declared: Handling, held: frozenset[str]
) -> Admission:
    """Whether an upstream may see content: by what is declared of it, and by the rules of the register; asked once, here.

    What is observed stands in the register, and so does an attempt to offer a model at a party that nobody named.
    """
    now, host = vault.clock.now(), urlsplit(row.base_url).hostname or ""
    admission = handling.admit(vault.policy, declared, held, host, now)
    if admission.holds(now):
        if not broker.is_here(host):
            await broker.note_flow(c, PART, host, row.processor or entries.OWN, now)
    elif row.processor is not None and await _is_foreign(c, row, vault.policy):
        await incidents.note(c, "egress", PART, host, now)
    return admission


async def _is_foreign(c: AsyncConnection, row: Row[Any], policy: Policy) -> bool:
    """Whether models are offered at a party that the policy does not name."""
    named = f"processor.{row.processor}" in policy.parts
    return not named and bool(await c.scalar(select(exists().where(tables.route.c.upstream_id == row.id))))


def _credential(row: Row[Any], vault: Vault) -> str:
    if row.credential is None:
        return ""
    return vault.open_credential(tables.upstream.name, row.id, row.credential, GATEWAY)


def overrides(keep_h: int | None) -> Overrides | None:
    """What a level asks for that wishes content to be kept for so many hours: answers to be given again are content too."""
    return None if keep_h is None else Overrides({CONTENT: keep_h, CACHE: keep_h})
