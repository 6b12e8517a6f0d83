"""How long a recording is at most: counted, not believed."""

from __future__ import annotations

import contextlib
import struct

import openai
import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st

from avow.base.metrics import Sheet
from avow.gateway import durations
from avow.gateway.durations import NotMeasured, seconds_max
from avow.gateway.scripted import Script
from avow.gateway.watch import FAMILIES

from .sound import RECORDINGS, silence, wav
from .test_media import HEARS, SECOND, offer_all


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_each_format_is_counted_to_the_second(path):
    assert 2 <= seconds_max(path.read_bytes()) <= 3


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_what_a_header_says_of_its_time_lessens_nothing(path):
    data = path.read_bytes()
    lies = {
        "flac": lambda: data[:21] + bytes((data[21] & 0xF0,)) + bytes(4) + data[26:],
        "mp4": lambda: _without_times(data),
        "m4a": lambda: _without_times(data),
        "webm": lambda: _without_duration(data),
        "ogg": lambda: _without_granules(data),
        "mp3": lambda: data.replace(b"Info\0\0\0\x0f", b"Info\0\0\0\0"),
    }
    assert 2 <= seconds_max(lies[path.suffix[1:]]()) <= 3


def _without_times(data: bytes) -> bytes:
    """Its tables say that each sample lasts a tick, and its heads that there are none."""
    for name in (b"stts", b"mvhd", b"mdhd", b"tkhd"):
        at = data.find(name)
        if at > 0:
            data = data[: at + 16] + struct.pack(">I", 1) + data[at + 20 :]
    return data


def _without_duration(data: bytes) -> bytes:
    at = data.find(b"\x44\x89\x88")
    return data if at < 0 else data[: at + 3] + bytes(8) + data[at + 11 :]


def _without_granules(data: bytes) -> bytes:
    at = -1
    while (at := data.find(b"OggS", at + 1)) >= 0:
        data = data[: at + 6] + bytes(8) + data[at + 14 :]
    return data


def test_several_recordings_in_one_file_are_all_counted():
    mp3, flac = (next(each for each in RECORDINGS if each.suffix == kind).read_bytes() for kind in (".mp3", ".flac"))
    assert 4 <= seconds_max(mp3 + mp3) <= 5
    assert seconds_max(flac + flac[flac.index(b"\xff\xf8") :]) == 4
    assert seconds_max(wav(bytes(80_000))) == 11 and seconds_max(wav(b"")) == 1


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0" * 100_000,
        b"a recording, surely",
        b"#!AMR\n" + bytes(1000),
        b"OggS" + bytes(100),
        wav(b"x", rate=1),
        wav(b"x").replace(struct.pack("<HH", 1, 1), struct.pack("<HH", 2, 1), 1),
        b"\xff\xfb\x00\x00" + bytes(400),
        b"fLaC\x80\0\0\x22" + bytes(50),
        b"\x1aE\xdf\xa3\x80" + bytes(50),
        b"\0\0\0\x14ftypM4A " + bytes(8),
    ],
)
def test_what_cannot_be_measured_is_refused(data):
    with pytest.raises(NotMeasured):
        seconds_max(data)


def test_a_recording_of_more_than_a_day_is_refused():
    data = next(each for each in RECORDINGS if each.suffix == ".m4a").read_bytes()
    at = data.index(b"stsz") + 12
    with pytest.raises(NotMeasured, match="a day"):
        seconds_max(data[:at] + b"\xff\xff\xff\xff" + data[at + 4 :])


def test_blocks_are_bounded(monkeypatch):
    monkeypatch.setattr(durations, "BLOCKS_MAX", 10)
    for path in RECORDINGS:
        with pytest.raises(NotMeasured, match="10 blocks"):
            seconds_max(path.read_bytes() * (3 if path.suffix == ".flac" else 1))
    for data in (
        b"RIFF0000WAVE" + b"LIST\0\0\0\0" * 20,
        b"fLaC" + bytes(80),
        b"\0\0\0\x08ftyp" * 20,
        b"\x1aE\xdf\xa3\x80" + b"\xec\x80" * 20,
    ):
        with pytest.raises(NotMeasured, match="10 blocks"):
            seconds_max(data)


def frames(count: int, head: str = "fff318c4", size: int = 36) -> bytes:
    """Frames of Layer III, 36 ms each: one takes 36 bytes."""
    return (bytes.fromhex(head) + bytes(size - 4)) * count


def id3(size: int, version: bytes = b"\3\0\0", mark: int = 0) -> bytes:
    return b"ID3" + version + bytes(mark | size >> shift & 0x7F for shift in (21, 14, 7, 0))


def read(kind: str) -> bytes:
    return next(each for each in RECORDINGS if each.name.endswith(kind)).read_bytes()


HOUR = frames(100_000)
FLAC_HEAD = b"fLaC\x80\0\0\x22" + bytes(10) + (16000 << 4).to_bytes(3, "big") + bytes(21)


@pytest.mark.parametrize(
    "data",
    [
        id3(len(HOUR), mark=0x80) + HOUR + frames(3),
        id3(len(HOUR), b"\xff\xff\0") + HOUR + frames(3),
        id3(len(HOUR), b"\4\xff\0") + HOUR + frames(3),
        id3(len(HOUR), b"\4\0\x10") + HOUR + frames(3),
        frames(2) + id3(len(HOUR)) + HOUR + frames(3),
        frames(2) + frames(9, "fff518c4", 72),
        id3(16) + bytes(16) + read("speech.ogg") + frames(1),
        id3(16) + bytes(16) + read(".flac") + frames(1),
        frames(2) + b"something else" + frames(2),
        frames(2) + b"APETAGEX" + HOUR,
        frames(1) + frames(1, "fff314c4"),  # of another rate: nobody knows which of them are passed over
        frames(1) + frames(1, "fff31804"),
        b"OggS".join((frames(2), b"")),
    ],
)
def test_sound_behind_a_tag_or_between_frames_is_heard_by_others_and_refused(data):
    with pytest.raises(NotMeasured):
        seconds_max(data)


def test_tags_and_zeros_around_frames_are_none():
    ape, id3v1 = b"APETAGEX" + bytes(range(99)), b"TAG" + bytes(125)
    for data in (
        id3(9) + bytes(99) + HOUR + ape + id3v1,
        HOUR + bytes(50),
        HOUR[:-20],
        HOUR + id3v1,
        HOUR + b"\xff\xf3",
    ):
        assert seconds_max(data) == 3600


def fmt(code: int, channels: int, bits: int, align: int, more: bytes = b"") -> bytes:
    told = struct.pack("<HHIIHH", code, channels, 8000, 8000, align, bits) + more
    return b"fmt " + struct.pack("<I", len(told)) + told


def extended(code: int, valid: int, tail: str = "000000001000800000aa00389b71") -> bytes:
    return struct.pack("<HHIH", 22, valid, 4, code) + bytes.fromhex(tail)


@pytest.mark.parametrize(
    ("formats", "seconds"),
    [
        ((fmt(7, 1, 8, 1),), 11),
        ((fmt(1, 2, 16, 4),), 3),
        ((fmt(3, 1, 32, 4),), 3),
        ((fmt(0xFFFE, 1, 16, 2, extended(1, 16)),), 6),
        ((fmt(7, 1, 64, 1),), None),
        ((fmt(6, 1, 0xFFF8, 1),), None),
        ((fmt(7, 1, 64, 8),), None),
        ((fmt(1, 1, 64, 8),), None),
        ((fmt(1, 1, 16, 1),), None),
        ((fmt(3, 1, 16, 2),), None),
        ((fmt(1, 0, 16, 0),), None),
        ((fmt(0xFFFE, 1, 32, 4, extended(1, 8)),), None),
        ((fmt(0xFFFE, 1, 16, 2, extended(1, 16, "00" * 14)),), None),
        ((fmt(1, 8, 32, 32), fmt(1, 1, 8, 1)), None),
        ((), None),
    ],
)
def test_a_wave_says_alike_how_large_its_samples_are_wherever_it_says_so(formats, seconds):
    data = b"RIFF\xff\xff\xff\xffWAVE" + b"".join(formats) + b"data\xff\xff\xff\xff" + bytes(80_000)
    if seconds:
        assert seconds_max(data) == seconds
        return
    with pytest.raises(NotMeasured):
        seconds_max(data)


def box(kind: bytes, *parts: bytes) -> bytes:
    held = b"".join(parts)
    return struct.pack(">I4s", 8 + len(held), kind) + held


def m4a(
    *, holds: int = 0x40, most: bytes = bytes(4), in_track: bytes = b"", in_film: bytes = b"", behind: bytes = b""
) -> bytes:
    """AAC in 16,000 a second, a thousand samples of it."""
    config = bytes((holds, 0x15)) + bytes(3) + most + bytes(4) + b"\5\2\x14\x08"
    stream = b"\0\1\0\4\x80\x80\x80" + bytes((len(config),)) + config + b"\6\1\2"
    told = box(b"esds", bytes(4), b"\3" + bytes((len(stream),)) + stream)
    entry = box(b"mp4a", bytes(6) + b"\0\1" + bytes(8), struct.pack(">HHHHI", 1, 16, 0, 0, 16000 << 16), told)
    table = box(b"stbl", box(b"stsd", bytes(7) + b"\1", entry), box(b"stsz", bytes(8), struct.pack(">I", 1000)))
    track = box(b"trak", box(b"mdia", box(b"minf", table)), in_track)
    return box(b"ftyp", b"M4A " + bytes(4)) + box(b"moov", track, in_film) + box(b"mdat", b"trak") + behind


def test_the_codec_of_an_m4a_is_read_where_it_stands():
    """By tag and length: a five in a number before it is none."""
    for most in (bytes(4), b"\5\2\x12\x10", b"\0\5\0\5"):
        assert seconds_max(m4a(most=most)) == 64
    for holds in (0x6B, 0x69, 0xDD, 0):
        with pytest.raises(NotMeasured):
            seconds_max(m4a(holds=holds))


@pytest.mark.parametrize(
    "given",
    [
        {"in_film": box(b"udta", box(b"trak", b"x"))},
        {"in_film": box(b"free", bytes(9) + b"stsd")},
        {"in_film": box(b"cmov")},
        {"in_track": box(b"trak")},
        {"in_track": box(b"stsd")},
        {"in_film": box(b"mdat", b"trak")},
        {"in_film": struct.pack(">I4s", 999, b"udta")},
        {"behind": box(b"trak")},
        {"behind": m4a()},
    ],
)
def test_no_second_track_hides_in_an_m4a(given):
    assert seconds_max(m4a(in_film=box(b"udta", b"a name"))) == 64
    with pytest.raises(NotMeasured):
        seconds_max(m4a(**given))


def element(name: str, *parts: bytes) -> bytes:
    held = b"".join(parts)
    return bytes.fromhex(name) + (0x4000 | len(held)).to_bytes(2, "big") + held


def webm(*in_track: bytes) -> bytes:
    """Opus, ten times 120 ms."""
    track = element("ae", element("86", b"A_OPUS"), element("63a2", b"OpusHead" + bytes(11)), *in_track)
    sound = element("1f43b675", element("a3", b"\x81\0\0\x80\x0b\x06") * 10)
    return element("1a45dfa3") + element("18538067", element("1654ae6b", track), sound)


def test_a_webm_whose_blocks_are_packed_is_refused():
    assert seconds_max(webm()) == seconds_max(webm(element("ec", b"x"))) == 2
    for more in (element("6d80", b"x"), b"\xec\x86"):  # and what reaches out of what holds it
        with pytest.raises(NotMeasured):
            seconds_max(webm(more))


def test_heads_of_flac_that_are_none_are_few():
    """A checksum for each of hundreds of thousands keeps a worker from everything else."""
    head = b"\xff\xf8\x7d\0\xfe\xbf\xbf\xbf\xbf\xbf\xbf\0\0\0\0\0"
    flac, end = read(".flac"), head * durations.FLAC_WRONG_MAX
    assert seconds_max(flac + end) == 2
    for data in (flac + end + head, FLAC_HEAD + head * 1001):
        with pytest.raises(NotMeasured):
            seconds_max(data)


whole = st.sampled_from([path.read_bytes() for path in RECORDINGS] + [wav(b"x" * 99), silence(3)])
changed = st.builds(
    lambda data, at, put: data[: at % len(data)] + put + data[at % len(data) + len(put) :],
    whole,
    st.integers(0, 10**6),
    st.binary(max_size=8),
)


@given(st.one_of(st.binary(max_size=200), changed, st.builds(lambda data, at: data[:at], whole, st.integers(0, 3000))))
@example(b"ID3")
@example(b"\xff")
def test_any_bytes_have_a_length_or_none(data):
    with contextlib.suppress(NotMeasured):
        assert seconds_max(data) >= 1


async def test_silence_that_takes_no_room_is_held_for_and_charged_whole(house):
    """Two minutes in three kilobytes, of which the file says that they are none: 25 bytes a second."""
    await offer_all(house)
    ann = await house.customer()
    sound = silence(1000)
    house.upstream.script = Script(seconds=120.0)
    await house.client(ann).audio.transcriptions.create(model=HEARS, file=("a.ogg", sound))
    row = await house.settled(ann)
    assert (row.held, row.amount) == (121 * SECOND, 120 * SECOND) and len(sound) < 3500


async def test_who_hears_for_longer_than_was_held_for_is_charged_the_hold_and_seen(house):
    await offer_all(house)
    ann = await house.customer()
    house.upstream.then(Script(seconds=3600.0), Script(seconds=2.0))
    with structlog.testing.capture_logs() as said:
        for number in (1, 2):
            await house.client(ann).audio.transcriptions.create(model=HEARS, file=("a.wav", wav(bytes(16_000))))
            row = await house.settled(ann, number)
            assert (row.held, row.amount) == (3 * SECOND, (3 if number == 1 else 2) * SECOND)
    (event,) = [each for each in said if each["event"] == "audio_longer_than_held"]
    assert event == {"event": "audio_longer_than_held", "kind": HEARS, "log_level": "warning"}
    sheet = Sheet(FAMILIES)
    house.gateway.watch.tell(sheet)
    (counted,) = sheet.rows_of("avow_audio_longer_than_held_total")
    assert (counted.labels, counted.values) == ((HEARS,), [1])


async def test_a_recording_that_cannot_be_measured_is_refused_and_nothing_is_held(house):
    await offer_all(house)
    ann = await house.customer()
    with pytest.raises(openai.BadRequestError) as refused:
        await house.client(ann).audio.transcriptions.create(model=HEARS, file=("a.mp3", bytes(100_000)))
    assert (refused.value.code, refused.value.param) == ("recording_not_measured", "file")
    assert house.upstream.requests == [] and await house.usages(ann) == []
