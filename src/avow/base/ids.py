"""Identifiers that sort by time (UUID version 7, RFC 9562 §5.7)."""

import os
import time
from uuid import UUID

_last_ms = 0
_seq = 0


def uuid7() -> UUID:
    """A new UUIDv7: 48 bits of milliseconds, a 12-bit counter that keeps ids of one process in order, 62 random bits."""
    global _last_ms, _seq
    ms = time.time_ns() // 1_000_000
    if ms > _last_ms:
        _last_ms, _seq = ms, int.from_bytes(os.urandom(2), "big") & 0x7FF
    else:
        _seq += 1
        if _seq > 0xFFF:
            _last_ms, _seq = _last_ms + 1, 0
    tail = int.from_bytes(os.urandom(8), "big") & ((1 << 62) - 1)
    return UUID(int=(_last_ms << 80) | (7 << 76) | (_seq << 64) | (2 << 62) | tail)
