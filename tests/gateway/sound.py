"""Recordings: real ones of two seconds in `recordings/` (a tone and silence, by FFmpeg 8), and those made by hand."""

from __future__ import annotations

import struct
from pathlib import Path

RECORDINGS = sorted((Path(__file__).parent / "recordings").iterdir())
UNTOLD = 0xFFFFFFFF
"""A size that a header does not tell."""


def wav(data: bytes, rate: int = 8000) -> bytes:
    """A recording whose bytes are its samples, `rate` of them a second; 44 bytes are its head."""
    head = b"RIFF" + struct.pack("<I", UNTOLD) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, rate, 1, 8)
    return head + b"data" + struct.pack("<I", UNTOLD) + data


def silence(packets: int) -> bytes:
    """Opus in Ogg whose every packet of two bytes is silence of 120 ms; its pages tell that no time has passed."""
    begin, quiet = b"OpusHead\1\1\0\0" + struct.pack("<I", 48000) + b"\0\0\0", bytes((0b00001_0_11, 6))
    pages = [_page([begin]), _page([b"OpusTags" + bytes(8)])]
    return b"".join(pages + [_page([quiet] * min(255, packets - at)) for at in range(0, packets, 255)])


def _page(packets: list[bytes]) -> bytes:
    table = bytes(len(each) for each in packets)
    return b"OggS\0\0" + bytes(8) + b"avow" + bytes(8) + bytes((len(table),)) + table + b"".join(packets)
