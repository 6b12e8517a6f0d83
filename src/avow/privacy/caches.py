"""Keys that processes still have in memory when a person's keys are destroyed."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
from sqlalchemy import text

from avow.base.db import Database
from avow.vault.ring import CACHE_S_MAX, Ring

CHANNEL = "avow_forget"
_NOTIFY = text("SELECT pg_notify(:channel, :subject)")


class NotifyAndWait:
    """Tells every process to forget a person's keys, then waits as long as any of them could keep one unasked.

    A process that missed the word forgets by itself after 30 s (`vault.ring`); only then is "key destroyed" true.
    """

    def __init__(self, database: Database, wait_s: float = CACHE_S_MAX) -> None:
        self._database = database
        self._wait_s = wait_s

    async def __call__(self, subject_id: UUID) -> None:
        async with self._database.begin() as c:
            await c.execute(_NOTIFY, {"channel": CHANNEL, "subject": str(subject_id)})
        await asyncio.sleep(self._wait_s)


async def listen(connection: asyncpg.Connection, ring: Ring) -> None:
    """Forget keys as soon as the word comes, for as long as `connection` (outside any pool) lives."""

    def forget(_: object, pid: int, channel: str, payload: object) -> None:
        ring.forget(UUID(str(payload)))

    await connection.add_listener(CHANNEL, forget)
