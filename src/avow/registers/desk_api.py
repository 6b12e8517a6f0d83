"""The desk's routes about the registers, for the operator's staff."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from avow.base.actor import PLATFORM, Actor
from avow.privacy.api import Privacy
from avow.registers import incidents
from avow.registers.incidents import Incident

PAGE_MAX = 100

Staff = NamedDependency[Actor]
Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)]
Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]


class IncidentPage(msgspec.Struct):
    """Incidents, newest first; `after` asks for the next page, null: there is none."""

    incidents: list[Incident]
    after: UUID | None


class Closing(msgspec.Struct, forbid_unknown_fields=True):
    """Why an incident is closed."""

    reason: Reason


@get("/api/desk/incidents")
async def list_incidents(
    privacy: Privacy,
    only_open: Annotated[bool, QueryParameter(name="open")] = True,
    after: Annotated[UUID | None, QueryParameter()] = None,
    limit: Limit = PAGE_MAX,
) -> IncidentPage:
    """What the operator has to look at: refused connections, and documents that ran out."""
    async with privacy.database.tenant(PLATFORM) as c:
        found = await incidents.listed(c, only_open=only_open, after=after, limit=limit)
    return IncidentPage(found, found[-1].id if len(found) == limit else None)


@post("/api/desk/incidents/{id:uuid}/close", status_code=204)
async def close_incident(id: FromPath[UUID], data: JSONBody[Closing], staff: Staff, privacy: Privacy) -> None:
    """Close an incident that was looked into; what happens again opens a new one."""
    async with privacy.database.tenant(PLATFORM) as c:
        await incidents.close(c, privacy.vault, staff, id, data.reason)


ROUTES = (list_incidents, close_incident)
