"""One at a time: of two processes that are given the same request, one works and the other waits for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from avow.base.db import Database

_LOCK = "SELECT pg_advisory_lock(hashtextextended('request ' || $1, 0))"


@asynccontextmanager
async def alone(database: Database, request_id: UUID) -> AsyncIterator[None]:
    """Hold a lock of the database, which lets it go when this process dies."""
    connection = await database.raw()
    try:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute(_LOCK, str(request_id))
        yield
    finally:
        await connection.close()
