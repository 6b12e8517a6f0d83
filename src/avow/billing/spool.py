"""Settles on this machine's disk while PostgreSQL is away, so that kill -9 cannot lose one that was told as charged.

A record is length, CRC-32 and a MessagePack body. Only whole records that are synced were ever told to anybody, so a torn
tail is nobody's loss. What people wrote is in here only inside the sealed box of a trace.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from avow.base.files import sync_folder
from avow.billing.events import Settle

_HEAD = struct.Struct("<II")
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Settle).decode


class Spool:
    """One worker's file, `<epoch>.spool` in the folder. Blocking: call from a thread."""

    def __init__(self, folder: Path, epoch: int) -> None:
        self.path = folder / f"{epoch}.spool"
        self._fd: int | None = None

    @property
    def filled(self) -> bool:
        return self._fd is not None

    def append(self, settles: Iterable[Settle]) -> None:
        """Write and sync; when this returns the settles survive the process and the machine's power.

        Raises `OSError` (a full disk) and then leaves the file as it was.
        """
        if self._fd is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            sync_folder(self.path.parent)
        size = os.fstat(self._fd).st_size
        records = memoryview(b"".join(_record(s) for s in settles))
        try:
            while records:
                records = records[os.write(self._fd, records) :]
            os.fdatasync(self._fd)
        except OSError:
            os.ftruncate(self._fd, size)
            raise

    def clear(self) -> None:
        """Forget all: PostgreSQL has everything."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def read(path: Path) -> Iterator[Settle]:
    """The whole records of a spool file, up to the first torn one."""
    data = path.read_bytes() if path.exists() else b""
    at = 0
    while at + _HEAD.size <= len(data):
        size, checksum = _HEAD.unpack_from(data, at)
        body = data[at + _HEAD.size : at + _HEAD.size + size]
        if len(body) < size or zlib.crc32(body) != checksum:
            return
        yield _decode(body)
        at += _HEAD.size + size


def _record(settle: Settle) -> bytes:
    body = _encode(settle)
    return _HEAD.pack(len(body), zlib.crc32(body)) + body
