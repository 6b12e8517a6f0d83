"""Telling the other processes that keys were destroyed, so that they drop what they have in memory.

The news travels by PostgreSQL's NOTIFY; a process that misses it forgets by itself within `CACHE_S_MAX` seconds.
"""

from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.vault.ring import Ring

CHANNEL = "avow_keys_destroyed"
EVERYBODY = "*"


async def announce(conn: AsyncConnection, subject_id: UUID | None = None) -> None:
    """Tell every process, once the caller's transaction is committed, to forget one person's keys, or (None) all."""
    payload = EVERYBODY if subject_id is None else str(subject_id)
    await conn.execute(text("SELECT pg_notify(:channel, :payload)"), {"channel": CHANNEL, "payload": payload})


async def listen(raw: asyncpg.Connection, ring: Ring) -> None:
    """Make `ring` forget what is announced, for as long as the connection `raw` is open."""

    def heard(_: object, __: int, ___: str, payload: str) -> None:
        if payload == EVERYBODY:
            ring.clear()
        else:
            ring.forget(UUID(payload))

    await raw.add_listener(CHANNEL, heard)
