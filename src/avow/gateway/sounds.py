"""Sound that is heard or spoken: answers, whole or as a stream of events, and sound that passes as it comes."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any

import msgspec

from avow.gateway.sse import EventStream
from avow.gateway.usage import MediaUsage, SoundUsage, SpeechUsage, Usage

PIECE_BYTES = 96 * 1024
"""Of sound in one event."""

_encode = msgspec.json.Encoder().encode
_CUE_END = re.compile(r"-->[ \t]*(?:([0-9]{1,3}):)?([0-9]{1,2}):([0-9]{1,2})[.,]([0-9]{1,3})")


class Whole(msgspec.Struct):
    text: str
    usage: SoundUsage | None = None
    duration: float | str | None = None


class Event(msgspec.Struct):
    type: str
    delta: str | None = None
    audio: str | None = None
    usage: msgspec.Raw = msgspec.Raw()


read = msgspec.json.Decoder(Whole).decode
_decode = msgspec.json.Decoder(Event).decode
_decode_fields = msgspec.json.Decoder(dict[str, Any]).decode
_decode_heard = msgspec.json.Decoder(SoundUsage | None).decode
_decode_spoken = msgspec.json.Decoder(SpeechUsage | None).decode


def used(whole: Whole) -> MediaUsage | None:
    """What an upstream says of a transcription: by its usage, else by how long it says that the recording was."""
    if whole.usage is not None:
        return whole.usage.told()
    try:
        return None if whole.duration is None else MediaUsage(seconds=float(whole.duration))
    except ValueError:
        return None


def wrapped(subtitles: bytes) -> bytes:
    """Subtitles (SubRip, WebVTT) as JSON with their text; they last until the end of their last cue."""
    text = subtitles.decode()
    ends = [
        int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + int(part.ljust(3, "0")) / 1000
        for hours, minutes, seconds, part in _CUE_END.findall(text)
    ]
    return _encode({"text": text, "duration": max(ends, default=None)})


def heard_events(body: bytes) -> bytes:
    """The last event of a transcription that came whole, though a stream was asked for. Raises msgspec's errors."""
    answer = read(body)
    seconds = None if (told := used(answer)) is None else told.seconds
    usage = _decode_fields(body).get("usage") or ({"type": "duration", "seconds": seconds} if seconds else None)
    return _event({"type": "transcript.text.done", "text": answer.text} | ({"usage": usage} if usage else {}))


def spoken_events(sound: bytes) -> bytes:
    """The events of speech that came as sound, though events were asked for."""
    pieces = [sound[at : at + PIECE_BYTES] for at in range(0, len(sound), PIECE_BYTES)]
    deltas = [_event({"type": "speech.audio.delta", "audio": b64encode(piece).decode()}) for piece in pieces]
    return b"".join([*deltas, _event({"type": "speech.audio.done"})])


def _event(data: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % _encode(data)


class HeardStream(EventStream):
    """A transcription that comes in pieces; its last event has the whole text and the usage."""

    tail = b""

    def _admit(self, data: bytes) -> bool:
        event = _decode(data)
        if event.type == "error":
            self.fault = "error"
            return False
        if event.type.endswith(".done"):
            self.usage, self.done, self.whole = self._told(bytes(event.usage) or b"null"), True, data
            return False
        self._say(len((event.delta or event.audio or "").encode()))
        return True

    def _told(self, usage: bytes) -> Usage | None:
        told = _decode_heard(usage)
        return None if told is None else told.told()


class SpokenStream(HeardStream):
    """Speech in events; what it used is told in the last."""

    def _told(self, usage: bytes) -> Usage | None:
        told = _decode_spoken(usage)
        return None if told is None else told.told()

    @property
    def tokens(self) -> int:
        return min(self._events, 1)  # how many a piece of sound is, nobody knows


class SoundStream(EventStream):
    """Speech as it comes: bytes that are passed on and not looked at. It ends when the upstream ends it."""

    tail = b""

    def feed(self, piece: bytes) -> tuple[bytes, list[bytes]]:
        self._say(len(piece))
        self.finish = "" if self._events else None
        return piece, [piece]

    @property
    def tokens(self) -> int:
        return min(self._events, 1)

    def _admit(self, data: bytes) -> bool:
        return True


class HeardAssembly:
    """A transcription from what came of its stream."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def add(self, data: bytes) -> None:
        """Take in one event that `HeardStream` has admitted."""
        self._texts.append(_decode(data).delta or "")

    def body(self, _: Usage | None) -> bytes:
        """What was delivered, in JSON."""
        return _encode({"text": "".join(self._texts)})


class SpokenAssembly:
    """Of speech only its size is kept."""

    def __init__(self) -> None:
        self._size = 0

    def add(self, data: bytes) -> None:
        """Take in a piece of sound, or the event that holds it."""
        self._size += len(data)

    def body(self, _: Usage | None) -> bytes:
        """What is said of it, in JSON."""
        return _encode({"audio": f"{self._size} bytes, not kept"})
