"""Idempotency keys: a client that sends a request again, because it saw no answer, is not charged twice.

What is kept of a request that came with a key: a keyed digest of the key and of the body, the request's id, and in the end its
status and charge; never the body, never the answer. So a second request with the same key is not answered again but told what
became of the first. One that ended without a charge because it failed frees its key: to try again is what the key is for.

A claim points to a hold that is durable already, so whether its request still runs, or what a crash left of it, is what the
ledger says.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.db import Database
from avow.base.errors import AvowError
from avow.base.money import text as shown
from avow.vault.ring import Ring

KEPT = timedelta(hours=24)
NAME_BYTES_MAX = 255
SECRET = "idempotency"  # noqa: S105  the name of a secret

_LOOK = text("""
    SELECT c.digest, c.request_id, c.status, c.charged, h.id IS NOT NULL AS runs, p.amount, u.status AS seen
    FROM claim c LEFT JOIN wallet_hold h ON h.id = c.request_id LEFT JOIN charge p ON p.id = c.request_id
    LEFT JOIN usage u ON u.id = c.request_id
    WHERE c.id = :id AND c.ends_at > :at
""")
_TAKE = text("""
    INSERT INTO claim (id, digest, request_id, tenant_id, subject_id, since, ends_at, policy_version)
    VALUES (:id, :digest, :request, :tenant, :subject, :at, :ends, :version)
    ON CONFLICT (id) DO UPDATE SET (digest, request_id, subject_id, since, ends_at, policy_version, status, charged)
        = (excluded.digest, excluded.request_id, excluded.subject_id, excluded.since, excluded.ends_at,
           excluded.policy_version, NULL, NULL)
    WHERE claim.ends_at <= :at OR (
        claim.digest = excluded.digest
        AND NOT EXISTS (SELECT FROM wallet_hold h WHERE h.id = claim.request_id)
        AND coalesce(claim.charged, (SELECT p.amount FROM charge p WHERE p.id = claim.request_id)) = 0
        AND coalesce(claim.status, (SELECT u.status FROM usage u WHERE u.id = claim.request_id), 599) >= 400)
    RETURNING id
""")
_END = text("UPDATE claim SET status = :status, charged = :charged WHERE id = :id AND request_id = :request")


class KeyReused(AvowError):
    """This Idempotency-Key was used for another request."""

    status: ClassVar[int] = 422
    code: ClassVar[str] = "idempotency_key_reused"
    hint = (
        "Nothing was charged for this one. Make a new key for each request, and send it again only with the same body."
    )


class RequestRunning(AvowError):
    """A request with this Idempotency-Key is still running."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "request_running"
    hint = "Nothing was charged for this one. Wait for the first to end."

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": "5"}


class AlreadyAnswered(AvowError):
    """A request with this Idempotency-Key was answered."""

    status: ClassVar[int] = 409
    code: ClassVar[str] = "already_answered"
    hint = "Nothing was charged for this one. Answers are not kept for this; to ask again, make a new key."

    def __init__(self, request_id: UUID, charged: int | None) -> None:
        cost = "" if charged is None else f" and cost {shown(charged)}"
        super().__init__(f"A request with this Idempotency-Key was answered{cost}: see /api/requests/{request_id}.")


class Claim(msgspec.Struct, frozen=True):
    """A request that came with a key: `id` stands for the key as its person names it (of two
    people of an organisation, neither learns of the other's requests or takes their keys), `digest` for what was asked."""

    id: UUID
    digest: bytes
    tenant_id: UUID
    subject_id: UUID


class Claims:
    """One for each process, over a database of role `app`; `secret` is the ring's."""

    def __init__(self, database: Database, secret: bytes) -> None:
        self._database, self._secret = database, secret

    def named(self, name: bytes, path: str, body: bytes, tenant_id: UUID, subject_id: UUID) -> Claim:
        """The claim of a request to `path`. Costs a digest of the body."""
        key = hmac.digest(self._secret, b"key\0" + tenant_id.bytes + subject_id.bytes + name, hashlib.sha256)
        made = hmac.new(self._secret, b"body\0" + path.encode() + b"\0", hashlib.sha256)
        made.update(body)
        return Claim(UUID(bytes=key[:16]), made.digest(), tenant_id, subject_id)

    async def look(self, claim: Claim, at: datetime) -> None:
        """Raise KeyReused, RequestRunning or AlreadyAnswered where another request has the key; holds nothing."""
        async with self._database.tenant(claim.tenant_id) as connection:
            await self._judge(connection, claim, at)

    async def take(self, claim: Claim, request_id: UUID, at: datetime, ends_at: datetime | None, version: int) -> None:
        """Give the key to a request whose hold is durable. Raises as `look` when another was quicker."""
        ends = min(at + KEPT, ends_at or at + KEPT)
        values = {"id": claim.id, "digest": claim.digest, "request": request_id, "at": at, "ends": ends}
        whose = {"tenant": claim.tenant_id, "subject": claim.subject_id, "version": version}
        async with self._database.tenant(claim.tenant_id) as connection:
            if await connection.scalar(_TAKE, {**values, **whose}) is None:
                await self._judge(connection, claim, at)
                raise RequestRunning  # it was given away and is free again: the next attempt may have it

    async def end(self, claim: Claim, request_id: UUID, status: int, charged: int) -> None:
        """Note what became of it. Where this is lost, the charge tells the same."""
        async with self._database.tenant(claim.tenant_id) as connection:
            values = {"id": claim.id, "request": request_id, "status": status, "charged": charged}
            await connection.execute(_END, values)

    async def _judge(self, connection: AsyncConnection, claim: Claim, at: datetime) -> None:
        found = (await connection.execute(_LOOK, {"id": claim.id, "at": at})).one_or_none()
        if found is not None:
            _refuse(claim, found)


def of(database: Database, ring: Ring) -> Claims:
    """The platform's own, whose secret lies in the ring and is made at the first use."""
    secret = ring.secret(SECRET, create=True)
    assert secret is not None
    return Claims(database, secret)


def _refuse(claim: Claim, found: Row[Any]) -> None:
    if not hmac.compare_digest(found.digest, claim.digest):
        raise KeyReused
    if found.runs:
        raise RequestRunning
    charged = found.amount if found.charged is None else found.charged
    status = found.seen if found.status is None else found.status
    if charged == 0 and (599 if status is None else status) >= 400:
        return
    raise AlreadyAnswered(found.request_id, charged)
