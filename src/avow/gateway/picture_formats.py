"""What a picture is by its own bytes: how large, and which of them draw it.

Only the container is read (PNG, JPEG, WebP, GIF); nothing is decompressed, so a small file that would unfold into gigabytes is
refused by the size that it declares. What is not needed to draw it is left out: where and by what it was taken (EXIF, XMP, IPTC),
comments, thumbnails, colour profiles, and whatever follows its end. How a JPEG is turned stays.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

PNG, GIF87, GIF89, JPEG = b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"\xff\xd8\xff"
_PNG_KEPT = frozenset((b"IHDR", b"PLTE", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"IDAT", b"IEND"))
_WEBP_KEPT = frozenset((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF"))
_WEBP_SAYS_MORE = 0x2C
"""Bits of VP8X: a colour profile, EXIF, XMP."""
_SIZES = frozenset((0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF))
_DRAWS = _SIZES | {0xC4, 0xCC, 0xDA, 0xDB, 0xDD}
_BYTES_MAX = {0xC4: 2 + 8 * (17 + 256), 0xCC: 2 + 32 * 2, 0xDB: 2 + 4 * (1 + 128), 0xDD: 4}
"""Of a segment, with its length: all tables that there can be."""
_ADOBE_BYTES = 14
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_TURNED = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0%c\0\0\0\0\0\0"
_ORIENTATION = 0x0112
_PNG_HEAD_BYTES = 13


class Malformed(ValueError):
    """The bytes are not such a picture."""


class Drawn(NamedTuple):
    """A picture without what only says something about it. `frames`: of an animation."""

    media_type: str
    data: bytes
    width: int
    height: int
    frames: int = 1


def drawn(data: bytes) -> Drawn:
    """Raises Malformed for what is no PNG, JPEG, WebP or GIF, whatever it is called."""
    for begin, read in _FORMATS.items():
        if data.startswith(begin) and (begin != b"RIFF" or data[8:12] == b"WEBP"):
            try:
                made = read(data)
            except (struct.error, IndexError):
                break
            if made.width > 0 and made.height > 0:
                return made
    raise Malformed


def _png(data: bytes) -> Drawn:
    at, kept, width, height = len(PNG), [PNG], 0, 0
    while True:
        size, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + size
        if end > len(data) or (at == len(PNG)) != (kind == b"IHDR"):
            raise Malformed
        if kind == b"IHDR":
            if size != _PNG_HEAD_BYTES:
                raise Malformed
            width, height = struct.unpack_from(">II", data, at + 8)
        if kind in _PNG_KEPT:
            kept.append(data[at:end])
        if kind == b"IEND":
            return Drawn("image/png", b"".join(kept), width, height)
        at = end


def _jpeg(data: bytes) -> Drawn:
    at, kept, turned, size = 2, [data[:2]], 0, (0, 0)
    while data[at] == 0xFF:
        mark = data[at + 1]
        if mark == 0xFF:  # filling
            at += 1
            continue
        if mark == 0xD9:
            break
        end = at + 2 + int(struct.unpack_from(">H", data, at + 2)[0])
        if end > len(data) or end - at - 2 > _BYTES_MAX.get(mark, end):
            raise Malformed
        if mark in _SIZES:
            size = struct.unpack_from(">HH", data, at + 5)
        if mark == 0xDA:
            found = _SCAN_END.search(data, end)
            end = found.start() if found else len(data)
        if mark == 0xE1 and not turned:
            turned = _orientation(data[at + 4 : end])
        if mark in _DRAWS:
            kept.append(data[at:end])
        elif mark == 0xEE and data[at + 4 : at + 9] == b"Adobe" and end - at - 2 >= _ADOBE_BYTES:
            kept.append(b"\xff\xee\0%c" % _ADOBE_BYTES + data[at + 4 : at + 2 + _ADOBE_BYTES])
        if end == len(data):  # broken off: what there is of it can be drawn
            break
        at = end
    else:
        raise Malformed
    if turned:
        told = b"Exif\0\0" + _TURNED % turned
        kept.insert(1, b"\xff\xe1" + struct.pack(">H", len(told) + 2) + told)
    return Drawn("image/jpeg", b"".join([*kept, b"\xff\xd9"]), size[1], size[0])


def _orientation(exif: bytes) -> int:
    """How a camera was held (2 to 8), of all that it tells; 0: upright, or not told."""
    order = {b"II": "<", b"MM": ">"}.get(exif[6:8])
    if not exif.startswith(b"Exif\0\0") or order is None:
        return 0
    tiff = exif[6:]
    try:
        (first,) = struct.unpack_from(order + "I", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, first)
        for number in range(count):
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, first + 2 + 12 * number)
            if tag == _ORIENTATION:
                return int(value) if kind == 3 and 2 <= value <= 8 else 0
    except struct.error:
        pass
    return 0


def _webp(data: bytes) -> Drawn:
    kept, frames, width, height = [], 0, 0, 0
    for kind, content in _riff(data):
        if kind == b"VP8X":
            width, height = (1 + int.from_bytes(content[at : at + 3], "little") for at in (4, 7))
            content = bytes((content[0] & ~_WEBP_SAYS_MORE,)) + content[1:]
        elif kind == b"VP8 " and not width:
            width, height = (each & 0x3FFF for each in struct.unpack_from("<HH", content, 6))
        elif kind == b"VP8L" and not width:
            (bits,) = struct.unpack_from("<I", content, 1)
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        frames += kind == b"ANMF"
        if kind in _WEBP_KEPT:
            kept.append(kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2))
    body = b"WEBP" + b"".join(kept)
    return Drawn("image/webp", b"RIFF" + struct.pack("<I", len(body)) + body, width, height, max(frames, 1))


def _riff(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, end = 12, min(len(data), 8 + int(struct.unpack_from("<I", data, 4)[0]))
    while at < end:
        kind, size = struct.unpack_from("<4sI", data, at)
        if at + 8 + size > len(data):
            raise Malformed
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def _gif(data: bytes) -> Drawn:
    width, height = struct.unpack_from("<HH", data, 6)
    at = 13 + _colours(data[10])
    kept, frames = [data[:at]], 0
    while data[at] != 0x3B:
        begin = at
        if data[at] == 0x21:
            at, keeps = _blocks_end(data, at + 2), data[at + 1] == 0xF9
        elif data[at] == 0x2C:
            left, top, wide, high = struct.unpack_from("<HHHH", data, at + 1)
            width, height, frames, keeps = max(width, left + wide), max(height, top + high), frames + 1, True
            at = _blocks_end(data, at + 10 + _colours(data[at + 9]) + 1)
        else:
            raise Malformed
        if keeps:
            kept.append(data[begin:at])
    return Drawn("image/gif", b"".join([*kept, b";"]), width, height, max(frames, 1))


def _colours(flags: int) -> int:
    """Bytes of the table of colours that follows."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _blocks_end(data: bytes, at: int) -> int:
    while data[at]:
        at += data[at] + 1
    return at + 1


_FORMATS: dict[bytes, Callable[[bytes], Drawn]] = {PNG: _png, JPEG: _jpeg, b"RIFF": _webp, GIF87: _gif, GIF89: _gif}
