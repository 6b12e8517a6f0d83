"""Raw search of files, as a thief of the disk would search them: bytes, not rows."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


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
    """Count each needle in the files. A file that vanishes while we look is no fault: what it held is gone."""
    hits = dict.fromkeys(needles, 0)
    count = size = unreadable = 0
    for path in paths:
        try:
            with path.open("rb") as stream:
                length = os.fstat(stream.fileno()).st_size
                count, size = count + 1, size + length
                if length == 0:
                    continue
                with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                    for needle in needles:
                        hits[needle] += _count(content, needle)
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            unreadable += 1
    return Scanned(hits, count, size, unreadable)


def _count(content: mmap.mmap, needle: bytes) -> int:
    found, at = 0, content.find(needle)
    while at >= 0:
        found, at = found + 1, content.find(needle, at + 1)
    return found
