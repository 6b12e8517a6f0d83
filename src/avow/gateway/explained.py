"""Why a request was stored as it was: each value that holds for it, the level that set it, and the clause behind it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, or_, select

from avow.accounts.needs import Needs
from avow.accounts.ownership import readable
from avow.accounts.people import own
from avow.accounts.tables import api_key, project, tenant
from avow.base.actor import Actor
from avow.base.errors import NotFound
from avow.billing.tables import usage
from avow.gateway.rules import CONTENT, overrides
from avow.gateway.tables import trace
from avow.policy import NEVER, Line, compile, explain

HOUR = timedelta(hours=1)


class Explained(msgspec.Struct):
    """The policy of one request. `policy` is the hash of the one in force, by which this is explained; `policy_version` the
    one under which the request was made. `stored`: what was said can be read until `expires_at`."""

    id: UUID
    at: datetime
    policy: str
    policy_version: int
    stored: bool
    expires_at: datetime | None
    lines: list[Line]


async def of(needs: Needs, who: Actor, request_id: UUID) -> Explained:
    """Explain one of somebody's own requests, kept or not. Raises NotFound for one that is not there or has ended."""
    tenant_id, subject_id = own(who)
    now = needs.clock.now()
    query = (
        select(usage, api_key.c.keep_h.label("key_h"), project.c.keep_h.label("project_h"))
        .add_columns(tenant.c.keep_h.label("tenant_h"))
        .add_columns(trace.c.id.label("trace_id"), trace.c.ends_at.label("trace_ends_at"))
        .outerjoin(api_key, api_key.c.id == usage.c.key_id)
        .outerjoin(project, project.c.id == api_key.c.project_id)
        .outerjoin(tenant, tenant.c.tenant_id == usage.c.tenant_id)
        .outerjoin(trace, (trace.c.id == usage.c.id) & or_(trace.c.ends_at.is_(None), trace.c.ends_at > now))
        .where(usage.c.id == request_id, readable(tenant_id, subject_id, usage.c.subject_id, usage.c.key_id))
        .where(or_(usage.c.ends_at.is_(None), usage.c.ends_at > now))
    )
    async with needs.database.tenant(tenant_id) as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound
    return _explained(needs, row)


def _explained(needs: Needs, row: Row[Any]) -> Explained:
    policy, levels = needs.policy, (overrides(row.tenant_h), overrides(row.project_h), overrides(row.key_h))
    planned = compile(policy, *levels).end(CONTENT, row.since)
    header_h = None
    if row.trace_ends_at is not None and planned is not NEVER and (planned is None or row.trace_ends_at < planned):
        # The header itself is kept nowhere; that it shortened the period shows in the end.
        header_h = round((row.trace_ends_at - row.since) / HOUR)
    lines = explain(policy, *levels, header_h=header_h, since=row.since)
    return Explained(
        id=row.id,
        at=row.since,
        policy=policy.hash,
        policy_version=row.policy_version,
        stored=row.trace_id is not None,
        expires_at=row.trace_ends_at,
        lines=list(lines),
    )
