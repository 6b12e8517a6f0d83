"""A plan against what is there, and carried out. Only what is missing is made: upstreams and models in one transaction, then
each key in one of its own, so that an import that was cut short goes on when it is run again."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import key_text, keys, people, permissions
from avow.accounts.needs import Needs
from avow.accounts.tables import api_key, person
from avow.base import money
from avow.base.actor import COMMAND, Actor
from avow.base.db import Database
from avow.base.errors import AvowError
from avow.billing import prices
from avow.gateway import offers, tables
from avow.gateway.handling import Handling, judge
from avow.gateway.offers import Offer
from avow.imports.plan import Key, Model, Plan, Price, Route, Upstream
from avow.vault import Act

Step = Literal["make", "there", "left"]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing of a plan: `make` it (or made), it is `there`, or it is `left` out. `secret`: of a new key, shown once."""

    step: Step
    what: str
    detail: str = ""
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class _Missing:
    """What of upstreams and models is not there, and a line for each that is planned."""

    upstreams: list[Upstream]
    offers: list[Offer]
    lines: list[Line]


async def look(needs: Needs, keeper: Database, plan: Plan) -> AsyncIterator[Line]:
    """What carrying a plan out would do. Changes nothing."""
    async with keeper.begin() as c:
        missing = await _compare(c, needs, plan)
    for line in missing.lines:
        yield line
    for key in plan.keys:
        yield await _standing(needs, keeper, plan, key)
    for line in _left(plan):
        yield line


async def carry_out(needs: Needs, keeper: Database, plan: Plan, reason: str | None = None) -> AsyncIterator[Line]:
    """Make what is missing. The line of a key comes before the key: who is killed in between makes another one next time."""
    async with keeper.begin() as c:
        missing = await _compare(c, needs, plan)
        for upstream in missing.upstreams:
            declared = Handling(upstream.processor)
            await offers.put_upstream(
                c, needs.vault, upstream.name, upstream.base_url, upstream.credential, declared, upstream.kind
            )
        for offer in missing.offers:
            await offers.put_model(c, offer, needs.clock.now(), prices.Seal.of(needs.vault.ring))
        if missing.upstreams or missing.offers:
            after = {
                "from": plan.source,
                "upstreams": [each.name for each in missing.upstreams],
                "models": [each.id for each in missing.offers],
            }
            await needs.vault.record_act(c, Act.of_platform(COMMAND, "import", reason=reason, after=after))
    for line in missing.lines:
        yield line
    for key in plan.keys:
        async for line in _make(needs, keeper, plan, key, reason):
            yield line
    for line in _left(plan):
        yield line


async def _make(needs: Needs, keeper: Database, plan: Plan, key: Key, reason: str | None) -> AsyncIterator[Line]:
    line = await _standing(needs, keeper, plan, key)
    owner = await _owner(needs, keeper, key.owner) if line.step == "make" else None
    if owner is None:
        yield line
        return
    text = key_text.make()
    yield Line("make", line.what, line.detail, text.text)
    id = _id(needs, plan, key, owner)
    try:
        await keys.create(needs, owner, key.setting, by=COMMAND, reason=reason, id=id, text=text)
    except AvowError as wrong:
        yield Line("left", line.what, f"the key above is void: {wrong.sentence}")


async def _standing(needs: Needs, keeper: Database, plan: Plan, key: Key) -> Line:
    what = f"key {key.setting.name or '(no name)'}"
    owner = await _owner(needs, keeper, key.owner)
    if owner is None:
        return Line("left", what, f"{key.owner} has no account here in which keys can be made: they sign up first")
    async with keeper.begin() as c:
        known = await c.scalar(select(api_key.c.state).where(api_key.c.id == _id(needs, plan, key, owner)))
    if known is not None:
        return Line("there", what, f"of {key.owner}, {known}")
    return Line("make", what, f"for {key.owner}: {_terms(key)}")


async def _owner(needs: Needs, keeper: Database, address: str) -> Actor | None:
    """The person with an address, if they may have keys."""
    found = await people.find(needs, address)
    if found is None:
        return None
    async with keeper.begin() as c:
        role = await c.scalar(select(person.c.role).where(person.c.id == found.subject_id))
    return people.actor(found.tenant_id, found.subject_id) if role in permissions.WORKING else None


def _id(needs: Needs, plan: Plan, key: Key, owner: Actor) -> UUID:
    """The id that this key always has for this owner, and from which nobody learns what it was called there.

    A UUID of version 8 (RFC 9562 §5.8): 122 bits of a keyed hash.
    """
    said = "\x00".join(("avow import", plan.source, key.origin, str(owner.subject_id)))
    number = int.from_bytes(hmac.digest(needs.pepper, said.encode(), hashlib.sha256)[:16], "big")
    return UUID(int=number & ~(0xF << 76) & ~(0x3 << 62) | (0x8 << 76) | (0x2 << 62))


async def _compare(c: AsyncConnection, needs: Needs, plan: Plan) -> _Missing:
    now = needs.clock.now()
    found = _Missing([], [], [])
    rows = {row.name: row for row in await c.execute(select(tables.upstream))}
    usable = set()
    for upstream in plan.upstreams:
        row = rows.get(upstream.name)
        if row is not None and (row.kind, row.base_url) != (upstream.kind, upstream.base_url):
            why = f"another upstream has this name: {row.kind} at {row.base_url}"
            found.lines.append(Line("left", f"upstream {upstream.name}", why))
            continue
        usable.add(upstream.name)
        if row is None:
            found.upstreams.append(upstream)
            found.lines.append(_new_upstream(needs, upstream, now))
        else:
            found.lines.append(Line("there", f"upstream {upstream.name}", f"{row.kind} at {row.base_url}"))
    for model in plan.models:
        await _compare_model(c, needs, model, usable, found)
    return found


def _new_upstream(needs: Needs, upstream: Upstream, now: datetime) -> Line:
    detail = f"{upstream.kind} at {upstream.base_url}, {upstream.origin}"
    admission = judge(needs.vault.policy, Handling(upstream.processor))
    if not admission.holds(now):
        detail += f"; it gets no content yet: {admission.reason}"
    return Line("make", f"upstream {upstream.name}", detail)


async def _compare_model(c: AsyncConnection, needs: Needs, model: Model, usable: set[str], found: _Missing) -> None:
    row = (await c.execute(select(tables.model).where(tables.model.c.id == model.id))).one_or_none()
    of_it = select(tables.upstream.c.name).join(tables.route).where(tables.route.c.model_id == model.id)
    there = set((await c.execute(of_it)).scalars())
    routes = [route for route in model.routes if route.upstream in usable and route.upstream not in there]
    if row is None and not routes:
        found.lines.append(Line("left", f"model {model.id}", "none of its upstreams can be made"))
        return
    if row is not None:
        model = await _as_it_is(c, needs, model, row)
    found.offers.extend(_offer(model, route) for route in routes)
    at = ", ".join(_shown(route) for route in routes)
    if row is None:
        price = f"{money.text(model.price.input_nano)} in, {money.text(model.price.output_nano)} out per million tokens"
        found.lines.append(Line("make", f"model {model.id}", f"{price}; {model.routing}; at {at}"))
    elif routes:
        found.lines.append(Line("make", f"model {model.id}", f"is there; it gets more routes: at {at}"))
    else:
        found.lines.append(Line("there", f"model {model.id}"))


async def _as_it_is(c: AsyncConnection, needs: Needs, model: Model, row: Row[Any]) -> Model:
    """A model with the size, routing and price that it has here: an import changes none of them."""
    book = prices.Prices()
    await book.load(c, prices.Seal.of(needs.vault.ring))
    try:
        known = book.of(model.id, needs.clock.now())
    except prices.ModelHasNoPrice:
        price = model.price
    else:
        price = Price(**{column.name: getattr(known, column.name) for column in fields(Price)})
    return Model(
        model.id,
        price,
        model.routes,
        row.routing,
        row.context_tokens,
        row.output_tokens_max,
    )


def _offer(model: Model, route: Route) -> Offer:
    return Offer(
        id=model.id,
        upstream=route.upstream,
        their_name=route.their_name,
        context_tokens=model.context_tokens,
        output_tokens_max=model.output_tokens_max,
        **asdict(model.price),
        routing=model.routing,
        rank=route.rank,
        weight=route.weight,
    )


def _shown(route: Route) -> str:
    return f"{route.upstream} as {route.their_name} (rank {route.rank}, weight {route.weight})"


def _terms(key: Key) -> str:
    """What a key may do, in words."""
    setting, limits = key.setting, key.setting.limits
    said = [
        f"{word} {money.text(amount)}"
        for word, amount in (
            ("a day", limits.budget_day_nano),
            ("a month", limits.budget_month_nano),
            ("in all", limits.budget_total_nano),
        )
        if amount is not None
    ]
    said += [f"{limits.requests_per_min} requests a minute"] if limits.requests_per_min else []
    said += [f"{limits.tokens_per_min} tokens a minute"] if limits.tokens_per_min else []
    said += [f"until {setting.expires_at:%Y-%m-%d %H:%M}"] if setting.expires_at else []
    said += [f"models {', '.join(setting.models)}"] if setting.models else []
    said += [f"from {', '.join(setting.networks)}"] if setting.networks else []
    return "; ".join(said) or "no limits"


def _left(plan: Plan) -> list[Line]:
    return [Line("left", each.what, each.why) for each in plan.left]
