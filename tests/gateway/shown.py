"""Pictures as people send them, made by hand: with what says where and by what they were taken."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode

EXIF_TURNED = (
    b"Exif\0\0II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\x0f\x01\x02\0\x05\0\0\0&\0\0\0\0\0\0\0%b\0"
)


def png(width: int = 2, height: int = 3, *, said: bytes = b"", after: bytes = b"", rows: bytes = b"") -> bytes:
    """`said` stands in a comment, in its EXIF, and `after` behind its end; `rows` instead of what can be drawn."""
    rows = rows or zlib.compress(b"".join(b"\0" + bytes(3 * 2) for _ in range(3)))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    told = [(b"tEXt", b"Comment\0" + said), (b"eXIf", b"II*\0" + said)] if said else []
    parts = [(b"IHDR", head), *told, (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts) + after


def jpeg(width: int = 2, height: int = 3, *, said: bytes = b"") -> bytes:
    """Turned by a quarter, with `said` in its EXIF, XMP and comment. Its scan is none that can be drawn."""
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\0"
    told = [(0xE1, EXIF_TURNED % said), (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + said), (0xFE, said)] if said else []
    parts = [(0xE0, b"JFIF\0\x01\1\0\0\1\0\1\0\0"), *told, (0xDB, bytes(65)), (0xC0, frame), (0xDA, b"\x01\x01\0\0?\0")]
    segments = b"".join(b"\xff%c" % mark + struct.pack(">H", len(data) + 2) + data for mark, data in parts)
    return b"\xff\xd8" + segments + b"scan\xff\0\xff\xd0scan\xff\xd9" + said


def webp(width: int = 2, height: int = 3, *, said: bytes = b"") -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    still = b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14)
    chunks = [(b"VP8X", b"\x0c\0\0\0" + size), (b"VP8L", still), (b"EXIF", said), (b"XMP ", said)]
    body = b"WEBP" + b"".join(k + struct.pack("<I", len(d)) + d + b"\0" * (len(d) % 2) for k, d in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body + said


def gif(width: int = 2, height: int = 3, *, said: bytes = b"", frames: int = 1) -> bytes:
    told = b"!\xfe" + bytes((len(said),)) + said + b"\0" if said else b""
    frame = b"!\xf9\x04\0\0\0\0\0," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\0"
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return b"GIF89a" + screen + told + frame * frames + b";" + said


def url(data: bytes, kind: str = "image/png") -> str:
    """A picture as a chat has it."""
    return f"data:{kind};base64,{b64encode(data).decode()}"


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
