"""Raw search of files, as a thief of the disk would search them: bytes, not rows."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Scanned:
    """How often each needle was found, in how many files and bytes, and how many files could not be read."""

    hits: dict[bytes, int]
    files: int
    bytes: int
    unreadable: int

    @property
    def figure(self) -> str:
        return f"{self.files} files, {self.bytes / 1_000_000:.0f} MB"


def files(folders: Iterable[Path]) -> Iterator[Path]:
    """Every regular file below the folders, and each folder that cannot be read; links are not followed."""
    for folder in folders:
        closed: list[OSError] = []
        for parent, _, names in os.walk(folder, onerror=closed.append):
            for name in names:
                path = Path(parent, name)
                if path.is_file() and not path.is_symlink():
                    yield path
        yield from (Path(each.filename) for each in closed if not isinstance(each, FileNotFoundError))


def search(paths: Iterable[Path], needles: Sequence[bytes]) -> Scanned:
    """Count each needle in the files. A file that vanishes while we look is no fault: what it held is gone.

    Read piece by piece and not mapped: PostgreSQL shortens its files, and a mapping that has lost its end kills its reader;
    so does the search of Python 3.11.2, which looks one byte behind a mapping that ends with its page.
    """
    hits = dict.fromkeys(needles, 0)
    count = size = unreadable = 0
    for path in paths:
        try:
            with path.open("rb", buffering=0) as stream:
                count += 1
                size += _search(stream, hits)
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            unreadable += 1
    return Scanned(hits, count, size, unreadable)


def _search(stream: IO[bytes], hits: dict[bytes, int]) -> int:
    """Add what a file holds to `hits`; gives its length. What lies across two pieces is found, and nothing twice."""
    size, tail, longest = 0, b"", max(map(len, hits), default=1)
    while piece := stream.read(PIECE_BYTES):
        size += len(piece)
        held = tail + piece
        for needle in hits:
            hits[needle] += _count(held, needle, max(0, len(tail) - len(needle) + 1))
        tail = held[len(held) - longest + 1 :] if longest > 1 else b""
    return size


def _count(content: bytes, needle: bytes, begin: int) -> int:
    found, at = 0, content.find(needle, begin)
    while at >= 0:
        found, at = found + 1, content.find(needle, at + 1)
    return found
