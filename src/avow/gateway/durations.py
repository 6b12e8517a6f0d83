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
_MP3_STREAM, _MP3_FIRST = 0xFFFE0C00, 0xFFFE0CCF
"""Bits of a head that all frames share; and those by which decoders know the first two for the begin."""
_MPEG_SYNC = re.compile(rb"\xff[\xe0-\xff]")
_NO_ZERO = re.compile(rb"[^\0]")
ID3V1_BYTES = 128
_MP3_KBITS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_WAVES = {1: (8, 16, 24, 32), 3: (32, 64), 6: (8,), 7: (8,)}
"""Samples as they are, whole or as fractions, and both laws of telephony; each with the bits that a sample may have."""
_EXTENSIBLE, _MEDIA = 0xFFFE, bytes.fromhex("000000001000800000aa00389b71")
_FLAC_RATES = (0, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
FLAC_WRONG_MAX = 1000
"""What looks like the head of a frame and has another checksum: sound holds that by chance, and seldom."""
_FLAC_HEAD = re.compile(rb"\xff[\xf8\xf9]")
_FLAC_BLOCKS = {1: 192, **{n: 576 << n - 2 for n in range(2, 6)}, **{n: 256 << n - 8 for n in range(8, 16)}}
_BOXES = {
    **{b"moov": b"", b"trak": b"moov", b"mdia": b"trak", b"minf": b"mdia", b"stbl": b"minf"},
    **{b"moof": b"", b"traf": b"moof"},
}
"""What is looked into, and in which each stands."""
_PLACES = {
    **_BOXES,
    b"mdat": b"",
    b"stsd": b"stbl",
    b"stsz": b"stbl",
    b"stz2": b"stbl",
    b"trun": b"traf",
    b"cmov": b"-",
}
_HIDDEN = re.compile(b"moov|trak|moof|traf|stsd|stsz|stz2|trun|cmov")
"""What nothing holds that is not looked into, but the sound itself."""
_AAC = 0x40
"""What an MPEG-4 stream is that holds AAC as its own description tells."""
_ENCODINGS = 0x6D80
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
    told: list[int] = []
    at = 12
    for number in itertools.count():
        _check(number)
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind == b"fmt ":
            told.append(at + 8)
        if kind == b"data":
            break
        at += 8 + size + size % 2
    (at,) = told  # a second one may be believed by others
    code, channels, rate, _, align, bits = struct.unpack_from("<HHIIHH", data, at)
    if code == _EXTENSIBLE:
        valid, code = struct.unpack_from("<H", data, at + 18)[0], struct.unpack_from("<H", data, at + 24)[0]
        if data[at + 26 : at + 40] != _MEDIA or -(-(valid or bits) // 8) * 8 != bits:
            raise NotMeasured(param="file")
    if bits not in _WAVES.get(code, ()) or align != channels * bits // 8:
        raise NotMeasured(param="file")
    return _time(-(-len(data) // align), rate)


def _mp3(data: bytes) -> Fraction:
    """Frame after frame to the end, all of one version and rate. Between them stand only tags and zeros, in which nobody hears
    anything who takes up sound wherever it seems to begin."""
    at, first, begun, frames, found = _id3_end(data, 0) if data.startswith(b"ID3") else 0, 0, 0, 0, Counter[int]()
    for number in itertools.count():
        _check(number)
        at = _zeros_end(data, at)
        if frames and data.startswith(b"ID3", at):
            begin, at = at, _id3_end(data, at)
            if _MPEG_SYNC.search(data, begin, at):
                raise NotMeasured(param="file")
            continue
        if not _MP3_HEAD.match(data, at) or at + 4 > len(data):
            break
        head, frames = int.from_bytes(data[at : at + 4], "big"), frames + 1
        if (first and (first ^ head) & _MP3_STREAM) or (frames == begun + 2 and (first ^ head) & _MP3_FIRST):
            raise NotMeasured(param="file")
        if frames == 1 and _is_index(data, at, head):
            begun = 1
        first = first if frames > begun + 1 else head
        size, rate, samples = _mp3_frame(head)
        found[rate] += samples
        at += size
    if not _is_mp3_end(data[at:]):
        raise NotMeasured(param="file")
    return _sum(found)


def _mp3_frame(head: int) -> tuple[int, int, int]:
    """Its bytes, how many samples are a second, and how many it has. One of free length is not known."""
    version, kbits, rate = head >> 19 & 3, head >> 12 & 15, head >> 10 & 3
    per_second, samples = _MP3_RATES[version][rate], 1152 if version == 3 else 576
    if not kbits:
        raise NotMeasured(param="file")
    size = samples // 8 * _MP3_KBITS[3 if version == 3 else 2][kbits] * 1000 // per_second + (head >> 9 & 1)
    return size, per_second, samples


def _is_index(data: bytes, at: int, head: int) -> bool:
    """Whether a first frame only tells of the others, so that it may differ from them (Xing)."""
    is_mono, is_first = head >> 6 & 3 == 3, head >> 19 & 3 == 3
    at += 4 + ((17 if is_mono else 32) if is_first else (9 if is_mono else 17))
    return data[at : at + 4] in (b"Xing", b"Info")


def _zeros_end(data: bytes, at: int) -> int:
    found = _NO_ZERO.search(data, at)
    return found.start() if found else max(at, len(data))


def _id3_end(data: bytes, at: int) -> int:
    """Where a tag ends that all readers take for one."""
    head = data[at : at + 10]
    if len(head) < 10 or head[3] not in (2, 3, 4) or head[4] == 0xFF or head[5] & 0x10 or max(head[6:]) > 0x7F:
        raise NotMeasured(param="file")
    return at + 10 + (head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9])


def _is_mp3_end(rest: bytes) -> bool:
    """Whether this can follow the last frame: tags (ID3v1, APE), zeros."""
    if rest[-ID3V1_BYTES:].startswith(b"TAG"):
        rest = rest[:-ID3V1_BYTES]
    rest = rest.rstrip(b"\0")
    return len(rest) < 4 or (rest.startswith(b"APETAGEX") and not _MPEG_SYNC.search(rest))


def _flac(data: bytes) -> Fraction:
    """The blocks of all frames by their heads, which have a checksum; what looks like a head and is none only adds."""
    told = int.from_bytes(data[18:21], "big") >> 4
    at, last, count, found = 4, False, 0, Counter[int]()
    while not last:
        last, at, count = bool(data[at] & 0x80), at + 4 + int.from_bytes(data[at + 1 : at + 4], "big"), count + 1
        _check(count)
    wrong = 0
    for begin in _FLAC_HEAD.finditer(data, at):
        count += 1
        _check(count)
        samples, rate, checks = _flac_block(data[begin.start() : begin.start() + 16])
        if checks:
            found[min(rate or told, told)] += samples
        elif samples:
            wrong += 1
            if wrong > FLAC_WRONG_MAX:
                raise NotMeasured(param="file")
    return _sum(found)


def _flac_block(head: bytes) -> tuple[int, int, bool]:
    """Samples of the frame that begins here (0: none does), how many of them are a second (0: as all the others), and whether
    its checksum says so too."""
    if len(head) < 6 or head[3] & 1 or head[2] & 15 == 15 or head[3] >> 4 > 10 or head[3] >> 1 & 7 == 3:
        return 0, 0, False
    size, rate, ones = head[2] >> 4, head[2] & 15, 8 - (head[4] ^ 0xFF).bit_length()
    at = 4 + max(1, ones)  # behind the number of the frame, written as UTF-8 is
    samples = _FLAC_BLOCKS.get(size, 0)
    if size in (6, 7):
        samples, at = int.from_bytes(head[at : at + size - 5], "big") + 1, at + size - 5
    known = _FLAC_RATES[rate] if rate < len(_FLAC_RATES) else 0
    if rate in (12, 13, 14):
        length = 1 if rate == 12 else 2
        known, at = int.from_bytes(head[at : at + length], "big") * {12: 1000, 13: 1, 14: 10}[rate], at + length
    return samples, known, bool(samples) and at < len(head) and _crc8(head[:at]) == head[at]


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value = _CRC8[value ^ byte]
    return value


def _crc8_of(byte: int) -> int:
    for _ in range(8):
        byte = (byte << 1 ^ 0x07) & 0xFF if byte & 0x80 else byte << 1
    return byte


_CRC8 = bytes(_crc8_of(byte) for byte in range(256))


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
    count, films, rates = 0, 0, set()
    for kind, start, end in _boxes(data, 0, len(data), b"", itertools.count()):
        films += kind == b"moov"
        if kind in (b"stsz", b"stz2"):
            count += int.from_bytes(data[start + 8 : start + 12], "big")
        elif kind == b"trun":
            count += int.from_bytes(data[start + 4 : start + 8], "big")
        elif kind == b"stsd":
            rates.add(_aac_rate(data[start:end]))
    if len(rates) != 1 or not count or films != 1:
        raise NotMeasured(param="file")
    return _time(count * AAC_SAMPLES, rates.pop())


def _boxes(data: bytes, at: int, end: int, within: bytes, counted: Iterator[int]) -> Iterator[tuple[bytes, int, int]]:
    """All that is looked into, and what stands in it; nothing of it stands, or hides, anywhere else."""
    for kind, begin, stop in _children(data, at, end):
        _check(next(counted))
        if _PLACES.get(kind, within) != within:
            raise NotMeasured(param="file")
        yield kind, begin, stop
        if kind in _BOXES:
            yield from _boxes(data, begin, stop, kind, counted)
        elif kind != b"mdat" and _HIDDEN.search(data, begin, stop):
            raise NotMeasured(param="file")


def _children(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        begin = at + 8
        if size == 1:
            (size,), begin = struct.unpack_from(">Q", data, begin), at + 16
        stop = end if size == 0 else at + size
        if not begin <= stop <= end:
            raise NotMeasured(param="file")
        yield kind, begin, stop
        at = stop


def _aac_rate(table: bytes) -> int:
    """Of the one entry of a table of samples: how many a second AAC makes before what only refines them (ISO 14496-3, 1.6)."""
    ((name, at, end),) = _children(table, 8, len(table))
    more = {0: 28, 1: 44}.get(int.from_bytes(table[at + 8 : at + 10], "big"), 0)
    if table[4:8] != b"\0\0\0\1" or name != b"mp4a" or not more:
        raise NotMeasured(param="file")
    parts = list(_children(table, at + more, end))
    parts += [each for kind, begin, stop in parts if kind == b"wave" for each in _children(table, begin, stop)]
    (told,) = (table[begin:stop] for kind, begin, stop in parts if kind == b"esds")
    stream = _descriptor(told, 4, 3)
    held = _descriptor(stream, 3, 4)
    if stream[2] & 0xE0 or held[0] != _AAC:
        raise NotMeasured(param="file")
    bits = int.from_bytes(_descriptor(held, 13, 5)[:6].ljust(6, b"\0"), "big")
    kind, index = bits >> 43, bits >> 39 & 15
    if kind not in (2, 5, 29):
        raise NotMeasured(param="file")
    return bits >> 15 & 0xFFFFFF if index == 15 else AAC_RATES[index]


def _descriptor(data: bytes, at: int, tag: int) -> bytes:
    """What the descriptor of this tag holds that has to stand here (ISO 14496-1, 8.3.3)."""
    size, begin = 0, at + 1
    for begin in range(at + 2, at + 6):
        size = size << 7 | data[begin - 1] & 0x7F
        if data[begin - 1] < 0x80:
            break
    if data[at] != tag or begin + size > len(data):
        raise NotMeasured(param="file")
    return data[begin : begin + size]


def _webm(data: bytes) -> Fraction:
    """The blocks of all clusters, whatever is said of their time."""
    codec, private, tracks, blocks = b"", b"", 0, list[bytes]()
    for name, start, end in _elements(data):
        if name == _ENCODINGS:  # of a block there is less than is heard
            raise NotMeasured(param="file")
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
    at, count, ends = 0, 0, [len(data)]
    while at < len(data):
        count += 1
        _check(count)
        while at >= ends[-1]:
            ends.pop()
        name, at = _number(data, at, keeps=True)
        size, begin = _number(data, at, keeps=False)
        holds = name in _MASTERS
        if (size < 0 and not holds) or begin + size > ends[-1]:
            raise NotMeasured(param="file")
        if holds and size >= 0:
            ends.append(begin + size)
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
