"""The one door: sealing is free, opening is asked, answered and written down."""

import asyncio
import hashlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base import cards
from avow.base.actor import PLATFORM, Actor
from avow.base.clock import Clock
from avow.base.errors import AvowError
from avow.policy import Decision, Policy, Question, decide
from avow.vault import box, fact, standing
from avow.vault.box import BoxBroken, Gone, GoneType, Ref
from avow.vault.ring import LIFE, Buried, Ring, slot_of
from avow.vault.tables import audit

CREDENTIAL_SECRET = "credentials of upstreams"  # noqa: S105 (the name of a secret)
INLINE_ROWS_MAX = 32
REASON_CHARS_MAX = 2000
THREADS = 2

Opened = dict[str, Any] | GoneType
T = TypeVar("T")


class OpenRefused(AvowError):
    """The policy does not allow this to be opened."""

    status = 403
    code = "open_refused"
    hint = "The clause named says who may open what for which purpose; the attempt is on record."

    def __init__(self, reason: str, clause: str | None = None) -> None:
        self.reason, self.clause = reason, clause
        super().__init__(f"This was not opened: {reason}" + (f" (clause {clause})." if clause else "."))


class NotPrepared(AvowError):
    """There is no key to seal this with yet."""

    status = 500
    code = "key_not_prepared"
    hint = "Await vault.prepare() for this person, category and end before sealing."


class _Asked(NamedTuple):
    """Who wants to open what of one tenant: how many boxes of each (person, category)."""

    tenant_id: UUID
    boxes: Counter[tuple[UUID, str]]
    purpose: str
    actor: Actor
    reason: str | None


class Act(NamedTuple):
    """An administrative act: who did what (`word`) to whom, for which `purpose`, and why.

    `before` and `after` are what the act found and left; only their digests are kept, sealed with the reason, so that
    a later dispute about a state can be settled by whoever knows it, and nobody else learns it from the record.
    """

    actor: Actor
    word: str
    tenant_id: UUID
    subject_id: UUID
    category: str = "account"
    purpose: str = "service"
    reason: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None

    @classmethod
    def of_platform(cls, actor: Actor, word: str, **more: Any) -> "Act":
        """An act that is about nobody: it stands on the platform's own record, for auditors to search."""
        return cls(actor, word, PLATFORM, PLATFORM, **more)

    def told(self) -> dict[str, str]:
        """What the box of the record holds."""
        said = (self.reason or "").strip()[:REASON_CHARS_MAX]
        states = {"before": self.before, "after": self.after}
        digests = {name: digest(state) for name, state in states.items() if state is not None}
        return ({"reason": said} if said else {}) | digests


def digest(state: Mapping[str, Any]) -> str:
    """SHA-256 of a state in canonical JSON (sorted names, no spaces, UTF-8), in hexadecimal."""
    canonical = json.dumps(state, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


class Vault:
    """Seals and opens boxes under one policy; make it after fork, one for each process."""

    def __init__(self, ring: Ring, policy: Policy, clock: Clock) -> None:
        self.ring = ring
        self.policy = policy
        """The policy in force; whoever applies another one puts it here."""
        self.clock = clock
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="vault")

    # --- sealing

    async def prepare(self, subject_id: UUID, category: str, ends_at: datetime | None) -> None:
        """Make the key halves that `seal` needs, off the loop; raises Buried when they were destroyed."""
        if self.ring.fact_key(subject_id, category, ends_at) is None:
            await self._off_loop(lambda: self.ring.fact_key(subject_id, category, ends_at, create=True))

    def seal(
        self, ref: Ref, fields: Mapping[str, Any], ends_at: datetime | None, is_cut: Callable[[], bool] | None = None
    ) -> bytes:
        """Return the box of `fields` for a fact that ends at `ends_at` (None: with the account).

        Card numbers are masked here, the one place where content becomes stored (promise INF-1.3); `is_cut` says whether its
        texts may end in the middle of one.
        Raises NotPrepared when the key has not been made, PayloadRefused for what is no JSON.
        """
        slot = slot_of(ends_at)
        cipher = self.ring.cipher(ref.subject_id, ref.category, slot)
        if cipher is None:
            raise NotPrepared
        return box.seal(cipher, ref, cards.mask_json(box.pack(fields), is_cut), slot)

    # --- opening

    async def open(
        self, conn: AsyncConnection, ref: Ref, sealed: bytes, purpose: str, actor: Actor, reason: str | None = None
    ) -> Opened:
        """Return the fields of one box, or Gone; see `open_many`."""
        return (await self.open_many(conn, [(ref, sealed)], purpose, actor, reason))[0]

    async def open_many(
        self,
        conn: AsyncConnection,
        rows: Sequence[tuple[Ref, bytes]],
        purpose: str,
        actor: Actor,
        reason: str | None = None,
    ) -> list[Opened]:
        """Return the fields of each box in order, Gone where the key was destroyed; all of them or none.

        The boxes are of one tenant. One decision and one audit row for each person and category. The record is part
        of the caller's transaction; that of a refusal, and that of staff, who need a `reason`, is committed on a
        connection of its own before anything is revealed. Raises OpenRefused; BoxBroken for a box that was altered
        or moved; ValueError for boxes of several tenants.
        """
        if not rows:
            return []
        await self._admit(conn, _asked([ref for ref, _ in rows], purpose, actor, reason))
        if len(rows) <= INLINE_ROWS_MAX:
            return self._reveal(rows)
        return await self._off_loop(lambda: self._reveal(rows))

    def _reveal(self, rows: Sequence[tuple[Ref, bytes]]) -> list[Opened]:
        return [self._unseal(ref, sealed) for ref, sealed in rows]

    def _unseal(self, ref: Ref, sealed: bytes) -> Opened:
        slot = box.slot(sealed)
        try:
            payload = box.unseal(self.ring.key(ref.subject_id, ref.category, slot), ref, sealed)
        except BoxBroken:
            # After a clock was confirmed wrongly, an hour to come can have a second half; boxes of the first are gone.
            if slot != LIFE and self.ring.is_buried_slot(slot):
                return Gone
            raise
        return Gone if payload is Gone else box.unpack(payload)

    # --- secrets of upstreams, which are about nobody

    def seal_credential(self, table: str, row_id: UUID, secret: str) -> bytes:
        """Return the box of an upstream's credential for the row `row_id` of `table`."""
        key = self.ring.secret(CREDENTIAL_SECRET, create=True)
        assert key is not None
        return box.seal_system(key, table, row_id, secret.encode())

    def open_credential(self, table: str, row_id: UUID, sealed: bytes, actor: Actor) -> str:
        """Return what `seal_credential` sealed, to the gateway only. Raises OpenRefused, BoxBroken."""
        if actor.kind != "system" or actor.role != "gateway":
            raise OpenRefused("credentials of upstreams are for the gateway only")
        key = self.ring.secret(CREDENTIAL_SECRET)
        if key is None:
            raise BoxBroken
        return box.unseal_system(key, table, row_id, sealed).decode()

    # --- the decision and its record

    async def _admit(self, conn: AsyncConnection, asked: _Asked) -> None:
        # A decision that is not a yes counts as false, so a refusal is compared with None.
        if asked.actor.kind == "staff":
            async with _own_transaction(conn, asked.tenant_id) as own:
                refusal = await self._refusal(own, asked)
                await self._record(own, asked, "opened" if refusal is None else "refused")
        elif (refusal := await self._refusal(conn, asked)) is None:
            await self._record(conn, asked, "opened")
        else:
            async with _own_transaction(conn, asked.tenant_id) as own:
                await self._record(own, asked, "refused")
        if refusal is not None:
            raise OpenRefused(refusal.reason, refusal.clause)

    async def _refusal(self, conn: AsyncConnection, asked: _Asked) -> Decision | None:
        """The first decision that is not a yes."""
        actor = asked.actor
        held = await standing.load(conn, {subject for subject, _ in asked.boxes}, self.clock.now())
        for subject, category in asked.boxes:
            colleague = actor.tenant_id == asked.tenant_id
            # What is about the organisation itself, whose own id it carries, is its people's own.
            owner = colleague and subject in (actor.subject_id, asked.tenant_id)
            question = Question(category, asked.purpose, actor.role, owner, colleague)
            if not (decision := decide(self.policy, held[subject], question)):
                return decision
            if actor.kind == "staff" and asked.reason is None:
                return Decision("no", "staff say why they look before they see anything", decision.clause)
        return None

    async def _record(self, conn: AsyncConnection, asked: _Asked, outcome: str) -> None:
        now = self.clock.now()
        said = {**_who(asked.actor), "act": None, "purpose": asked.purpose, "outcome": outcome}
        told = {"reason": asked.reason} if asked.reason else {}
        rows = []
        for (subject, category), count in asked.boxes.items():
            row = fact.begin(self.policy, "audit", asked.tenant_id, subject, now)
            row |= said | {"category": category, "count": count, "box": await self._sealed_record(row, told)}
            rows.append(row)
        await conn.execute(insert(audit), rows)

    async def _sealed_record(self, row: Mapping[str, Any], told: Mapping[str, str]) -> bytes | None:
        if not told:
            return None
        try:
            await self.prepare(row["subject_id"], "audit", row["ends_at"])
        except Buried:
            # An erased person's reasons can no longer be kept; that somebody looked still is.
            return None
        ref = Ref(row["tenant_id"], audit.name, "audit", row["id"], row["subject_id"])
        return self.seal(ref, told, row["ends_at"])

    # --- administrative acts

    async def record_act(
        self, conn: AsyncConnection, act: Act, *, outcome: Literal["done", "refused"] = "done"
    ) -> None:
        """Put an act on the record of the person whom it concerns, in the transaction that carries it out; the
        transaction's tenant is that person's, or the keeper's none. One that is refused is recorded in a transaction of its own.
        """
        row = fact.begin(self.policy, "audit", act.tenant_id, act.subject_id, self.clock.now())
        row |= _who(act.actor) | {"act": act.word, "category": act.category, "purpose": act.purpose}
        row |= {"outcome": outcome, "count": 1, "box": await self._sealed_record(row, act.told())}
        await conn.execute(insert(audit), row)

    async def _off_loop(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """End the small pool; the ring stays open."""
        self._pool.shutdown()


def _who(actor: Actor) -> dict[str, str]:
    return {"actor": f"{actor.kind}:{actor.id}", "role": actor.role}


def _asked(refs: Sequence[Ref], purpose: str, actor: Actor, reason: str | None) -> _Asked:
    tenants = {ref.tenant_id for ref in refs}
    if len(tenants) != 1:
        raise ValueError("Boxes of several tenants are opened one tenant at a time.")
    said = (reason or "").strip()[:REASON_CHARS_MAX] or None
    return _Asked(tenants.pop(), Counter((ref.subject_id, ref.category) for ref in refs), purpose, actor, said)


@asynccontextmanager
async def _own_transaction(conn: AsyncConnection, tenant_id: UUID) -> AsyncIterator[AsyncConnection]:
    """A transaction beside the caller's, so that what is recorded stays when the caller's is rolled back."""
    async with conn.engine.begin() as own:
        await own.execute(text("SELECT set_config('app.tenant', :tenant, true)"), {"tenant": str(tenant_id)})
        yield own
