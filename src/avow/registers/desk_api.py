"""The desk's routes about the registers, for the operator's staff."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, PathParameter, QueryParameter

from avow.base.actor import PLATFORM, Actor
from avow.base.errors import BadInput
from avow.privacy.api import Privacy
from avow.registers import book, incidents, ropa
from avow.registers.book import Kept, Whose
from avow.registers.entries import Entry, EntryRefused
from avow.registers.incidents import Incident

PAGE_MAX = 100

Staff = NamedDependency[Actor]
Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)]
EntryName = Annotated[str, PathParameter(max_length=100)]
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


class Listed(msgspec.Struct):
    """An entry of the register. `refused`: the rule that it broke when it was made. `approved`, `sent`: how many operators
    stand behind it, how often something went."""

    id: UUID
    entry: Entry
    about_a_person: bool
    made_at: str
    refused: str | None
    approved: int
    ended: bool
    sent: int


class RegisterPage(msgspec.Struct):
    """Entries, newest first; `after` asks for the next page, null: there is none."""

    entries: list[Listed]
    after: UUID | None


class NewEntry(msgspec.Struct, forbid_unknown_fields=True):
    """An entry, why it is made, whose data it is about (null: nobody's in particular), and the legal process in base 64."""

    entry: Entry
    reason: Annotated[str, msgspec.Meta(max_length=4000)] = ""
    tenant: UUID | None = None
    subject: UUID | None = None
    process: Annotated[str, msgspec.Meta(max_length=1 << 21)] = ""


@get("/api/desk/register")
async def list_entries(
    privacy: Privacy, after: Annotated[UUID | None, QueryParameter()] = None, limit: Limit = PAGE_MAX
) -> RegisterPage:
    """Who gets what on which ground, and what was refused."""
    async with privacy.database.tenant(PLATFORM) as c:
        found = [_listed(kept) for kept in await book.listed(c, after, limit)]
    return RegisterPage(found, found[-1].id if len(found) == limit else None)


@post("/api/desk/register", status_code=204)
async def make_entry(data: JSONBody[NewEntry], staff: Staff, privacy: Privacy) -> None:
    """Enter a recipient; one that breaks a rule is refused with its name, and the refusal stays on record."""
    if (data.tenant is None) != (data.subject is None):
        raise BadInput("Name the person and their organisation, or neither.", param="subject")
    whose = Whose() if data.tenant is None or data.subject is None else Whose(data.tenant, data.subject)
    try:
        process = base64.b64decode(data.process, validate=True)
    except binascii.Error:
        raise BadInput("The process is not base 64.", param="process") from None
    async with privacy.database.tenant(whose.tenant_id) as c:
        refusal = await book.propose(
            *(c, privacy.vault, staff, f"staff:{staff.id}", data.entry, whose), data.reason, process
        )
    if refusal is not None:
        raise EntryRefused(refusal, data.entry.name)


@post("/api/desk/register/{name:str}/approve", status_code=204)
async def approve_entry(name: EntryName, staff: Staff, privacy: Privacy) -> None:
    """Stand behind an entry that somebody else made."""
    async with privacy.database.tenant(PLATFORM) as c:
        await book.approve(c, privacy.vault, staff, f"staff:{staff.id}", name)


@get("/api/desk/ropa")
async def read_records(privacy: Privacy) -> dict[str, Any]:
    """The records of processing (GDPR Art. 30), with what was observed to go out."""
    async with privacy.database.tenant(PLATFORM) as c:
        return await ropa.records(c, privacy.vault)


def _listed(kept: Kept) -> Listed:
    counts = kept.refusal, len(kept.approved), kept.ended_at is not None, kept.sent
    return Listed(kept.id, kept.entry, kept.whose.person, kept.made_at.isoformat(), *counts)


ROUTES = (list_incidents, close_incident, list_entries, make_entry, approve_entry, read_records)
