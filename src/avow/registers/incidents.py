"""Incidents: what the operator has to look at. What happens again is counted, so that a stranger cannot fill the list."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.actor import Actor
from avow.base.errors import NotFound
from avow.base.ids import uuid7
from avow.registers.tables import incident
from avow.vault import Act, Vault

Kind = Literal["egress", "evidence"]

ABOUT_CHARS_MAX = 253
"""As long as the name of a host can be (RFC 1035 §2.3.4)."""
_NOTE = text("SELECT incident_note(:id, :kind, :part, :about, :at)")
_CLOSE = text("SELECT incident_close(:id, :who, :at)")


class IncidentUnknown(NotFound):
    """There is no such open incident."""

    code = "incident_unknown"
    hint = "GET /api/desk/incidents lists those that are open."


class Incident(msgspec.Struct):
    """One incident: `kind` `egress` (a connection was refused; `about` is the host, or the entry of the register) or
    `evidence` (a document stands behind its claim no more; `about` is its name)."""

    id: UUID
    kind: Literal["egress", "evidence"]
    part: str
    about: str
    first_at: datetime
    last_at: datetime
    count: int
    closed_at: datetime | None
    closed_by: str | None


async def note(c: AsyncConnection, kind: Kind, part: str, about: str, at: datetime) -> None:
    """Write an incident down, or count one that is open already."""
    row = {"id": uuid7(), "kind": kind, "part": part, "about": about[:ABOUT_CHARS_MAX], "at": at}
    await c.execute(_NOTE, row)


async def listed(c: AsyncConnection, *, only_open: bool, after: UUID | None, limit: int) -> list[Incident]:
    """Incidents, newest first, at most `limit` behind `after`."""
    query = select(incident).order_by(incident.c.id.desc()).limit(limit)
    if only_open:
        query = query.where(incident.c.closed_at.is_(None))
    if after is not None:
        query = query.where(incident.c.id < after)
    return [Incident(**row) for row in (await c.execute(query)).mappings()]


async def close(c: AsyncConnection, vault: Vault, who: Actor, id: UUID, reason: str) -> None:
    """Close an incident; who did and why stands on the platform's record. Raises IncidentUnknown."""
    if not await c.scalar(_CLOSE, {"id": id, "who": f"{who.kind}:{who.id}", "at": vault.clock.now()}):
        raise IncidentUnknown
    after = {"incident": id}
    await vault.record_act(c, Act.of_platform(who, "close incident", purpose="proof", reason=reason, after=after))


async def settle(c: AsyncConnection, kind: Kind, about: str, at: datetime) -> None:
    """Close what is right again by itself; as the keeper."""
    mine = incident.c.kind == kind, incident.c.about == about, incident.c.closed_at.is_(None)
    await c.execute(update(incident).where(*mine).values(closed_at=at, closed_by="system:keeper"))
