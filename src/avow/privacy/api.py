"""The routes of privacy requests. `person` is somebody signed in by cookie; a receipt is read with its token alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, HeaderParameter, JSONBody
from sqlalchemy.engine import Row

from avow.base.actor import Actor
from avow.base.clock import Clock
from avow.base.db import Database
from avow.base.errors import NotFound
from avow.privacy import requests
from avow.privacy.needs import Identity, Leaving
from avow.privacy.requests import Kind, NotConfirmed
from avow.vault import Vault

TOKEN_HEADER = "avow-receipt-token"  # noqa: S105  the name of a header


@dataclass(frozen=True, slots=True)
class Desk:
    """What the routes need; `database` speaks as role `avow_app`."""

    database: Database
    vault: Vault
    clock: Clock
    identity: Identity
    leaving: Leaving


Privacy = NamedDependency[Desk]
Person = NamedDependency[Actor]


class NewRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody asks, and their password once more."""

    kind: Kind
    password: str
    text: str | None = None


class Request(msgspec.Struct):
    """A request as its person sees it. `plan` says for each store what ends how; null until it is worked on."""

    id: UUID
    kind: str
    state: str
    received_at: datetime
    due_at: datetime
    changed_at: datetime
    reason: str | None
    plan: list[dict[str, Any]] | None
    receipt: bool


class Taken(msgspec.Struct):
    """The answer to a new request; the token is shown here only. It opens the receipt when the account is gone."""

    id: UUID
    kind: str
    state: str
    due_at: datetime
    receipt_token: str


@post("/api/privacy/requests", status_code=202)
async def ask(data: JSONBody[NewRequest], person: Person, privacy: Privacy) -> Taken:
    """Ask for erasure, access, a copy to take along, rectification, or complain."""
    tenant_id, subject_id = own(person)
    if not await privacy.identity(tenant_id, subject_id, data.password):
        raise NotConfirmed
    async with privacy.database.tenant(tenant_id) as c:
        if data.kind == "erase":
            await privacy.leaving(c, tenant_id, subject_id)
        now = privacy.clock.now()
        taken = await requests.take(c, privacy.vault, tenant_id, subject_id, data.kind, now, data.text)
    return Taken(taken.id, taken.kind, taken.state, taken.due_at, taken.token)


@get("/api/privacy/requests")
async def list_requests(person: Person, privacy: Privacy) -> list[Request]:
    """One's own requests, newest first."""
    return [_shown(row) for row in await _rows(person, privacy)]


@get("/api/privacy/requests/{id:uuid}")
async def read_request(id: FromPath[UUID], person: Person, privacy: Privacy) -> Request:
    """One of one's own requests."""
    for row in await _rows(person, privacy, id):
        return _shown(row)
    raise NotFound


@get("/api/privacy/receipts/{id:uuid}")
async def read_receipt(
    id: FromPath[UUID], privacy: Privacy, token: Annotated[str, HeaderParameter(name=TOKEN_HEADER, max_length=200)]
) -> Response[bytes]:
    """The signed receipt, byte for byte, for whoever has its token; nobody is signed in."""
    async with privacy.database.begin() as c:
        return Response(await requests.receipt(c, id, token), media_type="application/json")


ROUTES = (ask, list_requests, read_request, read_receipt)


async def _rows(person: Actor, privacy: Desk, id: UUID | None = None) -> Sequence[Row[Any]]:
    tenant_id, subject_id = own(person)
    async with privacy.database.tenant(tenant_id) as c:
        return await requests.of(c, subject_id, id)


def own(person: Actor) -> tuple[UUID, UUID]:
    """Whose facts a signed-in person may ask about: their tenant and themselves. Raises NotFound."""
    if person.tenant_id is None or person.subject_id is None:
        raise NotFound
    return person.tenant_id, person.subject_id


def _shown(row: Row[Any]) -> Request:
    return Request(
        *(row.id, row.kind, row.state, row.since, row.due_at, row.changed_at, row.reason, row.plan),
        receipt=row.receipt is not None,
    )
