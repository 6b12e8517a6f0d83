"""The vault of evidence: documents that stand behind what people do and code cannot show, such as an auditor's report.

A sentence of the policy that names a document stands on the page while a document of that name is held unchanged and its
dates hold, and not a moment longer: what may stand is asked at each page. The keeper looks at the files once a minute; a
document that ran out, is missing or was changed is an incident, and part of the published history.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, and_, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.clock import Clock
from avow.base.db import Database
from avow.base.errors import AvowError, NotFound
from avow.base.files import replace
from avow.base.ids import uuid7
from avow.registers import incidents
from avow.registers.tables import document, document_event
from avow.vault import Ring, box
from avow.vault.box import BoxBroken

Became = Literal["valid", "early", "lapsed", "missing", "changed", "withdrawn"]

FOLDER = "evidence"
SECRET = "documents of the organisation"  # noqa: S105 (the name of a secret)
SIZE_MAX = 20 << 20
NAMES_MAX = 50
EVENTS_MAX = 100
ORPHAN_AFTER = timedelta(hours=1)
_ADD = text("SELECT document_add(:id, :name, :issuer, :sha256, :size, :since, :until, :at)")
_WITHDRAW = text("SELECT document_withdraw(:name)")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_LINE = re.compile(r"[^\x00-\x1f<>{}]{1,200}")


class DocumentRefused(AvowError):
    """This document cannot stand behind a claim."""

    status = 422
    code = "document_refused"
    hint = "Give a file of 1 byte to 20 MB, who issued it, and from when until when it holds; the end lies ahead."


class DocumentUnknown(NotFound):
    """There is no such document."""

    code = "document_unknown"
    hint = "avow evidence list shows the documents by the name that the policy calls them by."


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where documents are kept; `keeper` speaks as role `avow_keeper`."""

    home: Path
    ring: Ring
    keeper: Database
    clock: Clock

    @property
    def folder(self) -> Path:
        return self.home / FOLDER


@dataclass(frozen=True, slots=True)
class Event:
    """What a document became, and when."""

    name: str
    at: datetime
    became: str


async def add(
    shelf: Shelf, names: Sequence[str], content: bytes, issuer: str, valid_from: datetime, valid_until: datetime
) -> str:
    """Keep a document under the names that the policy calls it by; gives its SHA-256 (hexadecimal).

    The file is on disk before the rows that name it. Raises DocumentRefused.
    """
    now = shelf.clock.now()
    _check(names, content, issuer, valid_from, valid_until, now)
    sha256 = hashlib.sha256(content).hexdigest()
    row = {"issuer": issuer, "sha256": sha256, "size": len(content), "valid_from": valid_from}
    row |= {"valid_until": valid_until, "added_at": now, "state": "held", "told": ""}
    ids = {uuid7(): name for name in names}
    rows = [{**row, "id": id, "name": name} for id, name in ids.items()]
    for id in ids:
        await asyncio.to_thread(_write, shelf, id, content)
    async with shelf.keeper.begin() as c:
        await c.execute(insert(document), rows)
        for found in (await c.execute(select(document).where(document.c.id.in_(ids)))).all():
            await _tell(c, found, now)
    return sha256


async def hand_in(
    c: AsyncConnection,
    shelf: Shelf,
    names: Sequence[str],
    content: bytes,
    issuer: str,
    valid_from: datetime,
    valid_until: datetime,
) -> str:
    """As `add`, in the caller's transaction as the product's role; the keeper's next look tells the history of it."""
    now = shelf.clock.now()
    _check(names, content, issuer, valid_from, valid_until, now)
    sha256 = hashlib.sha256(content).hexdigest()
    row = {"issuer": issuer.strip(), "sha256": sha256, "size": len(content), "at": now}
    for name in names:
        id = uuid7()
        await asyncio.to_thread(_write, shelf, id, content)
        await c.execute(_ADD, {**row, "id": id, "name": name, "since": valid_from, "until": valid_until})
    return sha256


async def hand_back(c: AsyncConnection, name: str) -> list[UUID]:
    """As `withdraw`, as the product's role; gives the ids of their files, which go when the caller has committed."""
    gone = list((await c.execute(_WITHDRAW, {"name": name})).scalars())
    if not gone:
        raise DocumentUnknown(f"There is no document {name!r}.")
    return gone


def remove(shelf: Shelf, ids: Sequence[UUID]) -> None:
    """Remove the files of documents that were withdrawn."""
    for id in ids:
        _path(shelf, id).unlink(missing_ok=True)


async def withdraw(shelf: Shelf, name: str) -> int:
    """Take every document of a name away; its claims leave the page with this. Gives how many. Raises DocumentUnknown."""
    now = shelf.clock.now()
    mine = document.c.name == name, document.c.state != "withdrawn"
    async with shelf.keeper.begin() as c:
        rows = (await c.execute(update(document).where(*mine).values(state="withdrawn").returning(document))).all()
        if not rows:
            raise DocumentUnknown(f"There is no document {name!r}.")
        for row in rows:
            await _tell(c, row, now)
    remove(shelf, [row.id for row in rows])
    return len(rows)


async def valid(c: AsyncConnection, now: datetime) -> frozenset[str]:
    """The names of the documents that hold now: what rests on them may be published."""
    dates = document.c.valid_from <= now, document.c.valid_until > now
    query = select(document.c.name).where(document.c.state == "held", *dates).distinct()
    return frozenset((await c.execute(query)).scalars())


async def listed(c: AsyncConnection, now: datetime) -> list[dict[str, Any]]:
    """Every document by name, the newest first, with what it is worth now (`became`)."""
    rows = await c.execute(select(document).order_by(document.c.name, document.c.added_at.desc()))
    return [{**row._mapping, "became": _became(row, now)} for row in rows]


async def page(c: AsyncConnection, now: datetime, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """The documents that are not withdrawn, those first that end first, behind `after`, with what they are worth now."""
    order = (document.c.valid_until, document.c.id)
    query = select(document).where(document.c.state != "withdrawn").order_by(*order).limit(limit)
    if after is not None:
        until = select(document.c.valid_until).where(document.c.id == after).scalar_subquery()
        later, same = document.c.valid_until > until, document.c.valid_until == until
        query = query.where(or_(later, and_(same, document.c.id > after)))
    return [{**row._mapping, "became": _became(row, now)} for row in await c.execute(query)]


async def ends(c: AsyncConnection, now: datetime) -> dict[str, datetime]:
    """For each name of which a document holds now: when the last of them ends."""
    dates = document.c.state == "held", document.c.valid_from <= now, document.c.valid_until > now
    query = select(document.c.name, func.max(document.c.valid_until)).where(*dates).group_by(document.c.name)
    return {row[0]: row[1] for row in await c.execute(query)}


async def newest(c: AsyncConnection, now: datetime) -> Mapping[str, tuple[Became, Row[Any]]]:
    """For each name the document that is worth most: a valid one, else the newest that is not withdrawn."""
    found: dict[str, tuple[Became, Row[Any]]] = {}
    for row in await c.execute(select(document).order_by(document.c.added_at)):
        became = _became(row, now)
        if became != "withdrawn" and (row.name not in found or found[row.name][0] != "valid" or became == "valid"):
            found[row.name] = became, row
    return found


async def history(c: AsyncConnection, limit: int = EVENTS_MAX) -> list[Event]:
    """What became of documents, newest first."""
    query = select(document_event).order_by(document_event.c.id.desc()).limit(limit)
    return [Event(row.name, row.at, row.became) for row in await c.execute(query)]


async def look(shelf: Shelf) -> int:
    """Look at every file, and tell the history and the desk what has become of the documents since; gives how many
    changed. Repeating it is harmless."""
    now, told = shelf.clock.now(), 0
    async with shelf.keeper.begin() as c:
        untold = or_(document.c.state != "withdrawn", document.c.told != "withdrawn")
        rows = (await c.execute(select(document).where(untold).with_for_update())).all()
        for row in rows:
            state = row.state if row.state == "withdrawn" else await asyncio.to_thread(_state_of, shelf, row)
            if state != row.state:
                changed = update(document).where(document.c.id == row.id).values(state=state).returning(document)
                row = (await c.execute(changed)).one()
            told += await _tell(c, row, now)
    await asyncio.to_thread(_clear, shelf, {str(row.id) for row in rows}, now)
    return told


def _became(row: Row[Any], now: datetime) -> Became:
    if row.state != "held":
        found: Became = row.state
        return found
    return "early" if now < row.valid_from else "valid" if now < row.valid_until else "lapsed"


async def _tell(c: AsyncConnection, row: Row[Any], now: datetime) -> bool:
    """Tell the history, and the desk, once, what a document has become."""
    became = _became(row, now)
    if became == row.told:
        return False
    await c.execute(update(document).where(document.c.id == row.id).values(told=became))
    at = row.valid_until if became == "lapsed" else now
    event = {"id": uuid7(), "document_id": row.id, "name": row.name, "at": at, "became": became}
    await c.execute(insert(document_event), event)
    if became == "valid":
        await incidents.settle(c, "evidence", row.name, now)
    elif became in ("lapsed", "missing", "changed") and row.name not in await valid(c, now):
        await incidents.note(c, "evidence", became, row.name, now)
    return True


def _check(
    names: Sequence[str], content: bytes, issuer: str, valid_from: datetime, valid_until: datetime, now: datetime
) -> None:
    if not 0 < len(names) <= NAMES_MAX or not all(_NAME.fullmatch(name) for name in names):
        raise DocumentRefused("A document's name is one that the policy can write: small letters, digits, - and _.")
    if not 0 < len(content) <= SIZE_MAX:
        raise DocumentRefused("The file is empty, or larger than 20 MB.")
    if not _LINE.fullmatch(issuer.strip()):
        raise DocumentRefused("Say in one line who issued the document.", param="issuer")
    if valid_until <= now or valid_until <= valid_from:
        raise DocumentRefused("The document has run out already, or ends before it begins.", param="to")


def _path(shelf: Shelf, id: UUID) -> Path:
    return shelf.folder / f"{id}.box"


def _write(shelf: Shelf, id: UUID, content: bytes) -> None:
    key = shelf.ring.secret(SECRET, create=True)
    assert key is not None
    shelf.folder.mkdir(mode=0o700, exist_ok=True)
    replace(_path(shelf, id), box.seal_system(key, document.name, id, content))


def _state_of(shelf: Shelf, row: Row[Any]) -> str:
    """`held` for a file that opens and has the digest that it was added with."""
    key = shelf.ring.secret(SECRET)
    try:
        sealed = _path(shelf, row.id).read_bytes()
    except OSError:
        return "missing"
    try:
        content = b"" if key is None else box.unseal_system(key, document.name, row.id, sealed)
    except BoxBroken:
        return "changed"
    return "held" if hashlib.sha256(content).hexdigest() == row.sha256 else "changed"


def _clear(shelf: Shelf, known: set[str], now: datetime) -> None:
    """Remove files that no row names: what a kill left before its row was written, or behind a withdrawal."""
    for path in shelf.folder.glob("*.box*"):
        if path.name.partition(".")[0] not in known and path.stat().st_mtime < (now - ORPHAN_AFTER).timestamp():
            path.unlink(missing_ok=True)
