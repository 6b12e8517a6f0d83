"""Answering as staff: complaints and what people ask to have put right is read and answered by a person at the desk.

The queue shows ids, kinds and due dates, the most urgent first. What was written in a request that waits for an answer is
opened for the purpose `answer`, which no restriction of the person stops, because it is what they ask for; in any other, for
`legal`. Either needs a reason that the person can read. The answer is sealed beside it and goes to them by mail.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy import text as sql
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.actor import Actor
from avow.base.clock import Clock
from avow.base.db import Database
from avow.base.errors import AvowError, BadInput, NotFound
from avow.base.ids import uuid7
from avow.policy import ANSWER
from avow.privacy import letters, requests, standings
from avow.privacy.desk import check_reason
from avow.privacy.needs import Tell
from avow.privacy.requests import TEXT_CHARS_MAX, Kind, State
from avow.privacy.standings import Whose
from avow.privacy.tables import rights_request
from avow.vault import Act, Gone, Vault

PURPOSE: Final = "legal"

_QUEUE = sql(
    "SELECT * FROM rights_queue(:open, CAST(:kind AS text), CAST(:due AS timestamptz), CAST(:after AS uuid), :at, :most)"
)
_TENANT = sql("SELECT rights_tenant(:id)")


class Answered(AvowError):
    """This request is answered already, or is none that a person answers."""

    status = 409
    code = "not_to_be_answered"
    hint = "Look at its kind and state with POST /api/desk/requests."


class Waiting(msgspec.Struct):
    """A request in the queue. `overdue`: its date has passed and it has no answer."""

    id: UUID
    tenant_id: UUID
    subject_id: UUID
    kind: Kind
    purpose: str | None
    place: str | None
    state: State
    reason: str | None
    received_at: datetime
    due_at: datetime
    overdue: bool


class Read(msgspec.Struct):
    """What somebody wrote, and what was answered."""

    id: UUID
    kind: str
    state: str
    text: str | None
    answer: str | None


async def queue(
    database: Database,
    now: datetime,
    *,
    only_open: bool,
    kind: Kind | None,
    after: tuple[datetime, UUID] | None,
    limit: int,
) -> list[Waiting]:
    """Requests of everybody by their due date, at most `limit` behind the one that is due at and has the id `after`."""
    due, after_id = after or (None, None)
    wanted = {"open": only_open, "kind": kind, "due": due, "after": after_id, "at": now, "most": limit}
    async with database.begin() as c:
        rows = (await c.execute(_QUEUE, wanted)).all()
    return [
        Waiting(
            *(row.id, row.tenant_id, row.subject_id, row.kind, row.purpose, row.place, row.state, row.reason),
            received_at=row.since,
            due_at=row.due_at,
            overdue=row.state in requests.OPEN and row.due_at < now,
        )
        for row in rows
    ]


async def read(database: Database, vault: Vault, staff: Actor, id: UUID, reason: str) -> Read:
    """Open what somebody wrote; on record before it is shown. Raises ReasonMissing, NotFound, OpenRefused."""
    check_reason(reason)
    async with database.tenant(await _tenant(database, id)) as c:
        row = await _row(c, id)
        told = await _told(c, vault, staff, row, reason)
    return Read(row.id, row.kind, row.state, told.get("text"), told.get("answer"))


async def answer(
    database: Database,
    vault: Vault,
    clock: Clock,
    tell: Tell,
    staff: Actor,
    id: UUID,
    state: Literal["succeeded", "refused"],
    text: str,
) -> None:
    """Answer a request: sealed beside what was asked, put on the person's record, and mailed to them.

    Raises NotFound, Answered, OpenRefused, or BadInput for no answer or one over 4000 characters.
    """
    if not text.strip() or len(text) > TEXT_CHARS_MAX:
        raise BadInput(f"An answer has 1 to {TEXT_CHARS_MAX} characters.", param="answer")
    async with database.tenant(await _tenant(database, id)) as c:
        row = await _row(c, id)
        if row.kind not in requests.BY_PEOPLE or row.state not in requests.OPEN:
            raise Answered
        told = await _told(c, vault, staff, row, f"answers the request {id}")
        now = clock.now()
        box = await requests.sealed(vault, row._asdict(), {**told, "answer": text})
        reason = "see_answer" if state == "refused" else None
        await requests.move(c, id, "running", now)
        await requests.move(c, id, state, now, box=box, reason=reason)
        word = f"request {state}"
        await vault.record_act(c, Act(staff, word, row.tenant_id, row.subject_id, "rights", PURPOSE))
        letter = letters.answered(id, text, refused=state == "refused")
        await tell(c, row.tenant_id, row.subject_id, id, letter, address=told.get("email"))


async def release(
    c: AsyncConnection, vault: Vault, tell: Tell, by: Actor, whose: Whose, reason: str, at: datetime
) -> None:
    """Lift somebody's restriction, telling them why before it holds (GDPR Art. 18(3)). Raises ReasonMissing, NotFound."""
    check_reason(reason)
    if not (await standings.held(c, whose, at)).restricted:
        raise NotFound("This person's data is not restricted.")
    await tell(c, *whose, uuid7(), letters.lifted(reason))
    await standings.release(c, vault, whose, at)
    await vault.record_act(c, Act(by, "lift restriction", *whose, "consent", PURPOSE, reason))


async def _tenant(database: Database, id: UUID) -> UUID:
    async with database.begin() as c:
        found: UUID | None = await c.scalar(_TENANT, {"id": id})
    if found is None:
        raise NotFound("There is no such request.")
    return found


async def _row(c: AsyncConnection, id: UUID) -> Row[Any]:
    query = select(rights_request).where(rights_request.c.id == id).with_for_update()
    row = (await c.execute(query)).one_or_none()
    if row is None:
        raise NotFound("There is no such request.")
    return row


async def _told(c: AsyncConnection, vault: Vault, staff: Actor, row: Row[Any], reason: str) -> dict[str, Any]:
    if row.box is None:
        return {}
    waits = row.kind in requests.BY_PEOPLE and row.state in requests.OPEN
    opened = await vault.open(
        c, requests.reference(row._asdict()), row.box, ANSWER if waits else PURPOSE, staff, reason
    )
    return {} if opened is Gone else opened
