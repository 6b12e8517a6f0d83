"""Requests of people about their data: from `received` to an answer, each with a date by which it is due.

erase, access, port          worked on by the keeper: ERASE_JOB, COPY_JOB
restrict, object, withdraw   done in the transaction of the request (`standings`)
rectify, complain            answered by a person at the desk; fields of the account are put right at once
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import func, insert, literal, select, update
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base import jobs
from avow.base.actor import PLATFORM
from avow.base.db import Database
from avow.base.errors import AvowError, BadInput, NotFound, Slowed
from avow.policy import Keep, Policy
from avow.policy.language import JURISDICTION
from avow.policy.model import instant
from avow.policy.parts import deadline
from avow.privacy.tables import rights_request
from avow.vault import Ref, Vault, fact

Kind = Literal["access", "port", "rectify", "erase", "restrict", "object", "withdraw", "complain"]
State = Literal["received", "verified", "planned", "running", "succeeded", "refused", "failed"]

ERASE_JOB, COPY_JOB, OUTSIDE_JOB = "privacy.erase", "privacy.copy", "privacy.answer_outsider"
JOBS: Final[Mapping[str, str]] = {"erase": ERASE_JOB, "access": COPY_JOB, "port": COPY_JOB}
OUTSIDE_KINDS: Final = ("access", "erase")
"""What the keeper answers to people without an account (`outsiders`); their requests belong to the platform."""
OPEN: tuple[State, ...] = ("received", "verified", "planned", "running")
ERASED = "erased"
"""The reason of requests that an erasure of their person has overtaken."""
DAYS_MAX = timedelta(days=30)
TEXT_CHARS_MAX = 4000
OPEN_MAX = 20
BY_PEOPLE: Final = ("rectify", "complain")
"""Kinds that wait for somebody of the operator; of these, only so many at once."""
DAY: Final = timedelta(days=1)
DAY_MAX = 20
"""Requests of one kind and person within a day. An erasure ends them all, and is always taken."""

_LOCK = sql("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_RECEIPT = sql("SELECT rights_receipt(:wanted, :hash)")


class AlreadyAsked(AvowError):
    """The same request is being worked on already."""

    status = 409
    code = "already_asked"
    hint = "Look at its state with GET /api/privacy/requests."


class TooManyOpen(AvowError):
    """So many requests of yours are open that another one has to wait."""

    status = 429
    code = "too_many_open"
    hint = "Wait until one of them is answered; GET /api/privacy/requests lists them with their dates."


class RequestsSlowed(Slowed):
    """You made many requests of this kind within a day."""

    code = "requests_slowed"
    hint = (
        "Nothing was changed; what you asked before stands, see GET /api/privacy/requests. Ask again when Retry-After says. "
        "A consent that you gave can be taken back and an erasure asked for at any time."
    )

    def __init__(self, wait: timedelta) -> None:
        super().__init__(-(-wait // timedelta(seconds=1)))


class NotProved(AvowError):
    """Nobody showed that this is you, so the request was not taken."""

    status = 403
    code = "not_confirmed"
    hint = "Send the request again with your current password, or show who you are at /api/auth/step-up first."


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that was taken; the token opens the receipt when no account is left to sign in with."""

    id: UUID
    kind: str
    state: State
    due_at: datetime
    token: str


def due(policy: Policy, received_at: datetime, place: str | None = None) -> datetime:
    """By when a request is answered: the time that the policy gives in `place` (`DE`, `US-CA`).

    Where nobody says where they live, the shortest time that it gives anywhere. A policy that gives none: one month
    (GDPR Art. 12(3)), and never more than 30 days.
    """
    at = instant(received_at)
    part = policy.parts.get("rights")
    if part is None:
        return min(_end(Keep("period", 1, "months"), at), at + DAYS_MAX)
    if place is None:
        return min(_end(keep, at) for keep in part.values["deadline"].values())
    keep = deadline(policy, place)
    assert keep is not None
    return _end(keep, at)


def _end(keep: Keep, at: datetime) -> datetime:
    return keep.end(at) or at


async def take(
    c: AsyncConnection,
    vault: Vault,
    tenant_id: UUID,
    subject_id: UUID,
    kind: Kind,
    at: datetime,
    text: str | None = None,
    *,
    purpose: str | None = None,
    place: str | None = None,
    always: bool = False,
) -> Taken:
    """Write a request down in the caller's transaction, its text sealed; what the keeper works on is put into its queue.

    The caller has confirmed who asks. `always`: however many were made today.
    Raises AlreadyAsked, TooManyOpen, RequestsSlowed (with Retry-After), or BadInput for a text over 4000 characters or a place
    that is none.
    """
    check(text, place)
    await _refuse_more(c, subject_id, kind)
    if not always and kind != "erase":
        await _refuse_many(c, subject_id, kind, at)
    token, due_at = secrets.token_urlsafe(32), due(vault.policy, at, place)
    row = fact.begin(vault.policy, "rights", tenant_id, subject_id, at)
    row |= {"kind": kind, "state": "verified", "due_at": due_at, "changed_at": at, "purpose": purpose, "place": place}
    row |= {"times": dict.fromkeys(("received", "verified"), at.isoformat()), "token_hash": token_hash(token)}
    await c.execute(insert(rights_request).values(row | {"box": await sealed(vault, row, {"text": text})}))
    if kind in JOBS:
        await jobs.put(c, JOBS[kind], row["id"])
    return Taken(row["id"], kind, row["state"], due_at, token)


def check(text: str | None, place: str | None) -> None:
    """Raise BadInput for a text over 4000 characters or a place that is none."""
    if text is not None and len(text) > TEXT_CHARS_MAX:
        raise BadInput(f"The text is longer than {TEXT_CHARS_MAX} characters.", param="text")
    if place is not None and (place == "default" or not JURISDICTION.fullmatch(place)):
        raise BadInput("A place is a country, such as DE, or a country and a part of it, such as US-CA.", param="place")


async def _refuse_more(c: AsyncConnection, subject_id: UUID, kind: Kind) -> None:
    # One person's requests come one after another, so that two at once cannot both find nothing.
    await c.execute(_LOCK, {"name": f"rights {subject_id}"})
    mine = (rights_request.c.subject_id == subject_id, rights_request.c.state.in_(OPEN))
    query = select(rights_request.c.kind, func.count()).where(*mine).group_by(rights_request.c.kind)
    counts = {row[0]: row[1] for row in await c.execute(query)}
    if kind in JOBS and kind in counts:
        raise AlreadyAsked
    if kind in BY_PEOPLE and sum(counts.get(each, 0) for each in BY_PEOPLE) >= OPEN_MAX:
        raise TooManyOpen


async def _refuse_many(c: AsyncConnection, subject_id: UUID, kind: Kind, at: datetime) -> None:
    asked = rights_request.c
    mine = (asked.subject_id == subject_id, asked.kind == kind, asked.since > at - DAY)
    query = select(asked.since).where(*mine).order_by(asked.since.desc()).offset(DAY_MAX - 1).limit(1)
    if (first := await c.scalar(query)) is not None:
        raise RequestsSlowed(first + DAY - at)


async def move(c: AsyncConnection, id: UUID, state: State, at: datetime, **values: Any) -> None:
    """Bring a request into another state; when it came into one first stays on it."""
    begun = literal({state: at.isoformat()}, JSONB).op("||")(rights_request.c.times)
    changed = update(rights_request).where(rights_request.c.id == id)
    await c.execute(changed.values(state=state, changed_at=at, times=begun, **values))


async def close_others(c: AsyncConnection, subject_id: UUID, but: UUID, at: datetime) -> None:
    """Refuse what an erased person has asked besides: there is nothing left that it could be about."""
    others = select(rights_request.c.id).where(
        rights_request.c.subject_id == subject_id, rights_request.c.id != but, rights_request.c.state.in_(OPEN)
    )
    for id in (await c.execute(others)).scalars().all():
        await move(c, id, "refused", at, reason=ERASED)


async def resume(database: Database) -> None:
    """Put the job of every open request that has one into the queue; one that waits or runs there is not doubled."""
    wanted = (rights_request.c.kind.in_(JOBS), rights_request.c.state.in_(OPEN))
    query = select(rights_request.c.id, rights_request.c.kind, rights_request.c.tenant_id).where(*wanted)
    async with database.begin() as c:
        for row in (await c.execute(query)).all():
            await jobs.put(c, OUTSIDE_JOB if row.tenant_id == PLATFORM else JOBS[row.kind], row.id)


async def of(c: AsyncConnection, subject_id: UUID, id: UUID | None = None) -> list[Row[Any]]:
    """Somebody's requests (or the one with `id`), newest first."""
    query = select(rights_request).where(rights_request.c.subject_id == subject_id)
    if id is not None:
        query = query.where(rights_request.c.id == id)
    return list((await c.execute(query.order_by(rights_request.c.id.desc()).limit(100))).all())


async def receipt(c: AsyncConnection, id: UUID, token: str) -> bytes:
    """The receipt of a request, for whoever has its token. Raises NotFound while there is none."""
    found = await c.scalar(_RECEIPT, {"wanted": id, "hash": token_hash(token)})
    if found is None:
        raise NotFound
    return bytes(found)


def token_hash(token: str) -> bytes:
    """What is kept of a token: its SHA-256."""
    return hashlib.sha256(token.encode()).digest()


def reference(row: Mapping[str, Any]) -> Ref:
    """The address of a request's box."""
    return Ref(row["tenant_id"], rights_request.name, "rights", row["id"], row["subject_id"])


async def sealed(vault: Vault, row: Mapping[str, Any], told: Mapping[str, str | None]) -> bytes | None:
    """The box of a request: what was written in it and in its answer; None where that is nothing."""
    fields = {name: text for name, text in told.items() if text}
    if not fields:
        return None
    await vault.prepare(row["subject_id"], "rights", row["ends_at"])
    return vault.seal(reference(row), fields, row["ends_at"])
