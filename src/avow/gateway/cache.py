"""Answers given again: who asks the same once more within a while gets the answer that was given, and pays nothing.

An entry belongs to whom the content belongs, is sealed for them, and lies in the database like every other fact: it ends, is
erased, exported and restricted by the same loops. It is found by a keyed hash over everything that makes an answer what it is:
the organisation, the owner, the policy, the surface, the model with its routes, and the request. So nobody is ever given what
somebody else was answered, nor learns from the time an answer takes what somebody else has asked; and row security hides an
entry from every other organisation besides.

Kept is nothing where nothing is kept of the request itself, and nothing for longer. Streams are always asked anew.
"""

from __future__ import annotations

import asyncio
import hmac
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert

from avow.base import cards, log
from avow.base.clock import Clock
from avow.base.db import Database
from avow.gateway.orders import Order
from avow.gateway.rules import CACHE
from avow.gateway.tables import cached_answer
from avow.policy import Never, Question, decide
from avow.vault import Gone, Ref, Vault, standing

SERVICE = "service"
SECRET = "digests of the cache"  # noqa: S105  the name of a secret
ENTRIES_MAX, BYTES_MAX = 1_000, 32 * 1024 * 1024
"""Of one organisation; the oldest go first."""
ANSWER_BYTES_MAX = 1024 * 1024
WAIT_S_MAX = 1.0
"""Longer is never waited for an entry: then the upstream is asked."""

Asked = Literal["use", "off"]
Word = Literal["hit", "miss", "off"]


class Place(msgspec.Struct, frozen=True):
    """Where the answer to a request may lie, and until when one that is put there stays (None: life of the account)."""

    digest: bytes
    tenant_id: UUID
    owner: UUID
    ends_at: datetime | None


class Cache:
    """The cache of one process; what is in it all processes share."""

    def __init__(self, database: Database, vault: Vault, clock: Clock, *, wait_s_max: float = WAIT_S_MAX) -> None:
        self._database, self._vault, self._clock, self._wait_s_max = database, vault, clock, wait_s_max
        self._secret = vault.ring.secret(SECRET, create=True) or b""

    def place(self, order: Order, asked: Asked | None) -> Place | None:
        """Where the answer to an order may lie; None: it is neither looked for nor kept. Does no I/O.

        Without the client's word only requests count whose answer is always the same.
        """
        if asked != "use" and not (order.surface.repeats or order.request.fields.get("temperature") == 0):
            return None
        if (
            isinstance(order.kept_until, Never)
            or order.request.stream
            or order.request.files
            or asked == "off"
            or not order.surface.bills
        ):
            return None
        ends_at = order.plan.end(CACHE, order.at)
        if isinstance(ends_at, Never) or not order.plan.stores(CACHE, "response"):
            return None
        ends_at = min((end for end in (ends_at, order.kept_until) if end is not None), default=None)
        owner = order.key.tenant_id if CACHE in order.plan.of_tenant else order.key.subject_id
        return Place(self._digest(order, owner), order.key.tenant_id, owner, ends_at)

    async def find(self, place: Place, order: Order) -> tuple[Word, bytes]:
        """The answer that was given before; without one `miss`. `off`: its owner's word or the policy forbids the use, or the
        entry could not be read within `wait_s_max`."""
        try:
            async with asyncio.timeout(self._wait_s_max):
                return await self._find(place, order)
        except Exception as wrong:  # money is held: whatever the cache does, the request goes on
            structlog.get_logger().warning("cache_not_read", **log.failure(wrong))
            return "off", b""

    async def put(self, place: Place, order: Order, answer: bytes) -> None:
        """Keep an answer. What would not come out of its box as it went in, or is too long, is not kept."""
        if len(answer) > ANSWER_BYTES_MAX:
            return
        try:
            if await asyncio.to_thread(cards.mask_json, answer) != answer:
                return
            async with asyncio.timeout(self._wait_s_max):
                await self._put(place, order, answer.decode())
        except Exception as wrong:
            structlog.get_logger().warning("cache_not_written", **log.failure(wrong))

    async def _find(self, place: Place, order: Order) -> tuple[Word, bytes]:
        now, table = self._clock.now(), cached_answer.c
        alive = or_(table.ends_at.is_(None), table.ends_at > now)
        query = select(table.id, table.box).where(table.digest == place.digest, table.subject_id == place.owner, alive)
        async with self._database.tenant(place.tenant_id) as c:
            held = (await standing.load(c, {place.owner}, now))[place.owner]
            if not decide(self._vault.policy, held, Question(CACHE, SERVICE, order.key.actor.role, owner=True)):
                return "off", b""
            row = (await c.execute(query)).one_or_none()
            if row is None:
                return "miss", b""
            opened = await self._vault.open(c, self._ref(place, row.id), row.box, SERVICE, order.key.actor)
        return ("miss", b"") if opened is Gone else ("hit", str(opened["response"]).encode())

    async def _put(self, place: Place, order: Order, answer: str) -> None:
        await self._vault.prepare(place.owner, CACHE, place.ends_at)
        box = self._vault.seal(self._ref(place, order.request_id), {"response": answer}, place.ends_at)
        row: dict[str, Any] = {
            "id": order.request_id,
            "tenant_id": place.tenant_id,
            "subject_id": place.owner,
            "since": order.at,
            "ends_at": place.ends_at,
            "policy_version": order.plan.policy_version,
            "digest": place.digest,
            "box": box,
        }
        table = cached_answer.c
        async with self._database.tenant(place.tenant_id) as c:
            old = delete(cached_answer).where(table.digest == place.digest, table.ends_at <= self._clock.now())
            await c.execute(old)
            await c.execute(insert(cached_answer).values(row).on_conflict_do_nothing())
            await c.execute(delete(cached_answer).where(table.id.in_(_beyond(place.tenant_id))))

    def _ref(self, place: Place, row_id: UUID) -> Ref:
        return Ref(place.tenant_id, cached_answer.name, CACHE, row_id, place.owner)

    def _digest(self, order: Order, owner: UUID) -> bytes:
        request = order.request
        routes = sorted((route.upstream.name, route.their_name) for route in order.routes)
        known = (
            *(str(order.key.tenant_id), str(owner), order.plan.policy_hash, order.surface.name, order.model.id, routes),
            *(order.tokens_max, request.end_user, request.fields),
        )
        return hmac.digest(self._secret, msgspec.json.encode(known, order="sorted"), "sha256")


def _beyond(tenant_id: UUID) -> Any:
    """The ids of an organisation's entries that are too many, or too large together, the newest left out."""
    table = cached_answer.c
    newest_first: dict[str, Any] = {"order_by": (table.since.desc(), table.id.desc())}
    ranked = (
        select(
            table.id,
            func.row_number().over(**newest_first).label("number"),
            func.sum(func.octet_length(table.box)).over(**newest_first).label("bytes"),
        )
        .where(table.tenant_id == tenant_id)
        .subquery()
    )
    return select(ranked.c.id).where(or_(ranked.c.number > ENTRIES_MAX, ranked.c.bytes > BYTES_MAX))
