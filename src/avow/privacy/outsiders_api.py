"""The routes for people without an account. Whoever asks gets one answer, whatever is stored about the address."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, post
from litestar.params import JSONBody

from avow.privacy import outsiders
from avow.privacy.api import Privacy
from avow.privacy.outsiders import Asked, Kind

TOKEN_CHARS_MAX = 200


class NewAsk(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked about an address: what is stored of it, its erasure, that something is put right, or a complaint.

    `text`: what it is about; `place`: the country where they live (`DE`, `US-CA`), for the due date.
    """

    email: Annotated[str, msgspec.Meta(max_length=1000)]
    kind: Kind
    text: str | None = None
    place: str | None = None


class Proof(msgspec.Struct, forbid_unknown_fields=True):
    """The token of the letter."""

    token: Annotated[str, msgspec.Meta(max_length=TOKEN_CHARS_MAX)]


class Proved(msgspec.Struct):
    """The request that was taken; its answer goes to the address by mail."""

    id: UUID
    kind: str
    state: str
    due_at: datetime


@post("/api/privacy/outside", status_code=202)
async def ask_outside(request: Request[Any, Any, Any], data: JSONBody[NewAsk], privacy: Privacy) -> dict[str, str]:
    """Ask about an address without an account; its owner confirms by mail that it is theirs."""
    address = privacy.admit(data.email, request.client.host if request.client else None)
    asked = Asked(address, data.kind, data.text, data.place)
    await outsiders.ask(privacy.database, privacy.vault, privacy.tell, asked)
    return {"detail": "Thank you. A message was sent to this address; the link in it takes your request."}


@post("/api/privacy/outside/prove", status_code=202)
async def prove_outside(data: JSONBody[Proof], privacy: Privacy) -> Proved:
    """Show with the token of the letter that the address is one's own; the request is worked on from now on."""
    taken = await outsiders.prove(privacy.database, privacy.vault, privacy.clock, data.token)
    return Proved(taken.id, taken.kind, taken.state, taken.due_at)


ROUTES = (ask_outside, prove_outside)
