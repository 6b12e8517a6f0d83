"""The desk's routes about privacy requests, for the operator's staff. What is asked for stands in the body, so that no
id of a person and no reason is in a URL."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import post
from litestar.params import JSONBody

from avow.privacy import answers
from avow.privacy.answers import Read, Waiting
from avow.privacy.api import Privacy
from avow.privacy.desk import Reason, Staff
from avow.privacy.requests import Kind

PAGE_MAX = 100

Limit = Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)]
Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Place(msgspec.Struct, forbid_unknown_fields=True):
    """Where the page before ended."""

    due_at: Time
    id: UUID


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """Which requests: open ones only, of one kind only; `after` is where the page before ended."""

    open: bool = True
    kind: Kind | None = None
    after: Place | None = None
    limit: Limit = PAGE_MAX


class QueuePage(msgspec.Struct):
    """Requests, the most urgent first; `after` asks for the next page, null: there is none."""

    requests: list[Waiting]
    after: Place | None


class Reading(msgspec.Struct, forbid_unknown_fields=True):
    """Which request is to be opened, and why."""

    id: UUID
    reason: Reason = ""


class Answer(msgspec.Struct, forbid_unknown_fields=True):
    """What is answered to a request, and whether it is granted."""

    id: UUID
    state: Literal["succeeded", "refused"]
    answer: str


@post("/api/desk/requests", status_code=200)
async def list_queue(data: JSONBody[Wanted], staff: Staff, privacy: Privacy) -> QueuePage:
    """The queue of privacy requests, by their due date."""
    after = (data.after.due_at, data.after.id) if data.after else None
    found = await answers.queue(
        privacy.database, privacy.clock.now(), only_open=data.open, kind=data.kind, after=after, limit=data.limit
    )
    last = Place(found[-1].due_at, found[-1].id) if len(found) == data.limit else None
    return QueuePage(found, last)


@post("/api/desk/requests/open", status_code=200)
async def open_request(data: JSONBody[Reading], staff: Staff, privacy: Privacy) -> Read:
    """Open what somebody wrote; they can read that it was, and why."""
    return await answers.read(privacy.database, privacy.vault, staff, data.id, data.reason)


@post("/api/desk/requests/answer", status_code=204)
async def answer_request(data: JSONBody[Answer], staff: Staff, privacy: Privacy) -> None:
    """Answer a complaint or a rectification; the answer goes to the person by mail too."""
    await answers.answer(
        *(privacy.database, privacy.vault, privacy.clock, privacy.tell, staff, data.id, data.state, data.answer)
    )


ROUTES = (list_queue, open_request, answer_request)
