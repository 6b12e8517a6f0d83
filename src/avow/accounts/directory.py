"""The directory of API keys: whose a key is, answered from memory for at most two seconds.

Money needs no more than that: the ledger looks at the key's row in the same call that reserves. What is remembered here
serves the checks before it. A change of a key or of its tenant's wishes is announced over PostgreSQL's NOTIFY, and
what was remembered is dropped; a process that misses the news forgets by itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import asyncpg
import msgspec
import structlog
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import agreements, key_terms, key_text, tokens
from avow.accounts.key_terms import Scope
from avow.accounts.tables import api_key
from avow.base import log
from avow.base.actor import Actor
from avow.base.clock import Clock
from avow.base.db import Database
from avow.base.errors import AvowError
from avow.privacy.versions import Current

CHANNEL = "avow_keys_changed"
"""Each message is the id of a tenant whose keys or wishes have changed."""
AGE_S_MAX = 2.0
SIZE_MAX = 10_000
RECONNECT_S = 1.0
WRITE_USED_S = 60.0
_PUBLIC_ID = slice(len(key_text.PREFIX), len(key_text.PREFIX) + key_text.PUBLIC_LENGTH)
_BY_PUBLIC_ID = "SELECT * FROM api_key_by_public_id($1, $2)"


class KeyRefused(AvowError):
    """This API key is not known here, or no longer active."""

    status = 401
    code = "invalid_api_key"
    hint = "Nothing was charged. Send a whole, active key; the app makes one at /app/keys."

    @property
    def headers(self) -> dict[str, str]:
        return {"www-authenticate": "Bearer"}


class KeyMissing(KeyRefused):
    """There is no API key in the request."""

    code = "api_key_missing"
    hint = "Nothing was charged. Send `authorization: Bearer <key>`; the app makes a key at /app/keys."


class KeyRevoked(AvowError):
    """This API key was revoked."""

    status = 401
    code = "key_revoked"
    hint = "Use another key, or make a new one in the app, at /app/keys."


class KeyExpired(AvowError):
    """This API key has expired."""

    status = 401
    code = "key_expired"
    hint = "Make a new key in the app, at /app/keys."


class KeyArchived(AvowError):
    """The project of this API key is archived."""

    status = 403
    code = "key_archived"
    hint = "Nothing was charged. Use another key, or have an owner or admin take the project out of the archive."


class NotConfirmed(AvowError):
    """The owner of this API key has not confirmed their e-mail address yet."""

    status = 403
    code = "address_not_confirmed"
    hint = "Follow the link in the message that was sent at sign-up."


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What a working key says: who acts, who pays, and how long content is wished to be kept.

    `keep_h` is the key's wish, `project_keep_h` its project's and `tenant_keep_h` the tenant's, in hours; None: that level
    asked for nothing. The ledger judges the key's limits; `tokens_per_min` is here so that a request which can never pass is
    not sent there.
    """

    key_id: UUID
    tenant_id: UUID
    subject_id: UUID
    wallet_id: UUID
    keep_h: int | None
    tenant_keep_h: int | None
    expires_at: datetime | None
    tokens_per_min: int | None = None
    scopes: frozenset[str] | None = None
    models: frozenset[str] | None = None
    network_digests: tuple[str, ...] | None = None
    project_keep_h: int | None = None
    accepted: int = 0
    """The newest version of the policy that the owner has accepted."""

    @property
    def actor(self) -> Actor:
        """The key, acting for its person."""
        return Actor("key", str(self.key_id), "subject", self.tenant_id, self.subject_id)


class Mark(NamedTuple):
    """What a key is known again by: its public part, and the SHA-256 of its whole text."""

    public_id: str
    digest: bytes

    @classmethod
    def of(cls, key: str) -> Mark:
        return cls(key[_PUBLIC_ID], hashlib.sha256(key.encode()).digest())


class _Seen(msgspec.Struct, eq=False):
    at_s: float
    secret_hmac: bytes
    state: str
    confirmed: bool
    record: KeyRecord
    plain: bytes = b""
    """SHA-256 of a text that was found to be this key: four times as quick as the keyed digest, and never stored."""
    noted: int = -1
    """The minute in which a use was noted last."""


class Directory:
    """Finds keys; one for each process. `must_confirm`: a key works only once its owner's address is confirmed."""

    def __init__(
        self,
        database: Database,
        pepper: bytes,
        clock: Clock,
        *,
        must_confirm: bool,
        current: Current | None = None,
        size_max: int = SIZE_MAX,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.database, self.clock, self.must_confirm, self.size_max = database, clock, must_confirm, size_max
        self._pepper, self._monotonic, self._current = pepper, monotonic, current
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._asking: dict[str, asyncio.Task[_Seen | None]] = {}
        self._changes = 0
        self._used: dict[UUID, datetime] = {}
        self.listening = asyncio.Event()
        """Set while changes are heard of."""

    async def find(self, key: str, *, fresh: bool = False) -> KeyRecord:
        """Tell whose key a text is; `fresh` asks the database whatever is remembered.

        Raises KeyRefused, and only for the right secret KeyRevoked, KeyArchived, KeyExpired, NotConfirmed or NotAccepted.
        """
        found = self._working(await self._recognise(key, fresh))
        await self._take_use(found)
        return found

    async def admit(self, key: str, scope: Scope, address: str | None) -> KeyRecord:
        """As `find`, for a use of the key, by somebody at a network address that is compared and forgotten.

        Raises ScopeMissing and NetworkRefused besides.
        """
        found = await self.find(key)
        key_terms.admit(found.scopes, scope)
        key_terms.admit_from(self._pepper, found.network_digests, address)
        self._note_use(found, self.clock.now())
        return found

    def at_hand(self, mark: Mark, scope: Scope, at: datetime) -> KeyRecord | None:
        """As `admit`, for a key that is remembered and may be used for this from anywhere; None: `admit` has to be asked."""
        public_id, digest = mark
        seen = self._remembered(public_id)
        if seen is None or not hmac.compare_digest(seen.plain, digest):
            return None
        found = seen.record
        if found.network_digests is not None or (found.scopes is not None and scope not in found.scopes):
            return None
        if self._wrong(seen, at) is not None or self._has_to_accept(found):
            return None
        if at.minute != seen.noted:  # what is remembered is not an hour old
            seen.noted = at.minute
            self._note_use(found, at)
        return found

    async def by_id(self, tenant_id: UUID, key_id: UUID, scope: Scope) -> KeyRecord:
        """As `admit`, for work that a key has begun and that goes on without it; from where is not asked again."""
        async with self.database.tenant(tenant_id) as connection:
            public_id = await connection.scalar(select(api_key.c.public_id).where(api_key.c.id == key_id))
        seen = None if public_id is None else await self._ask(public_id)
        if seen is None:
            raise KeyRefused
        found = self._working(seen)
        key_terms.admit(found.scopes, scope)
        await self._take_use(found)
        return found

    async def owner(self, key: str) -> KeyRecord | None:
        """Whose a key is or was, in whatever state; None: the text is no key of ours."""
        try:
            return (await self._recognise(key, fresh=True)).record
        except KeyRefused:
            return None

    async def write_used(self) -> None:
        """Write down in which minute keys were last used; once a minute, beside the requests."""
        used, self._used = self._used, {}
        if not used:
            return
        minutes = [at.replace(second=0, microsecond=0) for at in used.values()]
        query = text("SELECT keys_used(:ids, :minutes)")
        async with self.database.begin() as connection:
            await connection.execute(query, {"ids": list(used), "minutes": minutes})

    def _has_to_accept(self, found: KeyRecord) -> bool:
        return self._current is not None and agreements.is_asked(self._current, found.accepted)

    def _note_use(self, found: KeyRecord, at: datetime) -> None:
        if len(self._used) < self.size_max:
            self._used[found.key_id] = at

    async def _take_use(self, found: KeyRecord) -> None:
        """Take a use of a key for its owner's acceptance of a changed policy. Raises NotAccepted where that asks for more."""
        if self._current is not None and self._has_to_accept(found):
            await agreements.accept_by_use(self.database, self._current, found.tenant_id, found.subject_id)
            self.forget(found.tenant_id)

    async def _recognise(self, key: str, fresh: bool) -> _Seen:
        # The form of a text that is remembered needs no look: its digest is that of a whole key or of none.
        seen = None if fresh else self._remembered(key[_PUBLIC_ID])
        if seen is None:
            public_id = key_text.read_public_id(key)
            if public_id is None:
                raise KeyRefused
            seen = await (self._look_up(public_id) if fresh else self._ask(public_id))
        plain = Mark.of(key).digest
        if seen is not None and hmac.compare_digest(seen.plain, plain):
            return seen
        if seen is None or not hmac.compare_digest(seen.secret_hmac, tokens.digest(self._pepper, "api_key", key)):
            raise KeyRefused
        seen.plain = plain
        return seen

    def _remembered(self, public_id: str) -> _Seen | None:
        seen = self._seen.get(public_id)
        return None if seen is None or self._monotonic() - seen.at_s >= AGE_S_MAX else seen

    async def _ask(self, public_id: str) -> _Seen | None:
        """Look a key up once for all who ask at the same time; one who goes does not take the answer from the others."""
        task = self._asking.get(public_id)
        if task is None:
            task = self._asking[public_id] = asyncio.get_running_loop().create_task(self._look_up(public_id))
            task.add_done_callback(lambda done: self._answered(public_id, done))
        return await asyncio.shield(task)

    def _answered(self, public_id: str, done: asyncio.Task[_Seen | None]) -> None:
        if self._asking.get(public_id) is done:
            del self._asking[public_id]
        if not done.cancelled():
            done.exception()  # those who asked have it; nobody may have waited

    def forget(self, tenant_id: UUID) -> None:
        """Drop what is remembered of a tenant's keys."""
        self._changes += 1
        self._asking.clear()
        for public_id in [each for each, seen in self._seen.items() if seen.record.tenant_id == tenant_id]:
            del self._seen[public_id]

    def clear(self) -> None:
        """Drop all that is remembered."""
        self._changes += 1
        self._asking.clear()
        self._seen.clear()

    def __len__(self) -> int:
        return len(self._seen)

    async def watch(self) -> None:
        """Hear of changes and write down uses until cancelled; a lost connection is made anew."""
        await asyncio.gather(self._hear(), self._write())

    async def _hear(self) -> None:
        while True:
            try:
                await self._listen()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(RECONNECT_S)

    async def _write(self) -> None:
        while True:
            await asyncio.sleep(WRITE_USED_S)
            try:
                await self.write_used()
            except (OSError, SQLAlchemyError) as error:
                structlog.get_logger().warning("last_used_not_written", **log.failure(error))

    async def _listen(self) -> None:
        connection = await self.database.raw()
        closed = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: closed.set())
            await connection.add_listener(CHANNEL, lambda _, __, ___, payload: self.forget(UUID(payload)))
            self.clear()
            self.listening.set()
            await closed.wait()
        finally:
            self.listening.clear()
            await connection.close()

    async def _look_up(self, public_id: str) -> _Seen | None:
        at_s, changes = self._monotonic(), self._changes
        row = await self._fetch(public_id)
        self._seen.pop(public_id, None)
        if row is None:
            return None
        seen = _Seen(at_s, row["secret_hmac"], row["state"], row["confirmed"], _record(row))
        # A change that was announced while the row was on its way may not be in it: answer, but do not remember.
        if changes == self._changes:
            self._seen[public_id] = seen
            if len(self._seen) > self.size_max:
                self._seen.popitem(last=False)
        return seen

    async def _fetch(self, public_id: str) -> asyncpg.Record | None:
        """The row of a key, by the driver alone: one statement needs no transaction around it.

        Raises OSError or SQLAlchemyError while the database does not answer.
        """
        async with self.database.engine.connect() as connection:
            line = (await connection.get_raw_connection()).driver_connection
            assert isinstance(line, asyncpg.Connection)
            try:
                return await line.fetchrow(_BY_PUBLIC_ID, public_id, self.clock.now())
            except (asyncpg.PostgresError, asyncpg.InterfaceError) as wrong:
                await connection.invalidate()
                raise ConnectionError(type(wrong).__name__) from None

    def _working(self, seen: _Seen) -> KeyRecord:
        wrong = self._wrong(seen, self.clock.now())
        if wrong is not None:
            raise wrong
        return seen.record

    def _wrong(self, seen: _Seen, at: datetime) -> type[AvowError] | None:
        """Why a key does not work, if it does not."""
        if seen.state != "active":
            return KeyArchived if seen.state == "archived" else KeyRevoked
        if seen.record.expires_at is not None and at >= seen.record.expires_at:
            return KeyExpired
        return NotConfirmed if self.must_confirm and not seen.confirmed else None


def _record(row: asyncpg.Record) -> KeyRecord:
    networks = row["network_digests"]
    return KeyRecord(
        row["id"],
        row["tenant_id"],
        row["subject_id"],
        row["wallet_id"],
        row["keep_h"],
        row["tenant_keep_h"],
        row["expires_at"],
        row["tokens_per_min"],
        _set(row["scopes"]),
        _set(row["models"]),
        None if networks is None else tuple(networks),
        row["project_keep_h"],
        row["accepted"] or 0,
    )


def _set(names: list[str] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


async def announce(connection: AsyncConnection, tenant_id: UUID) -> None:
    """Tell every process, once the caller's transaction is committed, that a tenant's keys or wishes have changed."""
    payload = {"channel": CHANNEL, "payload": str(tenant_id)}
    await connection.execute(text("SELECT pg_notify(:channel, :payload)"), payload)
