"""Connections to PostgreSQL. One request, one transaction, committed at the edge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

AWAY = (SQLAlchemyError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a database that does not answer comes as: the driver's own errors pass unwrapped where a connection is opened."""

TLS_LEAST = "TLSv1.3"
"""Every PostgreSQL of these years speaks it, so nothing older is spoken with one elsewhere, whatever the policy says."""
_SET_TENANT = text("SELECT set_config('app.tenant', :tenant, true)")


@dataclass(frozen=True, slots=True)
class Dsn:
    """Where a database is and as which role to speak to it. `host` is a folder for a unix socket."""

    host: str
    port: int
    user: str
    database: str
    password: str = field(repr=False, default="")
    sslmode: str = ""

    def role(self, user: str, password: str) -> Dsn:
        return replace(self, user=user, password=password)

    def url(self) -> URL:
        return URL.create("postgresql+asyncpg", self.user, self.password or None, database=self.database)

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments for `asyncpg.connect`."""
        ssl: dict[str, Any] = {"ssl": False} if self.host.startswith("/") else {}
        if self.sslmode:
            ssl = {"dsn": f"postgresql://?sslmode={self.sslmode}&ssl_min_protocol_version={TLS_LEAST}"}
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password or None,
            "database": self.database,
            **ssl,
        }


_SETTINGS = {"application_name": "avow", "idle_in_transaction_session_timeout": "30s", "timezone": "UTC"}


class Database:
    """A small pool of connections as one role."""

    def __init__(self, dsn: Dsn, *, pool_size: int = 4, statement_timeout_s: int = 30) -> None:
        self.dsn = dsn
        self._settings = {**_SETTINGS, "statement_timeout": f"{statement_timeout_s}s"}
        arguments = {k: v for k, v in dsn.arguments().items() if k not in ("user", "password", "database")}
        self.engine: AsyncEngine = create_async_engine(
            dsn.url(),
            pool_size=pool_size,
            max_overflow=4,
            pool_timeout=5,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={**arguments, "server_settings": self._settings, "timeout": 5},
        )

    @asynccontextmanager
    async def tenant(self, tenant_id: UUID) -> AsyncIterator[AsyncConnection]:
        """One transaction that sees the rows of one tenant; commits when the block ends, rolls back when it raises."""
        async with self.engine.begin() as connection:
            await connection.execute(_SET_TENANT, {"tenant": str(tenant_id)})
            yield connection

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """One transaction without a tenant: a table with a tenant raises for role `app`, and shows all to the keeper."""
        async with self.engine.begin() as connection:
            yield connection

    async def raw(self) -> asyncpg.Connection:
        """A connection outside the pool, for batches and LISTEN; the caller closes it."""
        return await asyncpg.connect(**self.dsn.arguments(), server_settings=self._settings, timeout=5)

    async def close(self) -> None:
        await self.engine.dispose()
