"""How long a recording is at most: counted, not believed."""

from __future__ import annotations

import contextlib
import struct

import openai
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from avow.gateway import durations
from avow.gateway.durations import NotMeasured, seconds_max
from avow.gateway.scripted import Script

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
        "mp3": lambda: data.replace(b"Info", b"Xxxx").replace(b"Xing", b"Xxxx"),
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
    nothing = (b"RIFF0000WAVE" + b"LIST\0\0\0\0" * 20, b"ID3" + bytes(7) + b"\xff\xfb\xf0\0" * 20)
    for data in (*nothing, b"fLaC" + bytes(80), b"\0\0\0\x08ftyp" * 20, b"\x1aE\xdf\xa3\x80" + b"\xec\x80" * 20):
        with pytest.raises(NotMeasured, match="10 blocks"):
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


async def test_a_recording_that_cannot_be_measured_is_refused_and_nothing_is_held(house):
    await offer_all(house)
    ann = await house.customer()
    with pytest.raises(openai.BadRequestError) as refused:
        await house.client(ann).audio.transcriptions.create(model=HEARS, file=("a.mp3", bytes(100_000)))
    assert (refused.value.code, refused.value.param) == ("recording_not_measured", "file")
    assert house.upstream.requests == [] and await house.usages(ann) == []
