"""Copies of the graves, kept where the ring is not.

A grave says that a secret was destroyed and must never come back. It holds no secret and no readable name, so it may
lie beside every backup. A mirror out of reach stops no destruction: it is named in the answer and catches up with the
next one (keys.md line 4 and 10).
"""

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec


class Grave(NamedTuple):
    """One destroyed secret: its number in the ring, what it was, HMAC-SHA256 of its name, when (Unix seconds, UTC)."""

    number: int
    what: str
    name: bytes
    at_s: int


class Mirror(Protocol):
    """A place that keeps a copy of all graves; raises OSError while out of reach."""

    name: str

    def last(self) -> int:
        """Return the number of the newest grave it holds, 0 when it holds none."""
        ...

    def append(self, graves: Iterable[Grave]) -> None:
        """Keep `graves` durably; those it already holds are passed over."""
        ...


class FileMirror:
    """Graves as JSON lines, appended and synced; a line torn by a crash is cut off before the next append."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)

    def last(self) -> int:
        """See Mirror."""
        if not self._path.exists():
            return 0
        whole = self._path.read_bytes().rpartition(b"\n")[0]
        return msgspec.json.decode(whole.rpartition(b"\n")[2], type=Grave).number if whole else 0

    def append(self, graves: Iterable[Grave]) -> None:
        """See Mirror."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(handle, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            end = file.read().rfind(b"\n") + 1
            file.truncate(end)
            file.seek(end)
            newest = self.last()
            file.writelines(msgspec.json.encode(grave) + b"\n" for grave in graves if grave.number > newest)
            file.flush()
            os.fsync(file.fileno())


def read(path: Path) -> list[Grave]:
    """Return the graves of a file mirror, oldest first; a torn last line is left out."""
    lines = path.read_bytes().split(b"\n")[:-1]
    return [msgspec.json.decode(line, type=Grave) for line in lines]
