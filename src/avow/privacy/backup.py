"""Backups: a dump of the database without its keys, with a manifest of what it is and when it ends.

The ring is never copied. What was erased or expired since a backup was made cannot be opened after a restore, because
the newest ring has no key for it; the tombstones, ours and the folder's, remove its rows before any traffic, and rows
that were tightened since take their newest state (`renewal`).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import delete, insert, select
from sqlalchemy.exc import DBAPIError

from avow.base import access, files, jobs
from avow.base.db import TLS_LEAST, Database, Dsn
from avow.base.errors import AvowError
from avow.base.ids import uuid7
from avow.base.migrate import migrate, revisions
from avow.base.progress import Told, nobody
from avow.policy import Policy
from avow.privacy import folders, memory, renewal
from avow.privacy.folders import MANIFEST
from avow.privacy.memory import NewestForeign
from avow.privacy.needs import Needs
from avow.privacy.tables import newest_state, restoration

SECRET = "backup"  # noqa: S105  the name of a secret
FORMAT = 1
DUMP = "database"
COPY_BYTES_MAX = 5_000_000_000
KEEP_MAX = timedelta(days=30)
_LOOKED_IN = ("PATH", "HOME", "PGSSLROOTCERT")
"""How long a backup is kept where the policy says nothing of backups; after that the sweep removes it."""

Program = Callable[[str], Path]


class FolderUnfit(AvowError):
    """A backup is written into a new or empty folder."""

    status = 409
    code = "backup_folder_unfit"
    hint = "Name a folder that does not exist yet, or an empty one, outside AVOW_HOME: a backup outlives the home."


class NoBackup(AvowError):
    """There is no backup in this folder."""

    status = 404
    code = "no_backup"
    hint = "Name the folder that `avow backup` wrote; it holds a manifest.json."


class BackupBroken(AvowError):
    """The backup was changed or is incomplete, so it was not restored."""

    status = 409
    code = "backup_broken"
    hint = "Use another backup, or copy this one again from where it came."


class BackupNewer(AvowError):
    """The backup was made by a newer Avow."""

    status = 409
    code = "backup_newer"
    hint = "Restore it with the version of Avow that made it, or a newer one."


class BackupExpired(AvowError):
    """The backup's end has come, so it may not be brought back."""

    status = 410
    code = "backup_expired"
    hint = "Use a newer backup; this one was promised to be gone."


class TargetNotEmpty(AvowError):
    """The database to restore into has tables already."""

    status = 409
    code = "target_not_empty"
    hint = "To drop the database of this home and put the backup in its place: avow restore FOLDER --replace"


class ToolFailed(AvowError):
    """pg_dump or pg_restore did not finish."""

    code = "tool_failed"
    hint = "Check that its version is not older than the server's, and that there is room on the disk."


class CopyTooLarge(AvowError):
    """The database is too large to be copied only for a look."""

    code = "copy_too_large"
    hint = "Restore the newest backup on another machine once in a while, and look there."


class Manifest(msgspec.Struct, forbid_unknown_fields=True):
    """What a backup is. `schema` is the revision of its tables, `files` maps each file to the SHA-256 of its bytes, and
    `check` is an HMAC of all the rest under a secret of the ring."""

    id: UUID
    format: int
    schema: str
    made_at: datetime
    ends_at: datetime
    policy: str
    files: dict[str, str] = {}
    check: str = ""


def end(policy: Policy, made_at: datetime) -> datetime:
    """When a backup ends: as `[backup]` of the policy says; the language refuses a longer time than deleted data may stay."""
    part = policy.parts.get("backup")
    ends_at: datetime | None = None if part is None else part.values["keep"].end(made_at)
    return ends_at or made_at + KEEP_MAX


def check_folder(folder: Path, home: Path) -> Path:
    """The whole path of a folder for a backup. Raises FolderUnfit for one inside the home."""
    folder = folder.resolve()
    if folder.is_relative_to(home.resolve()):
        raise FolderUnfit(f"{folder} lies inside AVOW_HOME ({home}); a backup does not belong to what it saves.")
    return folder


async def make(needs: Needs, folder: Path, reader: Dsn, program: Program, told: Told = nobody) -> Manifest:
    """Write a backup into `folder`. `reader` speaks as role `avow_backup`; `program` finds PostgreSQL's programs.

    The folder is registered before anything personal lies in it, so that it is told of every erasure and ends on time.
    Raises FolderUnfit, ToolFailed.
    """
    folder = await asyncio.to_thread(_new_folder, folder)
    now = needs.clock.now()
    made = Manifest(uuid7(), FORMAT, await _schema(reader), now, end(needs.policy, now), needs.policy.hash)
    _write(needs, folder, made)
    async with needs.database.begin() as c:
        await folders.register(c, made.id, folder, now, made.ends_at)
        # Which states are newer than the backup is told by a number in it.
        await memory.look(c, needs.newest)
    await memory.write_down(needs)
    options = ("--format=directory", "--enable-row-security", f"--file={folder / DUMP}")
    told("writes the tables", 0, 2)
    await _run(program("pg_dump"), reader, *options)
    told("counts the files", 1, 2)
    made.files = await asyncio.to_thread(_hashes, folder)
    _write(needs, folder, made)
    await folders.tell(needs.database, needs.tombstones, needs.newest)
    return made


async def copy_tables(reader: Dsn, folder: Path, program: Program, tables: Iterable[str]) -> None:
    """Write the rows of some tables into a folder as a backup does, for a look at what it would hold. Raises CopyTooLarge."""
    connection = await asyncpg.connect(**reader.arguments(), timeout=10)
    try:
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
    finally:
        await connection.close()
    if size > COPY_BYTES_MAX:
        raise CopyTooLarge
    options = ("--data-only", "--enable-row-security", f"--file={folder / DUMP}")
    await _run(program("pg_dump"), reader, *options, *(f"--table={name}" for name in tables))


async def restore(
    needs: Needs,
    folder: Path,
    target: Dsn,
    passwords: Mapping[str, str],
    program: Program,
    *,
    replace_database: bool = False,
    told: Told = nobody,
) -> Manifest:
    """Bring a backup back as the database of `target`, and up to what was tightened and erased since. The database must not
    exist yet or be empty, unless it may be replaced: then it is dropped once the backup is ready to take its place.

    `target` speaks as a role that may create databases and roles, `passwords` are those of the login roles. The work is
    done under another name, which is changed when all is done: a restore that is killed leaves nothing that could serve.
    Raises NoBackup, BackupBroken, BackupNewer, BackupExpired, TargetNotEmpty, TombstonesBroken, or what `renewal.catch_up`
    raises; nothing was changed.
    """
    told("looks at the files", 0, 3)
    made = await asyncio.to_thread(_checked, needs, folder)
    if not replace_database:
        await _refuse_full(target)
    await _write_down_last(needs)
    await asyncio.to_thread(needs.tombstones.take_from, folder)
    work = _work(target)
    await _administer(target, f'DROP DATABASE IF EXISTS "{work.database}" WITH (FORCE)')
    await migrate(work, passwords, only_tables=True)
    await _make_room(work)
    told("reads the tables", 1, 3)
    await _run(program("pg_restore"), work, "--single-transaction", str(folder / DUMP))
    told("brings them up to date", 2, 3)
    await migrate(work, passwords)
    keeper = Database(work.role(access.KEEPER, passwords[access.KEEPER]))
    try:
        async with keeper.begin() as c:
            file = await c.scalar(select(newest_state.c.file))
        if file is not None:
            await asyncio.to_thread(needs.newest.take_from, folder, file)
        await renewal.renew(replace(needs, database=keeper))
        async with keeper.begin() as c:
            await c.execute(delete(restoration))
            await c.execute(insert(restoration).values(id=1, backup=made.id, made_at=made.made_at))
    finally:
        await keeper.close()
    force = " WITH (FORCE)" if replace_database else ""
    await _administer(target, f'DROP DATABASE IF EXISTS "{target.database}"{force}')
    await _rename(work, target)
    return made


async def take_place(target: Dsn) -> None:
    """Give a restored database its name, where a restore was killed after it had dropped the old one; else nothing."""
    work = _work(target)
    maintenance = await asyncpg.connect(**replace(target, database="postgres").arguments(), timeout=10)
    try:
        names = await maintenance.fetch("SELECT datname FROM pg_database")
    finally:
        await maintenance.close()
    if {row["datname"] for row in names} & {target.database, work.database} != {work.database}:
        return
    connection = await asyncpg.connect(**work.arguments(), timeout=10)
    try:
        is_ready = await connection.fetchval("SELECT to_regclass('public.restoration')") is not None and (
            await connection.fetchval("SELECT count(*) FROM restoration")
        )
    finally:
        await connection.close()
    if is_ready:
        await _rename(work, target)


def _work(target: Dsn) -> Dsn:
    """The database under whose name a restore works."""
    return replace(target, database=f"{target.database}_restoring")


async def _rename(work: Dsn, target: Dsn) -> None:
    await _administer(target, f'ALTER DATABASE "{work.database}" RENAME TO "{target.database}"')


async def _write_down_last(needs: Needs) -> None:
    """What the database that is to be replaced has not told yet; nothing where it does not answer or is another's."""
    with contextlib.suppress(OSError, DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError, NewestForeign):
        await memory.write_down(needs)


async def _refuse_full(target: Dsn) -> None:
    try:
        connection = await asyncpg.connect(**target.arguments(), timeout=10)
    except asyncpg.InvalidCatalogNameError:
        return
    try:
        if await connection.fetchval("SELECT EXISTS (SELECT FROM pg_class WHERE oid >= 16384)"):
            raise TargetNotEmpty
    finally:
        await connection.close()


async def _make_room(work: Dsn) -> None:
    """Roles and database were made by the migration; its empty tables make room for those of the backup."""
    statements = ("DROP SCHEMA public CASCADE", f"DROP SCHEMA {jobs.SCHEMA} CASCADE")
    await _administer(work, *statements, "CREATE SCHEMA public AUTHORIZATION pg_database_owner", database=work.database)


async def _administer(dsn: Dsn, *statements: str, database: str = "postgres") -> None:
    connection = await asyncpg.connect(**replace(dsn, database=database).arguments(), timeout=10)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _run(program: Path, dsn: Dsn, *arguments: str) -> None:
    """Run a program of PostgreSQL; the password goes through a file that only we can read, never the command line."""
    async with _passfile(dsn) as passfile:
        process = await asyncio.create_subprocess_exec(
            *(str(program), "--no-password", f"--host={dsn.host}", f"--port={dsn.port}", f"--username={dsn.user}"),
            *(f"--dbname={dsn.database}", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PGPASSFILE": str(passfile), "LC_ALL": "C", **_environment(dsn)},
        )
        try:
            status = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
    if status:
        # What the program says may quote rows, so only its status is told.
        raise ToolFailed(f"{program.name} ended with status {status}.")


def _environment(dsn: Dsn) -> dict[str, str]:
    """Where programs and the database's certificate are looked for; over the network no less is asked of it than by us."""
    kept = {"PATH": "/usr/bin:/bin", **{name: os.environ[name] for name in _LOOKED_IN if name in os.environ}}
    return kept | ({"PGSSLMODE": dsn.sslmode, "PGSSLMINPROTOCOLVERSION": TLS_LEAST} if dsn.sslmode else {})


@contextlib.asynccontextmanager
async def _passfile(dsn: Dsn) -> AsyncIterator[Path]:
    escaped = dsn.password.replace("\\", "\\\\").replace(":", "\\:")
    with tempfile.NamedTemporaryFile("w", prefix="avow-pass-") as file:
        file.write(f"*:*:*:*:{escaped}\n")
        file.flush()
        yield Path(file.name)


def _new_folder(folder: Path) -> Path:
    folder = folder.resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise FolderUnfit
        folder.chmod(0o700)
    except OSError:
        raise FolderUnfit("The folder for the backup cannot be made.") from None
    return folder


def _write(needs: Needs, folder: Path, made: Manifest) -> None:
    made.check = _check(needs, made)
    files.replace(folder / MANIFEST, msgspec.json.format(msgspec.json.encode(made), indent=2))


def _check(needs: Needs, made: Manifest) -> str:
    secret = needs.ring.secret(SECRET, create=True)
    assert secret is not None
    bare = msgspec.structs.replace(made, check="")
    return hmac.digest(secret, msgspec.json.encode(bare, order="sorted"), "sha256").hex()


def _hashes(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted((folder / DUMP).iterdir()):
        with path.open("rb") as file:
            found[f"{DUMP}/{path.name}"] = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
    return found


def _checked(needs: Needs, folder: Path) -> Manifest:
    """The manifest of a folder whose files are all there, unchanged and no others."""
    try:
        made = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except OSError:
        raise NoBackup from None
    except msgspec.DecodeError:
        raise BackupBroken("The manifest of the backup cannot be read.") from None
    if not hmac.compare_digest(made.check, _check(needs, made)):
        raise BackupBroken("The manifest was changed, or the backup belongs to another keyring.")
    if made.format > FORMAT or made.schema not in revisions():
        raise BackupNewer
    if made.ends_at <= needs.clock.now():
        raise BackupExpired
    if not made.files or _hashes(folder) != made.files:
        raise BackupBroken
    return made


async def _schema(reader: Dsn) -> str:
    connection = await asyncpg.connect(**reader.arguments(), timeout=10)
    try:
        return str(await connection.fetchval("SELECT version_num FROM alembic_version"))
    finally:
        await connection.close()
