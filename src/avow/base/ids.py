"""Identifiers that sort by time (UUID version 7, RFC 9562 §5.7)."""

import os
import time
from collections.abc import Callable
from uuid import UUID

from asyncpg.pgproto import pgproto

_POOL_BYTES = 4096

_last_ms = 0
_seq = 0
_pool = b""
_used = 0
_uuid: Callable[[bytes], UUID] = pgproto.UUID  # the driver's kind of a UUID: made, hashed and sent without Python


def uuid7() -> UUID:
    """A new UUIDv7: 48 bits of milliseconds, a 12-bit counter that keeps ids of a process in order, 62 random bits."""
    global _last_ms, _seq
    ms = time.time_ns() // 1_000_000
    if ms > _last_ms:
        _last_ms, _seq = ms, _random() & 0x7FF
    else:
        _seq += 1
        if _seq > 0xFFF:
            _last_ms, _seq = _last_ms + 1, 0
    number = (_last_ms << 80) | (7 << 76) | (_seq << 64) | (2 << 62) | (_random() & ((1 << 62) - 1))
    return _uuid(number.to_bytes(16, "big"))


def _random() -> int:
    """64 random bits; the kernel is asked for many at once, for its call costs more than all the rest."""
    global _pool, _used
    if _used == len(_pool):
        _pool, _used = os.urandom(_POOL_BYTES), 0
    _used += 8
    return int.from_bytes(_pool[_used - 8 : _used], "big")


def _forget() -> None:
    """A child must not give out what its parent will."""
    global _pool, _used
    _pool, _used = b"", 0


os.register_at_fork(after_in_child=_forget)
