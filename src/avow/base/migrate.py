"""Brings a database to what the code expects: roles, tables, functions, grants and row policies."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import asyncpg
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

import avow
from avow.base import access
from avow.base.db import Dsn

PACKAGE = Path(avow.__file__).parent
SCRIPTS = PACKAGE / "base" / "migrations"


async def migrate(admin: Dsn, passwords: Mapping[str, str], *, only_tables: bool = False) -> None:
    """Migrate as `admin`, a role that may create databases and roles. `passwords` maps each login role to its password.

    `only_tables` leaves out functions, grants and row security, which fit only the tables that the code declares.

    Safe to repeat and to interrupt: each step is one transaction or can be done twice.
    """
    await make_database(admin)
    arguments = {k: v for k, v in admin.arguments().items() if k not in ("user", "password", "database")}
    engine = create_async_engine(admin.url(), connect_args=arguments, hide_parameters=True)
    try:
        async with engine.begin() as connection:
            # Two starts at once: the second waits here and then finds all done.
            await connection.execute(text("SELECT pg_advisory_xact_lock(726174)"))
            for statement in roles(passwords, admin.database):
                await connection.exec_driver_sql(statement)
            await connection.exec_driver_sql(f"SET LOCAL ROLE {access.OWNER}")
            await connection.run_sync(_upgrade)
            await connection.exec_driver_sql(_UNCOMPRESSED)
            if not only_tables:
                await _apply(connection)
    finally:
        await engine.dispose()


def functions() -> Iterator[tuple[str, str]]:
    """The SQL functions of all slices: (path in the package, text)."""
    for path in sorted(PACKAGE.glob("*/*.sql")):
        yield str(path.relative_to(PACKAGE)), path.read_text()


async def make_database(admin: Dsn) -> None:
    """The database of `admin`, if it is not there yet."""
    maintenance = await asyncpg.connect(**{**admin.arguments(), "database": "postgres"}, timeout=10)
    try:
        if not await maintenance.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", admin.database):
            await maintenance.execute(f'CREATE DATABASE "{admin.database}"')
    except asyncpg.DuplicateDatabaseError:
        await asyncio.sleep(0)
    finally:
        await maintenance.close()


def roles(passwords: Mapping[str, str], database: str) -> Iterator[str]:
    """SQL that makes the roles and says what each may do with the database as a whole; safe to repeat."""
    for role in (access.OWNER, *access.LOGIN_ROLES):
        login = "LOGIN" if role in passwords else "NOLOGIN"
        yield (f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$")
        secret = f" PASSWORD '{passwords[role]}'" if role in passwords else ""
        yield f"ALTER ROLE {role} {login} NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION{secret}"
    yield f"GRANT {access.OWNER} TO CURRENT_USER"
    # The probe of raw files makes PostgreSQL write what it still holds in memory.
    yield f"GRANT pg_checkpoint TO {access.KEEPER}"
    yield f'REVOKE ALL ON DATABASE "{database}" FROM PUBLIC'
    others = ", ".join(role for role in access.LOGIN_ROLES if role != access.ANALYST)
    yield f'GRANT CONNECT, TEMPORARY ON DATABASE "{database}" TO {others}'
    yield f'GRANT CONNECT ON DATABASE "{database}" TO {access.ANALYST}'
    yield f'GRANT CREATE ON DATABASE "{database}" TO {access.OWNER}'
    yield "REVOKE ALL ON SCHEMA public FROM PUBLIC"
    yield f"GRANT ALL ON SCHEMA public TO {access.OWNER}"
    yield f"GRANT USAGE ON SCHEMA public TO {', '.join(access.LOGIN_ROLES)}"
    yield f"ALTER DEFAULT PRIVILEGES FOR ROLE {access.OWNER} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"


def revisions() -> set[str]:
    """The revisions of the tables that this version knows."""
    from alembic.script import ScriptDirectory  # a command that migrates nothing does not wait for it

    return {script.revision for script in ScriptDirectory(str(SCRIPTS)).walk_revisions()}


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


async def _apply(connection: AsyncConnection) -> None:
    """Functions, grants and row policies are projections of files and catalog: made anew when one of them changed."""
    wanted = [s for s in access.statements() if s]
    wanted = [*(body for _, body in functions()), *wanted]
    digest = hashlib.sha256("\0".join(wanted).encode()).hexdigest()
    if await connection.scalar(text("SELECT hash FROM schema_state WHERE id = 1")) == digest:
        return
    raw = (await connection.get_raw_connection()).driver_connection
    assert isinstance(raw, asyncpg.Connection)
    await raw.execute(_DROP_FUNCTIONS)
    for statement in wanted:
        await raw.execute(statement)
    await connection.execute(
        text("INSERT INTO schema_state VALUES (1, :hash) ON CONFLICT (id) DO UPDATE SET hash = excluded.hash"),
        {"hash": digest},
    )


# What is sealed cannot be compressed, and what should be sealed and is not must be seen by a search of the files.
_UNCOMPRESSED = """
DO $$ DECLARE c record; BEGIN
  FOR c IN SELECT a.attrelid::regclass AS relation, a.attname FROM pg_attribute a JOIN pg_class r ON r.oid = a.attrelid
           WHERE r.relnamespace = 'public'::regnamespace AND r.relkind IN ('r', 'p')
             AND a.attnum > 0 AND NOT a.attisdropped AND a.attstorage = 'x' LOOP
    EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE EXTERNAL', c.relation, c.attname);
  END LOOP;
END $$
"""

_DROP_FUNCTIONS = f"""
DO $$ DECLARE f record; BEGIN
  FOR f IN SELECT oid::regprocedure AS signature FROM pg_proc
           WHERE pronamespace = 'public'::regnamespace AND proowner = '{access.OWNER}'::regrole LOOP
    EXECUTE format('DROP FUNCTION %s CASCADE', f.signature);
  END LOOP;
END $$
"""  # noqa: S608  a constant of ours
