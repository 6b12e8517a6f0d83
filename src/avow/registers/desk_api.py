"""The desk's routes about the registers, for the operator's staff."""

from __future__ import annotations

import asyncio
import base64
import binascii
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody, PathParameter, QueryParameter

from avow.base.actor import PLATFORM
from avow.base.errors import BadInput
from avow.privacy.api import Desk, Privacy
from avow.privacy.desk import Home, Reason, Staff, check_reason
from avow.registers import book, documents, incidents, ropa
from avow.registers.book import Kept, Whose
from avow.registers.documents import Became, Shelf
from avow.registers.entries import APPROVERS, Entry, EntryRefused
from avow.registers.incidents import Incident
from avow.vault import Act

PAGE_MAX = 100
FILE_BODY_BYTES_MAX = 2 * documents.SIZE_MAX
"""JSON with the largest document in base 64."""

Time = Annotated[datetime, msgspec.Meta(tz=True)]
Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)]
EntryName = Annotated[str, PathParameter(max_length=100)]


class IncidentPage(msgspec.Struct):
    """Incidents, newest first; `after` asks for the next page, null: there is none."""

    incidents: list[Incident]
    after: UUID | None


class Closing(msgspec.Struct, forbid_unknown_fields=True):
    """Why an incident is closed."""

    reason: Reason = ""


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
    check_reason(data.reason)
    async with privacy.database.tenant(PLATFORM) as c:
        await incidents.close(c, privacy.vault, staff, id, data.reason)


class ListedEntry(msgspec.Struct):
    """An entry of the register. `refused`: the rule that it broke when it was made. `approved`: how many operators
    stand behind it of those `needed`; `sent`: how often something went."""

    id: UUID
    entry: Entry
    about_a_person: bool
    made_at: str
    refused: str | None
    approved: int
    needed: int
    ended: bool
    sent: int


class RegisterPage(msgspec.Struct):
    """Entries, newest first; `after` asks for the next page, null: there is none."""

    entries: list[ListedEntry]
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


class Document(msgspec.Struct):
    """A document behind a claim. `became`: what it is worth now: `valid`, `early`, `lapsed`, `missing`, `changed` or
    `withdrawn`."""

    id: UUID
    name: str
    issuer: str
    sha256: str
    size: int
    valid_from: datetime
    valid_until: datetime
    added_at: datetime
    became: Became


class Resting(msgspec.Struct):
    """What rests on a document of one name: the sentences that stand while it is valid, in both languages."""

    name: str
    valid: bool
    until: datetime | None
    en: list[str]
    zh: list[str]


class Shelved(msgspec.Struct):
    """What the policy's claims rest on, and a page of the documents, by what ends first; `after` asks for the next page."""

    claims: list[Resting]
    documents: list[Document]
    after: UUID | None


class NewDocument(msgspec.Struct, forbid_unknown_fields=True):
    """A document (`content` in base 64), the names by which the policy calls it, who issued it, and when it holds."""

    names: Annotated[list[str], msgspec.Meta(min_length=1, max_length=documents.NAMES_MAX)]
    content: str
    issuer: str
    valid_from: Time
    valid_until: Time


class Added(msgspec.Struct):
    """The SHA-256 of a document as it is kept (hexadecimal)."""

    sha256: str


class Withdrawal(msgspec.Struct, forbid_unknown_fields=True):
    """Which documents are taken away, and why."""

    name: Annotated[str, msgspec.Meta(max_length=100)]
    reason: Reason = ""


@get("/api/desk/evidence")
async def list_documents(
    privacy: Privacy, after: Annotated[UUID | None, QueryParameter()] = None, limit: Limit = PAGE_MAX
) -> Shelved:
    """The documents behind claims, those first that end first, and what rests on them."""
    now = privacy.clock.now()
    async with privacy.database.tenant(PLATFORM) as c:
        found = await documents.page(c, now, after, limit)
        ends = await documents.ends(c, now)
    claims: dict[str, Resting] = {}
    for clause in privacy.policy.clauses:
        if (name := clause.evidence) is not None:
            claim = claims.setdefault(name, Resting(name, name in ends, ends.get(name), [], []))
            claim.en.append(clause.en)
            claim.zh.append(clause.zh)
    last = found[-1]["id"] if len(found) == limit else None
    fields = Document.__struct_fields__
    return Shelved(list(claims.values()), [Document(*(each[name] for name in fields)) for each in found], last)


@post("/api/desk/evidence", status_code=201, request_max_body_size=FILE_BODY_BYTES_MAX)
async def add_document(data: JSONBody[NewDocument], staff: Staff, privacy: Privacy, home: Home) -> Added:
    """Keep a document; what rests on it stands on the pages as long as its dates hold."""
    try:
        content = await asyncio.to_thread(base64.b64decode, data.content, validate=True)
    except binascii.Error:
        raise BadInput("The content is not base 64.", param="content") from None
    shelf, dates = _shelf(privacy, home), (data.valid_from, data.valid_until)
    async with privacy.database.tenant(PLATFORM) as c:
        sha256 = await documents.hand_in(c, shelf, data.names, content, data.issuer, *dates)
        after = {"names": data.names, "sha256": sha256}
        await privacy.vault.record_act(c, Act.of_platform(staff, "add evidence", purpose="proof", after=after))
    return Added(sha256)


@post("/api/desk/evidence/withdraw", status_code=204)
async def withdraw_document(data: JSONBody[Withdrawal], staff: Staff, privacy: Privacy, home: Home) -> None:
    """Take the documents of a name away; the claims that rest on it leave the pages with this."""
    check_reason(data.reason)
    async with privacy.database.tenant(PLATFORM) as c:
        gone = await documents.hand_back(c, data.name)
        told = {"purpose": "proof", "reason": data.reason, "after": {"name": data.name}}
        await privacy.vault.record_act(c, Act.of_platform(staff, "withdraw evidence", **told))
    await asyncio.to_thread(documents.remove, _shelf(privacy, home), gone)


def _shelf(privacy: Desk, home: Path) -> Shelf:
    return Shelf(home, privacy.vault.ring, privacy.database, privacy.clock)


@get("/api/desk/ropa")
async def read_records(privacy: Privacy) -> dict[str, Any]:
    """The records of processing (GDPR Art. 30), with what was observed to go out."""
    async with privacy.database.tenant(PLATFORM) as c:
        return await ropa.records(c, privacy.vault)


def _listed(kept: Kept) -> ListedEntry:
    needed = APPROVERS.get(kept.entry.basis, 0)
    counts = kept.refusal, len(kept.approved), needed, kept.ended_at is not None, kept.sent
    return ListedEntry(kept.id, kept.entry, kept.whose.person, kept.made_at.isoformat(), *counts)


ROUTES = (
    *(list_incidents, close_incident, list_entries, make_entry, approve_entry, read_records),
    *(list_documents, add_document, withdraw_document),
)
