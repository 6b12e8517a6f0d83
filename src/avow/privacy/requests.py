"""Requests of people about their data: from `received` to an answer, each with a date by which it is due."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy import text as sql
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base import jobs
from avow.base.errors import AvowError, BadInput, NotFound
from avow.policy import Keep
from avow.privacy.tables import rights_request
from avow.vault import Ref, Vault, fact

Kind = Literal["access", "port", "rectify", "erase", "restrict", "object", "withdraw", "complain"]
State = Literal["received", "verified", "planned", "running", "succeeded", "refused", "failed"]

ERASE_JOB = "privacy.erase"
OPEN: tuple[State, ...] = ("received", "verified", "planned", "running")
# By the platform itself (erase, access, port) or by a person who reads it (rectify, complain).
TAKEN: tuple[Kind, ...] = ("access", "port", "rectify", "erase", "complain")
DAYS_MAX = timedelta(days=30)
TEXT_CHARS_MAX = 4000

_LOCK = sql("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
_RECEIPT = sql("SELECT rights_receipt(:wanted, :hash)")


class NotBuilt(AvowError):
    """This kind of request cannot be carried out here yet."""

    status = 501
    code = "request_not_built"
    hint = "Write to the operator; the published policy names the address. Nothing was stored."


class AlreadyAsked(AvowError):
    """The same request is being worked on already."""

    status = 409
    code = "already_asked"
    hint = "Look at its state with GET /api/privacy/requests."


class NotConfirmed(AvowError):
    """The password was not right, so the request was not taken."""

    status = 403
    code = "not_confirmed"
    hint = "Send the request again with your current password."


@dataclass(frozen=True, slots=True)
class Taken:
    """A request that was taken; the token opens the receipt when no account is left to sign in with."""

    id: UUID
    kind: str
    state: str
    due_at: datetime
    token: str


def due(received_at: datetime) -> datetime:
    """By when a request is answered: one month (GDPR Art. 12(3)), and never more than 30 days."""
    month = Keep("period", 1, "months").end(received_at)
    assert month is not None
    return min(month, received_at + DAYS_MAX)


async def take(
    c: AsyncConnection,
    vault: Vault,
    tenant_id: UUID,
    subject_id: UUID,
    kind: Kind,
    at: datetime,
    text: str | None = None,
) -> Taken:
    """Write a request down in the caller's transaction, its text sealed; an erasure is put into the queue.

    The caller has confirmed who asks. Raises NotBuilt, AlreadyAsked, or BadInput for a text over 4000 characters.
    """
    if kind not in TAKEN:
        raise NotBuilt(f"A request of the kind {kind} cannot be carried out here yet.")
    if text is not None and len(text) > TEXT_CHARS_MAX:
        raise BadInput(f"The text is longer than {TEXT_CHARS_MAX} characters.", param="text")
    await _refuse_twice(c, subject_id, kind)
    token, due_at = secrets.token_urlsafe(32), due(at)
    row = fact.begin(vault.policy, "rights", tenant_id, subject_id, at)
    row["ends_at"] = vault.policy.categories["rights"].keep.end(due_at)
    row |= {"kind": kind, "state": "verified" if kind == "erase" else "received", "due_at": due_at, "changed_at": at}
    row |= {"token_hash": _hash(token), "box": await _sealed(vault, row, text)}
    await c.execute(insert(rights_request).values(row))
    if kind == "erase":
        await jobs.put(c, ERASE_JOB, row["id"])
    return Taken(row["id"], kind, row["state"], due_at, token)


async def _refuse_twice(c: AsyncConnection, subject_id: UUID, kind: Kind) -> None:
    # One person's requests come one after another, so that two at once cannot both find nothing.
    await c.execute(_LOCK, {"name": f"rights {subject_id}"})
    same = (rights_request.c.subject_id == subject_id, rights_request.c.kind == kind, rights_request.c.state.in_(OPEN))
    if (await c.execute(select(rights_request.c.id).where(*same))).first():
        raise AlreadyAsked


async def move(c: AsyncConnection, id: UUID, state: State, at: datetime, **values: Any) -> None:
    """Bring a request into another state."""
    changed = update(rights_request).where(rights_request.c.id == id)
    await c.execute(changed.values(state=state, changed_at=at, **values))


async def of(c: AsyncConnection, subject_id: UUID, id: UUID | None = None) -> list[Row[Any]]:
    """Somebody's requests (or the one with `id`), newest first."""
    query = select(rights_request).where(rights_request.c.subject_id == subject_id)
    if id is not None:
        query = query.where(rights_request.c.id == id)
    return list((await c.execute(query.order_by(rights_request.c.id.desc()).limit(100))).all())


async def receipt(c: AsyncConnection, id: UUID, token: str) -> bytes:
    """The receipt of a request, for whoever has its token. Raises NotFound while there is none."""
    found = await c.scalar(_RECEIPT, {"wanted": id, "hash": _hash(token)})
    if found is None:
        raise NotFound
    return bytes(found)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


async def _sealed(vault: Vault, row: dict[str, Any], text: str | None) -> bytes | None:
    if text is None:
        return None
    await vault.prepare(row["subject_id"], "rights", row["ends_at"])
    ref = Ref(row["tenant_id"], rights_request.name, "rights", row["id"], row["subject_id"])
    return vault.seal(ref, {"text": text}, row["ends_at"])
