"""Identifiers that sort by time (UUID version 7, RFC 9562 §5.7)."""

import os
import struct
import time
from collections.abc import Callable, Iterator
from uuid import UUID

from asyncpg.pgproto import pgproto

_POOL = 256
_VARIANT, _RANDOM = 2 << 62, (1 << 62) - 1

_last_ms = 0
_seq = 0
_lows: Iterator[int] = iter(())
_uuid: Callable[[bytes], UUID] = pgproto.UUID  # the driver's kind of a UUID: made, hashed and sent without Python


def uuid7() -> UUID:
    """A new UUIDv7: 48 bits of milliseconds, a 12-bit counter that keeps ids of a process in order, 62 random bits."""
    global _last_ms, _seq
    ms = time.time_ns() // 1_000_000
    low = next(_lows, None) or _refill()
    if ms > _last_ms:
        _last_ms, _seq = ms, (low >> 51) & 0x7FF
        low = next(_lows, None) or _refill()
    else:
        _seq += 1
        if _seq > 0xFFF:
            _last_ms, _seq = _last_ms + 1, 0
    return _uuid((((_last_ms << 16) | 0x7000 | _seq) << 64 | low).to_bytes(16, "big"))


def _refill() -> int:
    """The low half of an id; the kernel is asked for many at once, for its call costs more than all the rest."""
    global _lows
    _lows = iter([_VARIANT | (low & _RANDOM) for low in struct.unpack(f">{_POOL}Q", os.urandom(8 * _POOL))])
    return next(_lows)


def _forget() -> None:
    """A child must not give out what its parent will."""
    global _lows
    _lows = iter(())


os.register_at_fork(after_in_child=_forget)
