"""What people can see and end of their own requests: that they were made, what they cost, and what was kept of them."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import ColumnElement, Row, Select, delete, or_, select

from avow.accounts import acts
from avow.accounts.needs import Needs
from avow.accounts.ownership import readable
from avow.accounts.people import own
from avow.base import money
from avow.base.actor import Actor
from avow.base.errors import NotFound
from avow.billing.tables import charge, usage
from avow.gateway.rules import CONTENT
from avow.gateway.tables import cached_answer, trace
from avow.vault import Gone, Ref

CHUNK_ROWS = 100


class ListedRequest(msgspec.Struct, frozen=True):
    """One request. `cost` is a decimal in the wallet's currency; `stored`: what was said can be read until `expires_at`
    (null: as long as the account)."""

    id: UUID
    at: datetime
    model: str
    input_tokens: int
    output_tokens: int
    latency_ms: int
    status: int
    cost: str
    stored: bool
    expires_at: datetime | None


class ShownRequest(msgspec.Struct, frozen=True):
    """One request, as it is listed; what is left of it once its usage has ended goes without what the usage told. `request`
    and `response` are what was said, each only where it is kept and can still be read."""

    id: UUID
    at: datetime
    stored: bool
    expires_at: datetime | None
    model: str | UnsetType = UNSET
    input_tokens: int | UnsetType = UNSET
    output_tokens: int | UnsetType = UNSET
    latency_ms: int | UnsetType = UNSET
    status: int | UnsetType = UNSET
    cost: str | UnsetType = UNSET
    request: Any = UNSET
    response: Any = UNSET


async def listed(needs: Needs, who: Actor, after: UUID | None, limit: int) -> list[ListedRequest]:
    """One's own requests, newest first, at most `limit` of them older than the request `after`."""
    tenant_id, subject_id = own(who)
    mine = readable(tenant_id, subject_id, usage.c.subject_id, usage.c.key_id)
    query = _listing(needs.clock.now()).where(mine)
    if after is not None:
        query = query.where(usage.c.id < after)
    async with needs.database.tenant(tenant_id) as connection:
        rows = (await connection.execute(query.order_by(usage.c.id.desc()).limit(limit))).all()
    return [_listed(row) for row in rows]


async def read(needs: Needs, who: Actor, request_id: UUID) -> ShownRequest:
    """One of somebody's own requests, and what was asked and answered where it is kept, opened for its owner. Raises NotFound
    for one that is not there or has ended."""
    tenant_id, subject_id = own(who)
    now = needs.clock.now()
    used = _listing(now).where(
        usage.c.id == request_id, readable(tenant_id, subject_id, usage.c.subject_id, usage.c.key_id)
    )
    said = select(trace).where(trace.c.id == request_id, _mine(tenant_id, subject_id), _alive(now))
    async with needs.database.tenant(tenant_id) as connection:
        row = (await connection.execute(used)).one_or_none()
        kept = (await connection.execute(said)).one_or_none()
        content: dict[str, Any] = {"stored": False, "expires_at": None}
        if kept is not None:
            ref = Ref(tenant_id, trace.name, CONTENT, kept.id, kept.subject_id)
            opened = await needs.vault.open(connection, ref, kept.box, "access", who)
            if opened is not Gone:
                content = {"at": kept.since, "stored": True, "expires_at": kept.ends_at, **opened}
    if row is None and not content["stored"]:
        raise NotFound
    told = {"id": request_id} if row is None else msgspec.structs.asdict(_listed(row))
    return ShownRequest(**told | content)


async def end(needs: Needs, who: Actor, request_id: UUID) -> None:
    """Delete what was kept of a request, also of its answer for being given again: row and bytes now, its key when its hour
    ends. Raises NotFound.

    Its tombstone is durable before the row is gone, so that no backup brings it back.
    """
    tenant_id, subject_id = own(who)
    mine = delete(trace).where(trace.c.id == request_id, _mine(tenant_id, subject_id))
    async with needs.database.tenant(tenant_id) as connection:
        if not (await connection.execute(mine)).rowcount:
            raise NotFound
        await connection.execute(delete(cached_answer).where(cached_answer.c.id == request_id))
        await acts.note(needs, connection, who, "delete content", category=CONTENT, after={"request": request_id})
        await asyncio.to_thread(_bury, needs, [request_id])


async def end_many(needs: Needs, who: Actor, since: datetime | None, until: datetime | None) -> int:
    """Delete what was kept of all one's own requests (of those made from `since` until before `until`), as `end` does;
    returns of how many. Chunk by chunk: what was deleted stays so when this is broken off."""
    tenant_id, subject_id = own(who)
    chosen = select(trace.c.id).where(_mine(tenant_id, subject_id)).order_by(trace.c.id).limit(CHUNK_ROWS)
    chosen = chosen if since is None else chosen.where(trace.c.since >= since)
    chosen = chosen if until is None else chosen.where(trace.c.since < until)
    total = 0
    while True:
        async with needs.database.tenant(tenant_id) as connection:
            found = list((await connection.execute(chosen)).scalars())
            for table in (trace, cached_answer):
                await connection.execute(delete(table).where(table.c.id.in_(found)))
            if found:
                await acts.note(needs, connection, who, "delete content", category=CONTENT, after={"requests": found})
            await asyncio.to_thread(_bury, needs, found)
        total += len(found)
        if len(found) < CHUNK_ROWS:
            return total


def _mine(tenant_id: UUID, subject_id: UUID) -> ColumnElement[bool]:
    """A trace does not name its key; the usage of the same request does, while it lives."""
    key_id = select(usage.c.key_id).where(usage.c.id == trace.c.id).scalar_subquery()
    return readable(tenant_id, subject_id, trace.c.subject_id, key_id)


def _bury(needs: Needs, ids: list[UUID]) -> None:
    for each in ids:
        for table in (trace, cached_answer):
            needs.tombstones.bury_item(table.name, each, needs.clock.now())


def _listing(now: datetime) -> Select[Any]:
    """What has ended is hidden although the sweep may not have come yet."""
    return (
        select(usage, charge.c.amount, trace.c.id.label("trace_id"), trace.c.ends_at.label("trace_ends_at"))
        .outerjoin(charge, charge.c.id == usage.c.id)
        .outerjoin(trace, (trace.c.id == usage.c.id) & _alive(now))
        .where(or_(usage.c.ends_at.is_(None), usage.c.ends_at > now), usage.c.why != "void")
    )


def _alive(now: datetime) -> ColumnElement[bool]:
    return or_(trace.c.ends_at.is_(None), trace.c.ends_at > now)


def _listed(row: Row[Any]) -> ListedRequest:
    return ListedRequest(
        id=row.id,
        at=row.since,
        model=row.model,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        latency_ms=row.latency_ms,
        status=row.status,
        cost=money.text(row.amount or 0),
        stored=row.trace_id is not None,
        expires_at=row.trace_ends_at,
    )
