"""The routes of privacy requests. `person` is somebody signed in by cookie, `proved` whether they showed who they are not
long ago; a receipt is read with its token alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

import msgspec
from litestar import Response, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter
from litestar.response import Stream
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.actor import Actor
from avow.base.clock import Clock
from avow.base.db import Database
from avow.base.errors import BadInput, NotFound
from avow.policy import Policy, asking, cookies
from avow.privacy import archive, consents, copies, progress, requests, standings, stored
from avow.privacy.archive import Copy
from avow.privacy.consent_receipts import Maker, Record
from avow.privacy.consents import Asked, Directed, NoticeChanged, SignalHonoured
from avow.privacy.copies import Shelf
from avow.privacy.letters import AUTHORITIES
from avow.privacy.needs import Admit, Identity, Leaving, Rectify, Signer, Tell
from avow.privacy.progress import Progress
from avow.privacy.requests import Kind, NotProved, State
from avow.privacy.standings import Whose
from avow.privacy.stored import Stored
from avow.vault import Gone, Opened, Vault

TOKEN_HEADER = "avow-receipt-token"  # noqa: S105  the name of a header
STEP_UP: Final = frozenset({"erase", "access", "port", "rectify"})
"""Kinds that destroy, reveal or change: who asks shows who they are. The others only hold back, and taking a consent back
must be as easy as giving it (GDPR Art. 7(3))."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes need; `database` speaks as role `avow_app`. `installed`: the parts whose sentences are published."""

    database: Database
    vault: Vault
    clock: Clock
    identity: Identity
    leaving: Leaving
    rectify: Rectify
    tell: Tell
    admit: Admit
    complete: Callable[[bytes], bytes]
    """Adds to a receipt the proof that it stands in the log, once it does."""
    sign: Signer
    base_url: str
    installed: frozenset[str] = frozenset()
    directed: Directed = consents.nowhere

    @property
    def policy(self) -> Policy:
        return self.vault.policy

    @property
    def maker(self) -> Maker:
        return Maker(self.sign, self.base_url)

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.database, self.vault)


Privacy = NamedDependency[Desk]
Person = NamedDependency[Actor]
Proved = NamedDependency[bool]
Signal = Annotated[str, HeaderParameter(name=cookies.GPC_HEADER, max_length=100)]
"""What the browser says of Global Privacy Control."""
NoticeHash = Annotated[str | None, QueryParameter(name="notice", max_length=64)]
"""The hash of the text that was shown; to give a consent it is needed."""
BeforeRecord = Annotated[UUID | None, QueryParameter(name="before")]


class NewRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody asks. `password`: for what destroys, reveals or changes, unless they have just shown who they are.

    `purpose`: what an objection or a withdrawal is about; `fields`: what to put right, by name, null takes one out;
    `place`: the country where they live (`DE`, `US-CA`), for the due date.
    """

    kind: Kind
    password: str | None = None
    text: str | None = None
    purpose: str | None = None
    place: str | None = None
    fields: dict[str, Any] | None = None


class Request(msgspec.Struct):
    """A request as its person sees it. `times` says when it came into each state; `plan`, for each store, what ends how or
    what is copied, null until it is worked on. `text` and `answer`, what was written, come with a single request; a
    refused one names the data protection authorities to which one can complain. `copied` counts the facts of a copy so
    far, which can be fetched until `copy_ends_at` (null: nothing to fetch)."""

    id: UUID
    kind: Kind
    purpose: str | None
    state: State
    times: dict[str, str]
    received_at: datetime
    due_at: datetime
    changed_at: datetime
    reason: str | None
    plan: list[dict[str, Any]] | None
    receipt: bool
    text: str | None
    answer: str | None
    copied: int
    copy_ends_at: datetime | None
    complain_to: str | None


class Taken(msgspec.Struct):
    """The answer to a new request; the token is shown here only. It opens the receipt when the account is gone."""

    id: UUID
    kind: str
    state: str
    reason: str | None
    due_at: datetime
    receipt_token: str


class Held(msgspec.Struct):
    """What somebody has said about the use of their data, and what can be objected to."""

    restricted: bool
    objected: list[str]
    consented: list[str]
    can_object: list[str]


@post("/api/privacy/requests", status_code=202)
async def ask(data: JSONBody[NewRequest], person: Person, proved: Proved, privacy: Privacy) -> Taken:
    """Ask for access, a copy to take along, rectification, erasure or restriction, object, withdraw a consent, or complain."""
    whose = own(person)
    if data.password is not None and not await privacy.identity(*whose, data.password):
        raise NotProved
    if data.kind in STEP_UP and data.password is None and not proved:
        raise NotProved
    _check(data)
    async with privacy.database.tenant(whose.tenant_id) as c:
        return await _take(c, privacy, whose, data)


async def _take(c: AsyncConnection, privacy: Desk, whose: Whose, data: NewRequest) -> Taken:
    """Write the request down, and do what is done at once."""
    vault, now = privacy.vault, privacy.clock.now()
    if data.kind == "erase":
        await privacy.leaving(c, *whose)
    always = data.kind == "withdraw" and data.purpose in (await standings.held(c, whose, now)).consented
    taken = await requests.take(
        c, vault, *whose, data.kind, now, data.text, purpose=data.purpose, place=data.place, always=always
    )
    state: State = taken.state
    reason = None
    if data.kind in ("restrict", "object", "withdraw") or data.fields is not None:
        reason = await _carry_out(c, privacy, whose, data, now)
        state = "succeeded" if reason is None else "refused"
        await requests.move(c, taken.id, "running", now)
        await requests.move(c, taken.id, state, now, reason=reason)
    return Taken(taken.id, taken.kind, state, reason, taken.due_at, taken.token)


async def _carry_out(c: AsyncConnection, privacy: Desk, whose: Whose, data: NewRequest, now: datetime) -> str | None:
    """What a word of the person changes by itself; a reason where it cannot."""
    purpose = data.purpose or ""
    if data.kind == "restrict":
        await standings.restrict(c, privacy.vault, whose, now)
    elif data.kind == "object":
        return await standings.object_to(c, privacy.vault, whose, purpose, now)
    elif data.kind == "rectify":
        await privacy.rectify(c, *whose, data.fields or {})
    elif data.kind == "withdraw":
        await consents.say(c, privacy.vault, privacy.maker, whose, purpose, now, given=False, how="request")
    return None


def _check(data: NewRequest) -> None:
    """Raises BadInput for what does not belong to this kind of request, or is missing."""
    about_purpose = data.kind in ("object", "withdraw")
    if about_purpose != (data.purpose is not None):
        raise BadInput("An objection and a withdrawal name a purpose, the others do not.", param="purpose")
    if data.fields is not None and data.kind != "rectify":
        raise BadInput("Fields are put right with a request of the kind rectify.", param="fields")
    if data.kind in ("complain", "rectify") and not (data.text or data.fields):
        raise BadInput("Say what this is about.", param="text")


@get("/api/privacy/requests")
async def list_requests(person: Person, privacy: Privacy) -> list[Request]:
    """One's own requests, newest first."""
    return await _shown(privacy, person, await _rows(person, privacy), [])


@get("/api/privacy/requests/{id:uuid}")
async def read_request(id: FromPath[UUID], person: Person, privacy: Privacy) -> Request:
    """One of one's own requests."""
    rows = await _rows(person, privacy, id)
    for each in await _shown(privacy, person, rows, [row.id for row in rows]):
        return each
    raise NotFound


@get("/api/privacy/requests/{id:uuid}/copy")
async def fetch_copy(id: FromPath[UUID], person: Person, proved: Proved, privacy: Privacy) -> Stream:
    """Fetch the copy of one's data as a ZIP file, once: when it was sent whole, it is deleted. One that breaks off can be
    fetched again."""
    if not proved:
        raise NotProved(hint="Show who you are at /api/auth/step-up, then fetch it; that holds for ten minutes.")
    row = next(iter(await _rows(person, privacy, id)), None)
    if row is None or row.kind not in copies.KINDS:
        raise NotFound
    whose, now = own(person), privacy.clock.now()
    stores = await copies.stores_of(privacy.shelf, whose.tenant_id, id, now)
    copy = Copy(id, row.kind, row.changed_at, stores, privacy.policy, privacy.installed)
    name = f"{row.kind}-{row.changed_at:%Y-%m-%d}.zip"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Stream(_sent(privacy, person, whose, copy), media_type="application/zip", headers=headers)


async def _sent(privacy: Desk, person: Actor, whose: Whose, copy: Copy) -> AsyncIterator[bytes]:
    async for piece in archive.written(privacy.shelf, person, copy):
        yield piece
    await copies.end(privacy.shelf, whose.tenant_id, copy.id)


@get("/api/privacy/standing")
async def read_standing(person: Person, privacy: Privacy) -> Held:
    """What one has restricted, objected to and consented to, and what can be objected to."""
    whose = own(person)
    async with privacy.database.tenant(whose.tenant_id) as c:
        held = await standings.held(c, whose, privacy.clock.now())
    can_object, _ = standings.choices(privacy.policy)
    return Held(held.restricted, sorted(held.objected), sorted(held.consented), can_object)


@get("/api/privacy/data")
async def read_stored(person: Person, privacy: Privacy) -> list[Stored]:
    """What is stored about one right now by category, when it ends, and what an erasure would do with it."""
    whose = own(person)
    async with privacy.database.tenant(whose.tenant_id) as c:
        return await stored.about(c, privacy.policy, whose, privacy.clock.now())


@delete("/api/privacy/standing/restriction", status_code=204)
async def release(person: Person, privacy: Privacy) -> None:
    """Lift one's own restriction."""
    whose = own(person)
    async with privacy.database.tenant(whose.tenant_id) as c:
        await standings.release(c, privacy.vault, whose, privacy.clock.now())


@delete("/api/privacy/standing/objections/{purpose:str}", status_code=204)
async def take_back(purpose: FromPath[str], person: Person, privacy: Privacy) -> None:
    """Take one's own objection back."""
    whose = own(person)
    async with privacy.database.tenant(whose.tenant_id) as c:
        await standings.take_back(c, privacy.vault, whose, purpose, privacy.clock.now())


@get("/api/privacy/consents")
async def list_consents(person: Person, privacy: Privacy, gpc: Signal = "") -> list[Asked]:
    """The consents that are asked for, each with its text and what one says of it now."""
    whose = own(person)
    async with privacy.database.tenant(whose.tenant_id) as c:
        return await consents.asked(c, privacy.policy, whose, gpc=cookies.says_gpc(gpc), directed=privacy.directed)


@put("/api/privacy/consents/{name:str}", status_code=204)
async def give_consent(
    name: FromPath[str], person: Person, privacy: Privacy, notice: NoticeHash = None, gpc: Signal = ""
) -> None:
    """Give a consent that the policy asks for, to the text with the hash `notice`."""
    if cookies.says_gpc(gpc) and cookies.is_opted_out(name):
        raise SignalHonoured(param="name")
    await _consent(person, privacy, name, notice, given=True)


@delete("/api/privacy/consents/{name:str}", status_code=204)
async def withdraw_consent(name: FromPath[str], person: Person, privacy: Privacy, notice: NoticeHash = None) -> None:
    """Take a consent back, as easily as it was given."""
    await _consent(person, privacy, name, notice, given=False)


async def _consent(person: Actor, privacy: Desk, name: str, hash: str | None, *, given: bool) -> None:
    whose, shown = own(person), asking.shown(privacy.policy, name, hash) if hash is not None else None
    if hash is not None and shown is None:
        raise NoticeChanged(param="notice")
    async with privacy.database.tenant(whose.tenant_id) as c:
        now, named = privacy.clock.now(), privacy.directed
        await consents.say(c, privacy.vault, privacy.maker, whose, name, now, given=given, notice=shown, directed=named)


@get("/api/privacy/consent-records")
async def list_consent_records(person: Person, privacy: Privacy, before: BeforeRecord = None) -> list[Record]:
    """What one said about consents, newest first, 50 at a time; `before`: older than that record."""
    whose = own(person)
    async with privacy.database.tenant(whose.tenant_id) as c:
        return await consents.records(c, privacy.vault, person, whose, before=before)


@get("/api/privacy/consent-records/{id:uuid}/receipt")
async def read_consent_receipt(id: FromPath[UUID], person: Person, privacy: Privacy) -> Response[bytes]:
    """The signed receipt of one record, in the structure of ISO/IEC TS 27560, with its proof once the log has it."""
    whose = own(person)
    async with privacy.database.tenant(whose.tenant_id) as c:
        record, document = await consents.receipt(c, privacy.vault, privacy.maker, person, whose, id)
    headers = {"content-disposition": f'attachment; filename="consent-{record.at:%Y-%m-%d}.json"'}
    complete = await asyncio.to_thread(privacy.complete, document)
    return Response(complete, media_type="application/json", headers=headers)


@get("/api/privacy/receipts/{id:uuid}")
async def read_receipt(
    id: FromPath[UUID], privacy: Privacy, token: Annotated[str, HeaderParameter(name=TOKEN_HEADER, max_length=200)]
) -> Response[bytes]:
    """The signed receipt for whoever has its token, with its proof once the log has it; nobody is signed in."""
    async with privacy.database.begin() as c:
        found = await requests.receipt(c, id, token)
    return Response(await asyncio.to_thread(privacy.complete, found), media_type="application/json")


@get("/api/privacy/receipts/{id:uuid}/progress")
async def read_progress(
    id: FromPath[UUID], privacy: Privacy, token: Annotated[str, HeaderParameter(name=TOKEN_HEADER, max_length=200)]
) -> Progress:
    """How far an erasure came, store by store, for whoever has the token of its receipt; nobody is signed in."""
    async with privacy.database.begin() as c:
        return await progress.read(c, id, token)


ROUTES = (
    *(ask, list_requests, read_request, fetch_copy, read_receipt, read_progress),
    *(read_stored, read_standing, release, take_back, list_consents, give_consent, withdraw_consent),
    *(list_consent_records, read_consent_receipt),
)


async def _rows(person: Actor, privacy: Desk, id: UUID | None = None) -> Sequence[Row[Any]]:
    whose = own(person)
    async with privacy.database.tenant(whose.tenant_id) as c:
        return await requests.of(c, whose.subject_id, id)


def own(person: Actor) -> Whose:
    """Whose facts a signed-in person may ask about: their tenant and themselves. Raises NotFound."""
    if person.tenant_id is None or person.subject_id is None:
        raise NotFound
    return Whose(person.tenant_id, person.subject_id)


async def _shown(privacy: Desk, person: Actor, rows: Sequence[Row[Any]], whole: Collection[UUID]) -> list[Request]:
    """Requests as their person sees them; what was written is opened for those in `whole`."""
    whose, now = own(person), privacy.clock.now()
    found = []
    async with privacy.database.tenant(whose.tenant_id) as c:
        for row in rows:
            told: Opened = {}
            if row.id in whole and row.box:
                told = await privacy.vault.open(c, requests.reference(row._asdict()), row.box, "access", person)
            copied = await copies.ends_at(c, row.id, now) if row.kind in copies.KINDS else (0, None)
            found.append(_one(row, {} if told is Gone else told, *copied))
    return found


def _one(row: Row[Any], told: dict[str, Any], copied: int, copy_ends_at: datetime | None) -> Request:
    return Request(
        id=row.id,
        kind=row.kind,
        purpose=row.purpose,
        state=row.state,
        times=row.times,
        received_at=row.since,
        due_at=row.due_at,
        changed_at=row.changed_at,
        reason=row.reason,
        plan=row.plan,
        receipt=row.receipt is not None,
        text=told.get("text"),
        answer=told.get("answer"),
        copied=copied,
        copy_ends_at=copy_ends_at if row.state == "succeeded" else None,
        complain_to=AUTHORITIES if row.state == "refused" else None,
    )
