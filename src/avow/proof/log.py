"""The transparency log of an installation: what was published, in one order, signed.

    rows that wait → places, in the database → entries and hashes, in the files → checkpoint, in one step

What lies behind the size that is signed was never shown to anybody and is written anew, so a kill at any moment leaves one
tree of each size. The checkpoint lies beside the ring and the files lie in the home, neither in PostgreSQL: a restored
database cannot take the log back, and goes on at the end of the files. Files that are not those which were signed stop the
log; then the operator begins another, with another name, whose first leaf says what the old one was.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Row, Select, Text, bindparam, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base import files
from avow.base.db import Database
from avow.base.progress import Told, each, nobody
from avow.proof.receipts import SECRET
from avow.proof.tiles import LogBroken, Tiles
from avow.proof.verifier import HASH_BYTES, NOTHING, Checkpoint, Key, Wrong, commitment, opened
from avow.vault import Ring, tlog
from avow.vault.tables import log_entry

FOLDER: Final = "tlog"
HEAD: Final = "log.checkpoint"
CHECKPOINT: Final = "checkpoint"
CHUNK_ROWS: Final = 1000
_LOST: Final = f"The file {HEAD} beside the keyring is missing, and the log has leaves."
_LOCK = text("SELECT pg_advisory_xact_lock(726178)")


class Verified(NamedTuple):
    """What a look at the whole log found: what is signed, what is wrong, and since when the oldest leaf waits (by the
    machine's clock; None: none waits)."""

    head: Checkpoint
    wrong: tuple[str, ...]
    waiting_since: datetime | None


class Log:
    """The log of one installation, over its home. Every process may read it; only the keeper extends it."""

    def __init__(self, home: Path, ring: Ring, base_url: str) -> None:
        seed = ring.secret(SECRET, create=True)
        assert seed is not None
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.tiles = Tiles(home / FOLDER)
        self._path, self._name = home / "keyring" / HEAD, f"{urlsplit(base_url).netloc}/log"
        self._is_held = False

    @property
    def key(self) -> Key:
        """The public key, under the log's name."""
        return self._named(self.checkpoint().origin)

    def note(self) -> bytes:
        """The newest checkpoint as it is published; before the first leaf, that of an empty log. Raises LogBroken where it was
        lost: a tree that began anew under the same name would be a second one."""
        found = self._kept()
        if found is None and self.tiles.has_entries():
            raise LogBroken(_LOST)
        return self._signed(Checkpoint(self._name, 0, NOTHING)) if found is None else found

    def checkpoint(self, note: bytes | None = None) -> Checkpoint:
        """What a note (that of `note()`) says. Raises LogBroken for one that we did not sign."""
        note = self.note() if note is None else note
        try:
            return opened(note, self._named(note.partition(b"\n")[0].decode(errors="replace")))
        except Wrong as wrong:
            raise LogBroken(f"The file {HEAD} beside the keyring is {wrong}.") from None

    def resource(self, path: str) -> bytes:
        """What is published at `path` below the log: `checkpoint`, `tile/…`. Raises NotFound."""
        return self.note() if path == CHECKPOINT else self.tiles.resource(path, self.checkpoint().size)

    def export(self, folder: Path, told: Told = nobody) -> Checkpoint:
        """Copy all that is published into a folder, with the key; what another copy wrote there of an older size stays."""
        note = self.note()
        checkpoint = self.checkpoint(note)
        for path in each(list(self.tiles.paths(checkpoint.size)), told):
            where = folder / path
            where.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.replace(where, self.tiles.resource(path, checkpoint.size))
        files.replace(folder / "key", f"{self._named(checkpoint.origin)}\n".encode())
        files.replace(folder / CHECKPOINT, note)
        return checkpoint

    def proof(self, salt: bytes, index: int, checkpoint: Checkpoint) -> dict[str, Any]:
        """What shows that the leaf at `index` is in the log, as `verifier.proved_leaf` reads it."""
        path = self.tiles.path(index, checkpoint.size)
        return {"index": index, "salt": salt.hex(), "path": [each.hex() for each in path]}

    def complete(self, document: bytes) -> bytes:
        """A receipt with its inclusion proof; as it was, while its leaf waits or where it never had one."""
        fields, note = json.loads(document), self.note()
        if "salt" not in fields:
            return document
        salt, checkpoint = bytes.fromhex(fields["salt"]), self.checkpoint(note)
        index = self.tiles.find(commitment(salt, document), checkpoint.size)
        if index is None:
            return document
        proof = self.proof(salt, index, checkpoint) | {CHECKPOINT: note.decode()}
        return tlog.spelled({**fields, "log": proof})

    # --- what the keeper does

    async def extend(self, keeper: Database) -> int:
        """Publish what waits, oldest first, a bounded number, and sign it; returns how many. Raises LogBroken."""
        async with keeper.begin() as c:
            waits = await c.scalar(select(log_entry.c.id).where(log_entry.c.place.is_(None)).limit(1))
        if waits is None and self._is_held:
            return 0
        with self._alone():
            head = await asyncio.to_thread(self._held)
            async with keeper.begin() as c:
                await c.execute(_LOCK)
                await self._refuse_lost(c)
                if self._kept() is None:  # from now on one is there, so that one that is missing was lost
                    await asyncio.to_thread(files.replace, self._path, self._signed(head))
                if not self._is_held:
                    await self._hold_against(c, head.size)
                entries = await _place(c, head.size)
            self._is_held = False
            if entries:
                await asyncio.to_thread(self._add, head, entries)
            self._is_held = True
        return len(entries)

    async def begin(self, keeper: Database, why: str | None) -> Checkpoint:
        """Begin another log; its first leaf says what the old one was. What is still public is in it again."""
        name = f"{self._name}/{secrets.token_hex(4)}"
        content = tlog.spelled({"before": (self._kept() or b"").decode(errors="replace"), "name": name, "why": why})
        with self._alone():
            async with keeper.begin() as c:
                await c.execute(_LOCK)
                await c.execute(update(log_entry).values(place=None))
                await tlog.append(c, "began", content)
            await asyncio.to_thread(files.replace, self._path, self._signed(Checkpoint(name, 0, NOTHING)))
        while await self.extend(keeper) == CHUNK_ROWS:
            pass
        return self.checkpoint()

    async def verify(self, keeper: Database) -> Verified:
        """Hold the files against what is signed, and what may be read against the entries."""
        try:
            head = await asyncio.to_thread(self._held)
            async with keeper.begin() as c:
                await self._refuse_lost(c)
        except LogBroken as broken:
            return Verified(Checkpoint("", 0, NOTHING), (broken.sentence,), None)
        wrong, last = list[str](), -1
        async with keeper.begin() as c:
            while rows := (await c.execute(_placed(last, head.size))).all():
                first, last = rows[0].place, rows[-1].place
                there = await asyncio.to_thread(self.tiles.entries, first, last - first + 1)
                wrong += [
                    f"leaf {row.place} was changed" for row in rows if not _is_said(row, _at(there, row.place - first))
                ]
            waiting = await c.scalar(select(func.min(log_entry.c.id.cast(Text))).where(log_entry.c.place.is_(None)))
        since = datetime.fromtimestamp((UUID(waiting).int >> 80) / 1000, UTC) if waiting else None
        return Verified(head, tuple(wrong), since)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else writes meanwhile. Raises LogBroken where somebody does."""
        self.tiles.folder.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(self.tiles.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise LogBroken("Another process writes to the log.", hint="Try again in a moment.") from None
        finally:
            os.close(handle)

    def _held(self) -> Checkpoint:
        """The checkpoint, once the files are those that it was signed over. Raises LogBroken."""
        head = self.checkpoint()
        if self.tiles.root(head.size) != head.root:
            raise LogBroken
        return head

    def _kept(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None

    async def _refuse_lost(self, c: AsyncConnection) -> None:
        """Where rows have places, something was signed. Raises LogBroken where that is missing."""
        placed = select(log_entry.c.id).where(log_entry.c.place.is_not(None)).limit(1)
        if self._kept() is None and await c.scalar(placed) is not None:
            raise LogBroken(_LOST)

    async def _hold_against(self, c: AsyncConnection, size: int) -> None:
        """Rows of a database that came back from somewhere lose places at which the files have something else."""
        last = -1
        while rows := (await c.execute(_placed(last, size))).all():
            first, last = rows[0].place, rows[-1].place
            there = await asyncio.to_thread(self.tiles.entries, first, last - first + 1)
            wrong = [row.id for row in rows if row.entry != _at(there, row.place - first)]
            if wrong:
                await c.execute(update(log_entry).where(log_entry.c.id.in_(wrong)).values(place=None))

    def _add(self, head: Checkpoint, entries: Sequence[bytes]) -> None:
        root = self.tiles.add(entries, head.size)
        files.replace(self._path, self._signed(Checkpoint(head.origin, head.size + len(entries), root)))

    def _named(self, origin: str) -> Key:
        return Key(origin, self._key.public_key().public_bytes_raw())

    def _signed(self, checkpoint: Checkpoint) -> bytes:
        return signed(checkpoint.text, self._named(checkpoint.origin), self._key.sign(checkpoint.text))


async def places(c: AsyncConnection, ids: Sequence[UUID], size: int) -> dict[UUID, Row[Any]]:
    """The public rows of these ids that are among the first `size` leaves."""
    query = select(log_entry).where(log_entry.c.id.in_(ids), log_entry.c.place < size)
    return {row.id: row for row in (await c.execute(query)).all()}


async def at(c: AsyncConnection, place: int) -> Row[Any] | None:
    """What may be read of the leaf at a place; None: it is not public, or was erased."""
    query = select(log_entry).where(log_entry.c.place == place, log_entry.c.content.is_not(None))
    return (await c.execute(query)).one_or_none()


async def _place(c: AsyncConnection, size: int) -> list[bytes]:
    """Give what waits, and what was left behind the signed size by a crash, the next places; returns the entries."""
    waits = log_entry.c.place.is_(None) | (log_entry.c.place >= size)
    query = select(log_entry.c.id, log_entry.c.entry).where(waits)
    rows = (await c.execute(query.order_by(log_entry.c.place.nulls_last(), log_entry.c.id).limit(CHUNK_ROWS))).all()
    if rows:
        await c.execute(update(log_entry).where(log_entry.c.place >= size).values(place=None))
        placing = update(log_entry).where(log_entry.c.id == bindparam("of")).values(place=bindparam("at"))
        await c.execute(placing, [{"of": row.id, "at": size + number} for number, row in enumerate(rows)])
    return [row.entry for row in rows]


def _placed(after: int, size: int) -> Select[Any]:
    query = select(log_entry)
    mine = (log_entry.c.place > after, log_entry.c.place < size)
    return query.where(*mine).order_by(log_entry.c.place).limit(CHUNK_ROWS)


def _is_said(row: Row[Any], entry: bytes) -> bool:
    """Whether a row is what the log has at its place, and what may be read of it what was put there."""
    said = commitment(row.salt, row.content.encode()) if row.content is not None else row.entry
    return bool(row.entry == entry == said)


def _at(entries: bytes, number: int) -> bytes:
    return entries[number * HASH_BYTES : (number + 1) * HASH_BYTES]


def signed(text: bytes, key: Key, signature: bytes) -> bytes:
    """The note of a text with one signature, as `verifier.opened` reads it."""
    value = base64.b64encode(key.id + signature).decode()
    return text + f"\n— {key.name} {value}\n".encode()
