"""The backup folders that exist: each is told of every erasure and of what was tightened, and removed when its end has come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID

import msgspec
from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.db import Database
from avow.privacy import newest, tombstones
from avow.privacy.newest import NewestBroken
from avow.privacy.tables import backup_folder
from avow.privacy.tombstones import TombstonesBroken

MANIFEST = "manifest.json"


class List(Protocol):
    """A list that a restore needs to know, beside the ring and with a copy in each folder."""

    def copy_to(self, folder: Path) -> None: ...


@dataclass(frozen=True, slots=True)
class Told:
    """A backup folder and whether it knows of all erasures now."""

    id: UUID
    made_at: datetime
    ends_at: datetime
    reachable: bool


async def register(c: AsyncConnection, id: UUID, path: Path, made_at: datetime, ends_at: datetime) -> None:
    """Write down that a backup lies at `path` (absolute)."""
    row = {"id": id, "path": str(path), "made_at": made_at, "ends_at": ends_at, "reachable": True}
    await c.execute(insert(backup_folder).values(row))


async def tell(database: Database, *lists: List) -> list[Told]:
    """Bring the lists of erasures and of newest states in every folder up to date; one out of reach is told the next time."""
    async with database.begin() as c:
        rows = (await c.execute(select(backup_folder).order_by(backup_folder.c.made_at))).all()
    told = []
    for row in rows:
        path = Path(row.path)
        reachable = await asyncio.to_thread(_tell, lists, path, row.id)
        if reachable != row.reachable:
            async with database.begin() as c:
                changed = update(backup_folder).where(backup_folder.c.id == row.id).values(reachable=reachable)
                await c.execute(changed)
        told.append(Told(row.id, row.made_at, row.ends_at, reachable))
    return told


async def expire(database: Database, now: datetime) -> int:
    """Remove the backups whose end has come and return how many went. One out of reach stays on the list."""
    async with database.begin() as c:
        rows = (await c.execute(select(backup_folder).where(backup_folder.c.ends_at <= now))).all()
    gone = 0
    for row in rows:
        if await asyncio.to_thread(_remove, Path(row.path), row.id):
            async with database.begin() as c:
                await c.execute(delete(backup_folder).where(backup_folder.c.id == row.id))
            gone += 1
    return gone


def _tell(lists: Sequence[List], path: Path, id: UUID) -> bool:
    if _backup_id(path) != str(id):
        return False
    try:
        for each in lists:
            each.copy_to(path)
    except (OSError, TombstonesBroken, NewestBroken):  # one damaged copy must not stop the erasures of everybody
        return False
    return True


def _remove(path: Path, id: UUID) -> bool:
    """Remove the files that the backup wrote and nothing else, the manifest last, so that a crash is taken up again.

    A folder that is not there while its parent is, has been removed by the operator.
    """
    if not path.exists():
        return path.parent.is_dir()
    if _backup_id(path) != str(id):
        return False
    try:
        lists = (tombstones.FILE_NAME, newest.FILE_NAME, f"{newest.FILE_NAME}.new")
        for name in (*manifest_files(path), *lists, MANIFEST):
            (path / name).unlink(missing_ok=True)
        for folder in sorted((f for f in path.rglob("*") if f.is_dir()), reverse=True):
            folder.rmdir()
        path.rmdir()
    except OSError:
        return not (path / MANIFEST).exists()
    return True


def manifest_files(path: Path) -> list[str]:
    """The names of the files that a manifest lists, only those that lie inside the folder."""
    files: dict[str, str] = msgspec.json.decode((path / MANIFEST).read_bytes())["files"]
    root = path.resolve()
    return [name for name in files if (path / name).resolve().is_relative_to(root)]


def _backup_id(path: Path) -> str | None:
    try:
        found = msgspec.json.decode((path / MANIFEST).read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    return found.get("id") if isinstance(found, dict) else None
