"""The Merkle tree of the log in files: one for the entries and one for each level, to which 32 bytes are only ever added.

A tile of c2sp.org/tlog-tiles is a piece of such a file, a partial one its beginning, so nothing is stored twice and nothing
that was shown is ever written again. Knows no signature and no database.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from avow.base import files
from avow.base.errors import AvowError, NotFound
from avow.proof.verifier import HASH_BYTES, NOTHING, TILE, Range, leaf_hash, node_hash, tile_path

ENTRIES: Final = "entries"
LEVELS: Final = 5
"""Enough for 256**5 leaves."""
_TILE_BITS: Final = 8
_PATH: Final = re.compile(r"tile/(entries|[0-4])/((?:x\d{3}/){0,3}\d{3})(?:\.p/([1-9]\d{0,2}))?", re.ASCII)


class LogBroken(AvowError):
    """The files of the transparency log are not those that were signed."""

    status = 409
    code = "log_broken"
    hint = (
        "Put the folders tlog and keyring of this home back as they were at the same moment. If they are lost: "
        "`avow log begin --reason …` begins another log, which says what the old one was."
    )


class Tiles:
    """The files of one log. How many leaves count says the caller: what lies behind them is not published."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has_entries(self) -> bool:
        """Whether anything was ever written."""
        try:
            return (self.folder / ENTRIES).stat().st_size > 0
        except FileNotFoundError:
            return False

    def entries(self, begin: int, count: int) -> bytes:
        """Entries of 32 bytes, one after the other. Raises LogBroken where they are not there."""
        return self._read(ENTRIES, begin, count)

    def resource(self, path: str, size: int) -> bytes:
        """What is published at `tile/…` of a log of `size` leaves. Raises NotFound."""
        found = _PATH.fullmatch(path)
        if found is None:
            raise NotFound
        level, number = found[1], int(found[2].replace("x", "").replace("/", ""))
        count = size if level == ENTRIES else size // TILE ** int(level)
        width = int(found[3] or TILE)
        if width > min(TILE - bool(found[3]), count - number * TILE):
            raise NotFound
        hashes = self._read(level, number * TILE, width)
        prefix = HASH_BYTES.to_bytes(2, "big")
        return b"".join(prefix + each for each in _split(hashes)) if level == ENTRIES else hashes

    def paths(self, size: int) -> Iterator[str]:
        """Where every tile of a log of `size` leaves is published."""
        for level in (ENTRIES, *map(str, range(LEVELS))):
            count = size if level == ENTRIES else size // TILE ** int(level)
            yield from (tile_path(level, number, count) for number in range(-(-count // TILE)))

    def root(self, size: int) -> bytes:
        """The root of the first `size` leaves. Reads a few tiles, however many leaves there are."""
        return self._hash(0, size) if size else NOTHING

    def path(self, index: int, size: int) -> list[bytes]:
        """The inclusion proof of a leaf in the tree of the first `size` leaves (RFC 9162, 2.1.3.1)."""
        found, begin, end = list[bytes](), 0, size
        while end - begin > 1:
            split = begin + _half(end - begin)
            if index < split:
                found.append(self._hash(split, end))
                end = split
            else:
                found.append(self._hash(begin, split))
                begin = split
        return found[::-1]

    def find(self, entry: bytes, size: int) -> int | None:
        """The place of an entry among the first `size`, looked for from the newest on."""
        for end in range(size, 0, -TILE * TILE):
            begin = max(0, end - TILE * TILE)
            held = self._read(ENTRIES, begin, end - begin)
            at = held.rfind(entry)
            while at > 0 and at % HASH_BYTES:  # across two entries
                at = held.rfind(entry, 0, at + HASH_BYTES - 1)
            if at >= 0:
                return begin + at // HASH_BYTES
        return None

    def add(self, entries: Sequence[bytes], size: int) -> bytes:
        """Write entries behind the first `size`, durable when this returns; gives the root of all."""
        self._write(ENTRIES, size, entries)
        self._write("0", size, [leaf_hash(entry) for entry in entries])
        for level in range(1, LEVELS):
            begin, end = (count // TILE**level for count in (size, size + len(entries)))
            if begin == end:
                break
            below = [self._read(str(level - 1), number * TILE, TILE) for number in range(begin, end)]
            self._write(str(level), begin, [_root(each) for each in below])
        files.sync_folder(self.folder)
        return self.root(size + len(entries))

    def _hash(self, begin: int, end: int) -> bytes:
        """MTH of the leaves from `begin` to `end`; a complete subtree is read from the level that holds its parts."""
        count = end - begin
        if count & (count - 1) == 0 and begin % count == 0:
            level = (count.bit_length() - 1) // _TILE_BITS
            part = TILE**level
            return _root(self._read(str(level), begin // part, count // part))
        split = begin + _half(count)
        return node_hash(self._hash(begin, split), self._hash(split, end))

    def _read(self, level: str, begin: int, count: int) -> bytes:
        try:
            with (self.folder / level).open("rb") as file:
                found = os.pread(file.fileno(), count * HASH_BYTES, begin * HASH_BYTES)
        except FileNotFoundError:
            found = b""
        if len(found) < count * HASH_BYTES:
            raise LogBroken
        return found

    def _write(self, level: str, begin: int, hashes: Sequence[bytes]) -> None:
        """What a crash left at these places is written over; nobody has seen it."""
        handle = os.open(self.folder / level, os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(handle, "r+b") as file:
            file.seek(begin * HASH_BYTES)
            file.write(b"".join(hashes))
            file.flush()
            os.fsync(file.fileno())


def _split(hashes: bytes) -> Iterator[bytes]:
    return (hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES))


def _root(hashes: bytes) -> bytes:
    made = Range()
    for each in _split(hashes):
        made.add(each)
    return made.root


def _half(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1
