"""Tombstones: the memory of what was erased, kept outside PostgreSQL so that a restored backup can be told.

One line each, appended and synced before an erasure calls itself done:

    1 <Unix seconds> person <HMAC of the subject id> - <check>
    1 <Unix seconds> item <HMAC of table and row id> <table> <check>

The names are HMAC-SHA256 under a secret of the ring: the file names nobody, and lies beside every backup. `check` is an
HMAC of the line, so that a changed or invented line is refused. A line torn by a crash is cut off by the next append.
A person's line stays for good; an item's goes once no older database is taken any more (`memory.trim`).
"""

from __future__ import annotations

import fcntl
import hmac
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple
from uuid import UUID

from avow.base.errors import AvowError
from avow.base.files import replace, sync_folder
from avow.vault.ring import Ring

FILE_NAME = "tombstones"
SECRET = "tombstone"  # noqa: S105  the name of a secret
LINE_BYTES_MAX = 256
_LINE = re.compile(rb"1 (\d{1,15}) (person|item) ([0-9a-f]{64}) ([a-z_][a-z0-9_]{0,62}|-) ([0-9a-f]{64})")


class TombstonesBroken(AvowError):
    """The list of erasures beside the backup was changed, or belongs to another keyring."""

    status = 409
    code = "tombstones_broken"
    hint = (
        "Use the newest keyring of this installation, and the file as Avow wrote it; a copy lies in the keyring folder."
    )


class Tombstone(NamedTuple):
    """What was erased: its keyed name, the table of a single item ("" for a person), and when."""

    name: bytes
    table: str
    at: datetime


class Tombstones:
    """The list of one installation: the file beside the ring, and how to bring copies up to date."""

    def __init__(self, path: Path, ring: Ring) -> None:
        self.path = path
        secret = ring.secret(SECRET, create=True)
        assert secret is not None
        self._secret = secret

    def person(self, subject_id: UUID) -> bytes:
        """The keyed name of a person."""
        return self._hmac(b"person", subject_id.bytes)

    def item(self, table: str, row_id: UUID) -> bytes:
        """The keyed name of one row."""
        return self._hmac(b"item", table.encode(), row_id.bytes)

    def bury_person(self, subject_id: UUID, at: datetime) -> None:
        """Write down that a person was erased; durable when this returns. Twice counts once."""
        self._bury(Tombstone(self.person(subject_id), "", at))

    def bury_item(self, table: str, row_id: UUID, at: datetime) -> None:
        """Write down that one row was erased before its end."""
        self._bury(Tombstone(self.item(table, row_id), table, at))

    def read(self, path: Path | None = None) -> list[Tombstone]:
        """The tombstones of a file (default: ours), oldest first. Raises TombstonesBroken for a line that is not ours."""
        try:
            lines = (path or self.path).read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        found = {stone.name: stone for stone in map(self._parsed, reversed(lines))}
        return list(reversed(found.values()))

    def copy_to(self, folder: Path) -> None:
        """Bring the copy in a backup folder up to date. Raises OSError when the folder is out of reach."""
        if not folder.is_dir():
            raise FileNotFoundError(folder)
        known = {stone.name for stone in self.read(folder / FILE_NAME)}
        _append(folder / FILE_NAME, [self._line(stone) for stone in self.read() if stone.name not in known])

    def take_from(self, folder: Path) -> None:
        """Take over what the copy in a backup folder knows and ours does not."""
        known = {stone.name for stone in self.read()}
        theirs = self.read(folder / FILE_NAME)
        _append(self.path, [self._line(stone) for stone in theirs if stone.name not in known])

    def forget_items(self, before: datetime) -> None:
        """Take out the items that were erased before a moment, of which nothing that is there or may come back knows any more.
        Persons stay. So does whatever stands behind an erasure of a later moment: a clock that was wrong forgets nothing."""
        if not self.path.exists():
            return
        with _held(self.path) as file:
            lines = file.read().split(b"\n")[:-1]
            stones = [self._parsed(line) for line in lines]
            end = next((n for n, stone in enumerate(stones) if stone.at >= before), len(stones))
            kept = [line for n, line in enumerate(lines) if n >= end or not stones[n].table]
            if len(kept) < len(lines):
                replace(self.path, b"".join(line + b"\n" for line in kept))

    def _bury(self, stone: Tombstone) -> None:
        _append(self.path, [self._line(stone)])

    def _line(self, stone: Tombstone) -> bytes:
        what = "item" if stone.table else "person"
        words = f"1 {int(stone.at.timestamp())} {what} {stone.name.hex()} {stone.table or '-'}".encode()
        return words + b" " + self._hmac(b"line", words).hex().encode()

    def _parsed(self, line: bytes) -> Tombstone:
        found = _LINE.fullmatch(line)
        words, _, check = line.rpartition(b" ")
        if found is None or not hmac.compare_digest(check, self._hmac(b"line", words).hex().encode()):
            raise TombstonesBroken
        table = "" if found[4] == b"-" else found[4].decode()
        return Tombstone(bytes.fromhex(found[3].decode()), table, datetime.fromtimestamp(int(found[1]), UTC))

    def _hmac(self, *parts: bytes) -> bytes:
        return hmac.digest(self._secret, b"".join(len(part).to_bytes(4, "big") + part for part in parts), "sha256")


def _append(path: Path, lines: Sequence[bytes]) -> None:
    """Append whole lines, synced; what a crash left of the last one is cut off first."""
    is_new = not path.exists()
    with _held(path) as file:
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - LINE_BYTES_MAX))
        file.truncate(start + file.read().rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
        file.writelines(line + b"\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        sync_folder(path.parent)


@contextmanager
def _held(path: Path) -> Iterator[IO[bytes]]:
    """The file, to which nobody else writes meanwhile. Who waited while another took its place writes to that one."""
    while True:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                yield file
                return
