"""How long a recording is at most, by counting what its container holds: no header is believed that says less.

Each block of sound says, or its codec fixes, how much time it is; they are counted to the end of the file. So nobody can be
heard for longer than money is held for, however little a silence takes. What is not known here is refused before it is asked.
"""

from __future__ import annotations

import itertools
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction

from avow.gateway.refusals import InvalidRequest

RATE_MIN = 4_000
"""Samples a second: speech has no fewer."""
SECONDS_MAX = 24 * 3600
BLOCKS_MAX = 400_000
"""Of one file, whatever is in them: they are looked at one by one."""
VORBIS_BLOCK_MAX = 13
AAC_SAMPLES = 1024
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
OPUS_MS = (*(10, 20, 40, 60) * 3, *(10, 20) * 2, *(2.5, 5, 10, 20) * 4)
"""Of a frame, by the five bits that begin a packet (RFC 6716, 3.1)."""
OPUS_PACKET_MS_MAX = 120
_MP3_HEAD = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]")
"""Layer III of the three versions."""
_MP3_KBITS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_WAVES = frozenset((1, 3, 6, 7))
"""Samples as they are, whole or as fractions, and both laws of telephony."""
_EXTENSIBLE = 0xFFFE
_FLAC_RATES = (0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
_FLAC_HEAD = re.compile(rb"\xff[\xf8\xf9]")
_FLAC_BLOCKS = {1: 192, **{n: 576 << n - 2 for n in range(2, 6)}, **{n: 256 << n - 8 for n in range(8, 16)}}
_BOXES = frozenset((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"))
"""What is in them is read as if it stood beside them."""
_TRACK, _CODEC, _PRIVATE, _SIMPLE, _BLOCK = 0xAE, 0x86, 0x63A2, 0xA3, 0xA1
_MASTERS = frozenset((0x18538067, 0x1654AE6B, _TRACK, 0x1F43B675, 0xA0))
"""Segment, tracks, track, cluster, group of blocks: the same."""


class NotMeasured(InvalidRequest):
    """How long this recording can be is not to be seen, so nothing can be reserved for it."""

    code = "recording_not_measured"
    hint = (
        "Nothing was charged. Send WAV (samples as they are), MP3, M4A or MP4 (AAC), FLAC, or Ogg or WebM (Opus or Vorbis), "
        "with one track."
    )


def seconds_max(data: bytes) -> int:
    """Seconds, begun ones as whole, at least one. Takes time in proportion to the file. Raises NotMeasured."""
    try:
        found = _measure(data)(data)
    except (struct.error, IndexError, ValueError, ZeroDivisionError):
        raise NotMeasured(param="file") from None
    if found > SECONDS_MAX:
        raise NotMeasured("A recording has at most a day.", param="file")
    return max(1, -(-found.numerator // found.denominator))


def _measure(data: bytes) -> Callable[[bytes], Fraction]:
    if data.startswith(b"RIFF") and data[8:12] == b"WAVE":
        return _wav
    if data.startswith(b"OggS"):
        return _ogg
    if data.startswith(b"fLaC"):
        return _flac
    if data.startswith(b"\x1aE\xdf\xa3"):
        return _webm
    if data[4:8] == b"ftyp":
        return _mp4
    if data.startswith(b"ID3") or (data[:1] == b"\xff" and data[1] & 0xE6 == 0xE2):
        return _mp3
    raise NotMeasured(param="file")


def _time(samples: int, rate: int) -> Fraction:
    if rate < RATE_MIN:
        raise NotMeasured(param="file")
    return Fraction(samples, rate)


def _sum(samples: Mapping[int, int]) -> Fraction:
    """Samples by how many of them are a second."""
    if not samples:
        raise NotMeasured(param="file")
    return sum((_time(count, rate) for rate, count in samples.items()), Fraction(0))


def _wav(data: bytes) -> Fraction:
    """All that follows the format counts as sound."""
    at = 12
    for number in itertools.count():
        _check(number)
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind == b"fmt ":
            break
        at += 8 + size + size % 2
    code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", data, at + 8)
    if code == _EXTENSIBLE:
        (code,) = struct.unpack_from("<H", data, at + 32)
    if code not in _WAVES or bits % 8:
        raise NotMeasured(param="file")
    return _time(-(-len(data) // (channels * bits // 8)), rate)


def _mp3(data: bytes) -> Fraction:
    """Frame after frame; what is none is passed over byte by byte. A frame of free length ends the count."""
    at, count, found = 0, 0, Counter[int]()
    if data.startswith(b"ID3"):
        size = [data[number] & 0x7F for number in range(6, 10)]
        at = 10 + (size[0] << 21 | size[1] << 14 | size[2] << 7 | size[3])
    while (begin := _MP3_HEAD.search(data, at)) and begin.end() + 2 <= len(data):
        at, count = begin.start(), count + 1
        _check(count)
        head = int.from_bytes(data[at : at + 4], "big")
        version, kbits, rate = head >> 19 & 3, head >> 12 & 15, head >> 10 & 3
        if kbits == 15 or rate == 3:
            at += 1
            continue
        if kbits == 0:
            raise NotMeasured(param="file")
        per_second, samples = _MP3_RATES[version][rate], 1152 if version == 3 else 576
        found[per_second] += samples
        at += samples // 8 * _MP3_KBITS[3 if version == 3 else 2][kbits] * 1000 // per_second + (head >> 9 & 1)
    return _sum(found)


def _flac(data: bytes) -> Fraction:
    """The blocks of all frames by their heads, which have a checksum; what looks like a head and is none only adds."""
    told = int.from_bytes(data[18:21], "big") >> 4
    at, last, count, found = 4, False, 0, Counter[int]()
    while not last:
        last, at, count = bool(data[at] & 0x80), at + 4 + int.from_bytes(data[at + 1 : at + 4], "big"), count + 1
        _check(count)
    for begin in _FLAC_HEAD.finditer(data, at):
        count += 1
        _check(count)
        samples, rate = _flac_block(data[begin.start() : begin.start() + 16])
        if samples:
            found[min(rate or told, told)] += samples
    return _sum(found)


def _flac_block(head: bytes) -> tuple[int, int]:
    """Samples of the frame that begins here (0: none does), and how many of them are a second (0: as all the others)."""
    if len(head) < 6 or head[3] & 1:
        return 0, 0
    size, rate, ones = head[2] >> 4, head[2] & 15, 8 - (head[4] ^ 0xFF).bit_length()
    at = 4 + max(1, ones)  # behind the number of the frame, written as UTF-8 is
    samples = _FLAC_BLOCKS.get(size, 0)
    if size in (6, 7):
        samples, at = int.from_bytes(head[at : at + size - 5], "big") + 1, at + size - 5
    known = _FLAC_RATES[rate] if rate < len(_FLAC_RATES) else 0
    if rate in (12, 13, 14):
        length = 1 if rate == 12 else 2
        known, at = int.from_bytes(head[at : at + length], "big") * {12: 1000, 13: 1, 14: 10}[rate], at + length
    return (samples, known) if at < len(head) and _crc8(head[:at]) == head[at] else (0, 0)


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07) & 0xFF if value & 0x80 else value << 1
    return value


def _ogg(data: bytes) -> Fraction:
    """The packets of all pages, whatever the pages say of their time."""
    packets = _ogg_packets(data)
    return _packed(next(packets), packets)


def _packed(first: bytes, packets: Iterator[bytes]) -> Fraction:
    """What packets hold whose codec the first of them tells."""
    if first.startswith(b"OpusHead"):
        return Fraction(sum(_opus_ms10(packet) for packet in _counted(packets)), 10_000)
    if first.startswith(b"\x01vorbis") and first[28] >> 4 <= VORBIS_BLOCK_MAX:
        (rate,) = struct.unpack_from("<I", first, 12)
        return _time(sum(1 for _ in _counted(packets)) << (first[28] >> 4) - 1, rate)
    raise NotMeasured(param="file")


def _counted(packets: Iterable[bytes]) -> Iterator[bytes]:
    for number, packet in enumerate(packets):
        _check(number)
        yield packet


def _check(count: int) -> None:
    if count > BLOCKS_MAX:
        raise NotMeasured(f"A recording has at most {BLOCKS_MAX} blocks.", param="file")


def _opus_ms10(packet: bytes) -> int:
    """Tenths of a millisecond of a packet (RFC 6716, 3.2); none has more than 120 ms."""
    if not packet:
        return 0
    code = packet[0] & 3
    frames = (packet[1] & 0x3F if len(packet) > 1 else 0) if code == 3 else min(code, 1) + 1
    return min(int(OPUS_MS[packet[0] >> 3] * 10) * frames, OPUS_PACKET_MS_MAX * 10)


def _ogg_packets(data: bytes) -> Iterator[bytes]:
    """The first bytes of each packet of a file with one stream."""
    at, serial, begun = 0, None, b""
    while at < len(data):
        if data[at : at + 4] != b"OggS" or (serial is not None and data[at + 14 : at + 18] != serial):
            raise NotMeasured(param="file")
        serial, count = data[at + 14 : at + 18], data[at + 26]
        table, at = data[at + 27 : at + 27 + count], at + 27 + count
        for size in table:
            begun += data[at : at + min(size, 64)] if len(begun) < 64 else b""
            at += size
            if size < 255:
                yield begun
                begun = b""
    yield begun


def _mp4(data: bytes) -> Fraction:
    """The samples of AAC that the tables count, each as long as its codec makes it; no time that is told."""
    count, rates = 0, set()
    for kind, start, end in _boxes(data):
        if kind in (b"stsz", b"stz2"):
            count += int.from_bytes(data[start + 8 : start + 12], "big")
        elif kind == b"trun":
            count += int.from_bytes(data[start + 4 : start + 8], "big")
        elif kind == b"stsd":
            rates.add(_aac_rate(data[start:end]))
    if len(rates) != 1 or not count:
        raise NotMeasured(param="file")
    return _time(count * AAC_SAMPLES, rates.pop())


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    at = count = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        begin = at + 8
        if size == 1:
            (size,), begin = struct.unpack_from(">Q", data, begin), at + 16
        stop = len(data) if size == 0 else at + size
        if stop < begin or stop > len(data):
            raise NotMeasured(param="file")
        if kind not in _BOXES:
            yield kind, begin, stop
        at, count = begin if kind in _BOXES else stop, count + 1
        _check(count)


def _aac_rate(entry: bytes) -> int:
    """Of the one entry of a table of samples: how many a second AAC makes before what only refines them (ISO 14496-3, 1.6)."""
    at = entry.find(b"esds")
    if entry[4:8] != b"\0\0\0\1" or entry[12:16] != b"mp4a" or at < 0:
        raise NotMeasured(param="file")
    at = entry.index(b"\x05", at + 8 + 3 + 15)
    while entry[at + 1] & 0x80:
        at += 1
    bits = int.from_bytes(entry[at + 2 : at + 8], "big")
    kind, index = bits >> 43, bits >> 39 & 15
    if kind not in (2, 5, 29):
        raise NotMeasured(param="file")
    return bits >> 15 & 0xFFFFFF if index == 15 else AAC_RATES[index]


def _webm(data: bytes) -> Fraction:
    """The blocks of all clusters, whatever is said of their time."""
    codec, private, tracks, blocks = b"", b"", 0, list[bytes]()
    for name, start, end in _elements(data):
        tracks += name == _TRACK
        if name == _CODEC:
            codec = data[start:end]
        elif name == _PRIVATE:
            private = data[start:end]
        elif name in (_SIMPLE, _BLOCK):
            if data[start + 3] & 6:  # several frames in a block
                raise NotMeasured(param="file")
            blocks.append(data[start + 4 : min(end, start + 8)])
    if tracks != 1 or codec not in (b"A_OPUS", b"A_VORBIS"):
        raise NotMeasured(param="file")
    first = private if codec == b"A_OPUS" else private[private.find(b"\x01vorbis") :]
    return _packed(first, iter(blocks))


def _elements(data: bytes) -> Iterator[tuple[int, int, int]]:
    at = count = 0
    while at < len(data):
        count += 1
        _check(count)
        name, at = _number(data, at, keeps=True)
        size, begin = _number(data, at, keeps=False)
        holds = name in _MASTERS
        if not holds and (size < 0 or begin + size > len(data)):
            raise NotMeasured(param="file")
        yield name, begin, begin + size
        at = begin if holds else begin + size


def _number(data: bytes, at: int, *, keeps: bool) -> tuple[int, int]:
    """A number of EBML (RFC 8794, 4) and where it ends; -1: not told. `keeps` the bit that tells its length."""
    length = 9 - data[at].bit_length()
    if length > 8 or at + length > len(data):
        raise NotMeasured(param="file")
    value = int.from_bytes(data[at : at + length], "big")
    if keeps:
        return value, at + length
    value &= (1 << 7 * length) - 1
    return (-1 if value == (1 << 7 * length) - 1 else value), at + length
