"""One database that a run lends to test after test: to empty it takes a tenth of what it takes to make it anew.

What a test may change without anybody noticing is only rows. Whoever changes anything else, a table, a policy, a grant, a
function, or rows that were there from the beginning, gets a database of its own: it is dropped behind them.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg

from avow.base import access
from avow.base.db import Dsn

TABLES = """
    SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relkind = 'r' AND c.oid >= 16384 AND n.nspname NOT IN ('pg_catalog', 'pg_toast', 'information_schema')
      AND pg_relation_size(c.oid) > 0
"""
# What else there is: every row of these catalogs changes its xmin when it is changed, and no TRUNCATE changes one.
SHAPE = """
    SELECT concat_ws(' ',
        (SELECT concat(count(*), '/', sum(xmin::text::bigint)) FROM pg_attribute WHERE attrelid >= 16384),
        (SELECT concat(count(*), '/', sum(xmin::text::bigint)) FROM pg_proc),
        (SELECT concat(count(*), '/', sum(xmin::text::bigint)) FROM pg_policy),
        (SELECT concat(count(*), '/', sum(xmin::text::bigint)) FROM pg_constraint),
        (SELECT concat(count(*), '/', sum(xmin::text::bigint)) FROM pg_trigger),
        (SELECT concat(count(*), '/', sum(xmin::text::bigint)) FROM pg_rewrite),
        (SELECT concat(count(*), '/', sum(xmin::text::bigint)) FROM pg_attrdef),
        (SELECT concat(count(*), '/', sum(xmin::text::bigint)) FROM pg_namespace WHERE nspname !~ '^pg_t'),
        (SELECT md5(string_agg(concat_ws('|', oid, relname, relowner, relacl, reloptions, relrowsecurity,
                                         relforcerowsecurity, relpersistence), ';' ORDER BY oid))
         FROM pg_class WHERE oid >= 16384 AND relkind <> 't' AND relpersistence <> 't'),
        (SELECT concat_ws('|', oid, datacl) FROM pg_database WHERE datname = current_database()),
        (SELECT string_agg(concat_ws('|', setrole, setconfig), ';' ORDER BY setrole) FROM pg_db_role_setting))
"""
OTHERS = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@dataclass
class Lending:
    """The database that is lent next, if there is one."""

    server: Dsn
    template: str
    name: str = ""
    shape: str = ""
    seeded: dict[str, str] = field(default_factory=dict)
    """A digest of each table that is not empty from the beginning."""

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[Dsn]:
        """An empty migrated database for one test."""
        if not self.name:
            await self._make()
        try:
            yield replace(self.server, database=self.name)
        finally:
            if not await self._emptied():
                await self.end()

    async def _make(self) -> None:
        name = f"t_{secrets.token_hex(6)}"
        async with connected(replace(self.server, database="postgres")) as c:
            await c.execute(f"CREATE DATABASE {name} TEMPLATE {self.template} STRATEGY FILE_COPY")
            await c.execute(f"GRANT CONNECT ON DATABASE {name} TO {', '.join(access.LOGIN_ROLES)}")
        async with connected(replace(self.server, database=name)) as c:
            self.shape = await c.fetchval(SHAPE)
            self.seeded = {row["name"]: await digest(c, row["name"]) for row in await c.fetch(TABLES)}
        self.name = name

    async def _emptied(self) -> bool:
        """Whether nothing is left of the test."""
        try:
            async with connected(replace(self.server, database=self.name)) as c:
                await c.execute(OTHERS)
                used = [row["name"] for row in await c.fetch(TABLES)]
                if fresh := [name for name in used if name not in self.seeded]:
                    await c.execute(f"TRUNCATE {', '.join(fresh)} RESTART IDENTITY CASCADE")
                same = {name: await digest(c, name) for name in self.seeded} == self.seeded
                return same and await c.fetchval(SHAPE) == self.shape
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    async def end(self) -> None:
        """Let the next test have a new one."""
        if not self.name:
            return
        async with connected(replace(self.server, database="postgres")) as c:
            await c.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        self.name = ""


async def digest(c: asyncpg.Connection[Any], table: str) -> str:
    """What stands in a table."""
    found: str = await c.fetchval(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t")
    return found


@asynccontextmanager
async def connected(dsn: Dsn) -> AsyncIterator[asyncpg.Connection[Any]]:
    made = await asyncpg.connect(**dsn.arguments())
    try:
        yield made
    finally:
        await made.close()
