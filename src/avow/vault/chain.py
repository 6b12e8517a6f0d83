"""The chain over the record of openings and acts: whoever changes, takes out or swaps a line breaks it.

    leaf = HMAC(salt ‖ line)      link = HMAC(link before ‖ number ‖ id of the line ‖ leaf)
    until = HMAC(number ‖ id of the line ‖ end of the line)

The keeper links new lines every few seconds, so that nobody who opens something waits for the chain. Its key lies in the
ring and not in the database: whoever owns the database alone can break the chain and cannot mend it. The newest link
stands in a file beside the ring too, so that a chain cut short at its end is seen.

A line that ends lawfully (its time has come, its person is erased) is *released* by the function that ends it, under the
same key and in the same transaction. Its salt goes, so what stays of it is noise, and the chain can still be verified. A
line whose person or end is not what was linked is not released: it goes, and is missed. The end alone may move, when a
policy shortens it, and `until` with it.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, RowMapping, Select, bindparam, delete, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base import files
from avow.base.db import Database
from avow.base.errors import AvowError
from avow.vault.ring import Ring
from avow.vault.tables import audit, audit_link

FILE_NAME: Final = "record.head"
SECRET: Final = "record"  # noqa: S105  the name of a secret
SALT_BYTES: Final = 16
CHUNK_ROWS: Final = 1000
CHUNK_LINKS: Final = 5000
LATE: Final = timedelta(minutes=5)
"""How long after its id was made a line may be committed and still be linked; no transaction lives so long."""
_LOCK = text("SELECT pg_advisory_xact_lock(726176)")
_NOTHING = b"\x00" * 32


class ChainBroken(AvowError):
    """The record of openings and acts was changed."""

    status = 409
    code = "record_broken"
    hint = (
        "Find out who could write to the database, and restore a backup if lines are missing. Then "
        "`avow record anchor --reason …` begins anew from what is there, and says so on the record."
    )


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file beside the ring says: links up to number `first` need not be there any more, `last` is the newest.

    Links are hexadecimal; `check` is an HMAC of all the rest.
    """

    first: int
    first_link: str
    last: int
    last_link: str
    check: str = ""


class Link(NamedTuple):
    """One link as it is to be."""

    number: int
    row_id: UUID
    salt: bytes
    leaf: bytes
    link: bytes
    until: bytes


@dataclass(frozen=True, slots=True)
class Verified:
    """What a look at the whole chain found: how many links, the newest of them, what is wrong, and since when the oldest
    line waits to be linked (None: none waits)."""

    links: int
    head: str
    wrong: tuple[str, ...]
    waiting_since: datetime | None


class Chain:
    """The chain of one installation. `path` is the file of its head. Speaks to the database as the keeper."""

    def __init__(self, ring: Ring, path: Path) -> None:
        secret = ring.secret(SECRET, create=True)
        assert secret is not None
        self._secret, self._path = secret, path

    async def extend(self, keeper: Database, *, everything: bool = False) -> int:
        """Link the lines that wait, oldest first, a bounded number; returns how many. Raises ChainBroken, and links
        nothing, when the newest link is not the one that the file remembers.

        `everything`: also lines whose ids are older than what may still come in, which count as foreign otherwise.
        """
        async with keeper.begin() as c:
            await c.execute(_LOCK)
            tail = await self._tail(c)
            head = await self._remembered(c, tail)
            rows = (await c.execute(_waiting(None if everything else await _newest(c)))).mappings().all()
            links = list(self._made(tail, rows))
            if links:
                await c.execute(insert(audit_link), [link._asdict() for link in links])
        last = (links[-1].number, links[-1].link) if links else tail
        if (last[0], last[1].hex()) != (head.last, head.last_link):
            await self._remember(Head(head.first, head.first_link, last[0], last[1].hex()))
        return len(links)

    async def release(self, c: AsyncConnection, row_ids: Sequence[Any]) -> None:
        """Let lines go that end in the caller's transaction: the chain does not ask for them any more.

        One that is not as it was linked is still asked for, so that nobody ends it early by changing its end or its person.
        """
        gone = [
            {"of": row["number"], "by": self._release(row["number"], row["row_id"])}
            for row in await self._as_linked(c, row_ids)
        ]
        if gone:
            ending = update(audit_link).where(audit_link.c.number == bindparam("of"))
            await c.execute(ending.values(salt=None, released=bindparam("by")), gone)

    @asynccontextmanager
    async def moving(self, c: AsyncConnection, row_ids: Sequence[Any]) -> AsyncIterator[None]:
        """Around a change of the ends of lines in the caller's transaction: the chain holds them to the new ones."""
        rows = await self._as_linked(c, row_ids)
        yield
        query = select(audit.c.id, audit.c.ends_at).where(audit.c.id.in_([row["row_id"] for row in rows]))
        ends: dict[UUID, datetime | None] = {row.id: row.ends_at for row in (await c.execute(query)).all()}
        moved = [
            {"of": row["number"], "end": self._until(row["number"], row["row_id"], ends[row["row_id"]])} for row in rows
        ]
        if moved:
            held = update(audit_link).where(audit_link.c.number == bindparam("of"))
            await c.execute(held.values(until=bindparam("end")), moved)

    async def _as_linked(self, c: AsyncConnection, row_ids: Sequence[Any]) -> list[RowMapping]:
        """Those of these lines that are as they were linked, with their links; nobody links or ends them meanwhile."""
        await c.execute(_LOCK)
        both = audit_link.join(audit, audit.c.id == audit_link.c.row_id)
        live = (audit_link.c.row_id.in_(row_ids), audit_link.c.released.is_(None))
        rows = (await c.execute(select(audit_link, audit).select_from(both).where(*live))).mappings().all()
        return [row for row in rows if self._is_as_linked(row)]

    async def trim(self, keeper: Database) -> int:
        """Forget the links at the beginning of the chain whose lines have ended; returns how many.

        Raises ChainBroken for one that was not released by us."""
        async with keeper.begin() as c:
            await c.execute(_LOCK)
            head = await self._remembered(c, await self._tail(c))
            ended = await _released(c, head.first)
            for row in ended:
                if row.released != self._release(row.number, row.row_id):
                    raise ChainBroken(f"Link {row.number} says that its line has ended, and nobody ended it.")
        if ended:
            # Written before the links go: a kill in between leaves links that nobody asks for.
            last = ended[-1]
            await self._remember(Head(last.number, last.link.hex(), head.last, head.last_link))
            async with keeper.begin() as c:
                gone = (audit_link.c.number <= last.number, audit_link.c.released.is_not(None))
                await c.execute(delete(audit_link).where(*gone))
        return len(ended)

    async def anchor(self, keeper: Database) -> None:
        """Begin anew from what is there: earlier links are not verified any more, and lines without one get theirs.

        For the operator, after a restore or when a break was looked into.
        """
        async with keeper.begin() as c:
            await c.execute(_LOCK)
            number, link = await self._tail(c)
        await self._remember(Head(number, link.hex(), number, link.hex()))
        while await self.extend(keeper, everything=True):
            pass

    async def verify(self, keeper: Database) -> Verified:
        """Look at every link and every line that is linked."""
        wrong: list[str] = []
        try:
            head = self._read() or Head(0, _NOTHING.hex(), 0, _NOTHING.hex())
        except ChainBroken as error:
            return Verified(0, "", (error.sentence,), None)
        count, number, before = 0, head.first, bytes.fromhex(head.first_link)
        async with keeper.begin() as c:
            while rows := (await c.execute(_linked(number))).mappings().all():
                for row in rows:
                    wrong += self._wrong(row, number, before)
                    number, before, count = row["number"], row["link"], count + 1
                    if number == head.last and before.hex() != head.last_link:
                        wrong.append(f"link {number} is not the one that was made")
            if number < head.last:
                wrong.append(f"the record ends at link {number} and had {head.last}")
            waiting, foreign = await _unlinked(c)
        if foreign:
            wrong.append(f"{foreign} lines were put in from outside")
        return Verified(count, before.hex(), tuple(wrong), waiting)

    def _wrong(self, row: RowMapping, number: int, before: bytes) -> Iterator[str]:
        """What is wrong with one link, and with its line."""
        if row["number"] != number + 1:
            yield f"link {number + 1} is missing"
        elif row["link"] != self._link(before, row["number"], row["row_id"], row["leaf"]):
            yield f"link {row['number']} was changed"
        if row["released"] is not None:
            if row["released"] != self._release(row["number"], row["row_id"]):
                yield f"the line of link {row['number']} was let go by nobody"
        elif row["id"] is None:
            yield f"the line of link {row['number']} is missing"
        elif not self._is_as_linked(row):
            yield f"the line of link {row['number']} was changed"

    def _made(self, tail: tuple[int, bytes], rows: Sequence[RowMapping]) -> Iterator[Link]:
        number, before = tail
        for row in rows:
            salt = secrets.token_bytes(SALT_BYTES)
            leaf = self._leaf(salt, _line(row))
            number += 1
            before = self._link(before, number, row["id"], leaf)
            yield Link(number, row["id"], salt, leaf, before, self._until(number, row["id"], row["ends_at"]))

    def _is_as_linked(self, row: RowMapping) -> bool:
        """Whether a line with its link is what it was, its end included."""
        until = self._until(row["number"], row["row_id"], row["ends_at"])
        return bool(row["leaf"] == self._leaf(row["salt"] or b"", _line(row)) and row["until"] == until)

    async def _tail(self, c: AsyncConnection) -> tuple[int, bytes]:
        """Number and link of the newest link; of a chain whose links were all trimmed, those of its beginning."""
        query = select(audit_link.c.number, audit_link.c.link).order_by(audit_link.c.number.desc()).limit(1)
        row = (await c.execute(query)).one_or_none()
        if row is not None:
            return row.number, row.link
        head = self._read()
        return (head.first, bytes.fromhex(head.first_link)) if head else (0, _NOTHING)

    async def _remembered(self, c: AsyncConnection, tail: tuple[int, bytes]) -> Head:
        """The head as the file has it, held against the database. Raises ChainBroken."""
        head = self._read()
        if head is None:
            if tail != (0, _NOTHING):
                raise ChainBroken("The file that remembers the newest link of the record is missing.")
            return Head(0, _NOTHING.hex(), 0, _NOTHING.hex())
        if head.last == head.first:
            return head
        link = await c.scalar(select(audit_link.c.link).where(audit_link.c.number == head.last))
        if link is None or link.hex() != head.last_link:
            raise ChainBroken(f"Link {head.last} of the record is not there as it was made.")
        return head

    def _read(self) -> Head | None:
        """The head as the file has it. Raises ChainBroken when the file is not as we wrote it."""
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=Head)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:
            raise ChainBroken("The file that remembers the newest link of the record cannot be read.") from None
        if not hmac.compare_digest(found.check, self._check(found)):
            raise ChainBroken("The file that remembers the newest link of the record was changed.")
        return found

    async def _remember(self, head: Head) -> None:
        sealed = msgspec.structs.replace(head, check=self._check(head))
        await asyncio.to_thread(files.replace, self._path, msgspec.json.encode(sealed))

    def _check(self, head: Head) -> str:
        bare = (head.first, head.first_link, head.last, head.last_link)
        return self._hmac(b"head", json.dumps(bare).encode()).hex()

    def _leaf(self, salt: bytes, line: bytes) -> bytes:
        return self._hmac(b"leaf", salt, line)

    def _link(self, before: bytes, number: int, row_id: UUID, leaf: bytes) -> bytes:
        return self._hmac(b"link", before, number.to_bytes(8, "big"), row_id.bytes, leaf)

    def _until(self, number: int, row_id: UUID, ends_at: datetime | None) -> bytes:
        return self._hmac(b"until", number.to_bytes(8, "big"), row_id.bytes, json.dumps(_plain(ends_at)).encode())

    def _release(self, number: int, row_id: UUID) -> bytes:
        return self._hmac(b"released", number.to_bytes(8, "big"), row_id.bytes)

    def _hmac(self, *parts: bytes) -> bytes:
        return hmac.digest(self._secret, b"".join(len(part).to_bytes(4, "big") + part for part in parts), "sha256")


def _line(row: RowMapping) -> bytes:
    """A line of the record in its only spelling, without its end. What is null is left out, so that a later column changes
    no old leaf."""
    fields = {column.name: row[column.name] for column in audit.c if column.name != "ends_at"}
    told = {name: _plain(value) for name, value in fields.items() if value is not None}
    return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.hex() if isinstance(value, bytes) else str(value) if isinstance(value, UUID) else value


def _waiting(newest: UUID | None) -> Select[Any]:
    """Lines without a link, oldest first; with `newest`, the line that was linked last, only those that may be new."""
    query = select(audit).where(_has_no_link())
    if newest is not None:
        query = query.where(audit.c.id > _earlier(newest))
    return query.order_by(audit.c.id).limit(CHUNK_ROWS)


def _linked(after: int) -> Select[Any]:
    """Links with their lines, from the number `after` on."""
    both = audit_link.outerjoin(audit, audit.c.id == audit_link.c.row_id)
    query = select(audit_link, audit).select_from(both).where(audit_link.c.number > after)
    return query.order_by(audit_link.c.number).limit(CHUNK_LINKS)


async def _released(c: AsyncConnection, after: int) -> Sequence[Row[Any]]:
    """The ended links that follow `after` without a gap, a bounded number."""
    live = select(func.min(audit_link.c.number)).where(audit_link.c.released.is_(None), audit_link.c.number > after)
    over = await c.scalar(live)
    query = select(audit_link).where(audit_link.c.number > after, audit_link.c.released.is_not(None))
    if over is not None:
        query = query.where(audit_link.c.number < over)
    return (await c.execute(query.order_by(audit_link.c.number).limit(CHUNK_LINKS))).all()


async def _newest(c: AsyncConnection) -> UUID | None:
    newest: UUID | None = await c.scalar(select(audit_link.c.row_id).order_by(audit_link.c.number.desc()).limit(1))
    return newest


async def _unlinked(c: AsyncConnection) -> tuple[datetime | None, int]:
    """Since when the oldest line waits, and how many lines have no link although they are too old to be new."""
    newest = await _newest(c)
    waits = select(func.min(audit.c.since)).where(_has_no_link())
    if newest is None:
        return await c.scalar(waits), 0
    foreign = select(func.count()).select_from(audit).where(_has_no_link(), audit.c.id <= _earlier(newest))
    return await c.scalar(waits.where(audit.c.id > _earlier(newest))), await c.scalar(foreign) or 0


def _has_no_link() -> ColumnElement[bool]:
    return ~select(audit_link.c.number).where(audit_link.c.row_id == audit.c.id).exists()


def _earlier(id: UUID) -> UUID:
    """The least id of a line that may be committed after the line `id` (UUIDv7: 48 bits of milliseconds)."""
    ms = max((id.int >> 80) - int(LATE.total_seconds() * 1000), 0)
    return UUID(int=ms << 80)
