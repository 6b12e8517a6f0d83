"""An answer as a stream of server-sent events (WHATWG HTML §9.2), read while it passes.

Events go on to the client byte for byte. Taken out are only: the usage chunk that the client did not ask for, the
progress chunks of the embedded engine, an upstream's own `: avow-…` comments, and the last event (`[DONE]`), which we write
ourselves after the cost. What is delivered is counted, so that a stream that is cut off can be charged for what arrived.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Literal

import msgspec

from avow.base import money
from avow.gateway.estimate import BYTES_PER_TOKEN, text_bytes
from avow.gateway.usage import ChatUsage, Count, Usage

EVENT_BYTES_MAX = 1024 * 1024
DONE = b"data: [DONE]\n\n"

_BLANK_LINE = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_OWN_COMMENT = re.compile(rb"(?<![^\r\n]):[ \t]*avow-[^\r\n]*(?:\r\n|\n|\r)")


class Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[Any] | None = None
    function_call: dict[str, Any] | None = None


class Choice(msgspec.Struct):
    delta: Delta | None = None
    finish_reason: str | None = None


class Failure(msgspec.Struct):
    code: int | str | None = None


class Progress(msgspec.Struct):
    total: Count = 0


class Chunk(msgspec.Struct):
    choices: list[Choice] | None = None
    usage: ChatUsage | None = None
    error: Failure | str | None = None
    prompt_progress: Progress | None = None


_decode_chunk = msgspec.json.Decoder(Chunk).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


class TooLong(ValueError):
    """One event is longer than the limit."""


class Splitter:
    """Cuts a byte stream into events. The events joined are the stream, whatever the pieces it came in."""

    def __init__(self, bytes_max: int = EVENT_BYTES_MAX) -> None:
        self._rest = bytearray()
        self._bytes_max = bytes_max

    def is_one(self, piece: bytes) -> bool:
        """Whether a piece is an event of one line of data and nothing else, as nearly all are."""
        return (
            not self._rest
            and piece.startswith(b"data: ")
            and piece.endswith(b"\n\n")
            and piece.find(b"\n") == len(piece) - 2
            and piece.find(b"\r") < 0
            and len(piece) <= self._bytes_max
        )

    @property
    def is_between(self) -> bool:
        """Whether the next byte begins an event."""
        return not self._rest

    def feed(self, piece: bytes) -> list[bytes]:
        """The events that end in `piece`, each with its blank line. Raises `TooLong`."""
        if not self._rest and piece.endswith(b"\n\n") and b"\r" not in piece:
            whole = [part + b"\n\n" for part in piece[:-2].split(b"\n\n")]
            if len(piece) > self._bytes_max and max(map(len, whole)) > self._bytes_max:
                raise TooLong
            return whole
        seen = max(0, len(self._rest) - 3)
        self._rest += piece
        events, start = [], 0
        while blank := _BLANK_LINE.search(self._rest, max(seen, start)):
            events.append(bytes(self._rest[start : blank.end()]))
            start = blank.end()
        del self._rest[:start]
        if len(self._rest) > self._bytes_max or any(len(event) > self._bytes_max for event in events):
            raise TooLong
        return events


def data_of(event: bytes) -> bytes | None:
    """The data of an event: its `data` lines joined by line feeds; None when it has none."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[6:-2]
    lines = []
    for line in _LINE_END.split(event):
        if line.startswith(b"data:"):
            lines.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"data":
            lines.append(b"")
    return b"\n".join(lines) if lines else None


def cost_comment(amount_nano: int) -> bytes:
    """The comment that tells the charge, in the wallet's currency; clients of SSE skip comments."""
    return f": avow-cost {money.text(amount_nano)}\n\n".encode()


class EventStream(ABC):
    """Reads the events of one answer and says which bytes go to the client; each dialect says what its events mean.

    `usage` is what the upstream reported last; `tokens` is a guess of what was passed on: one for each event with content,
    and no fewer than the bytes of all of them make, for some upstreams put many tokens into one event (the embedded engine,
    which tells its progress, never does). `prompt_tokens` is what it said early about the input.
    `fault` says why the stream may not go on; `rejected`: because the upstream found the request invalid. `tail` is the
    event that ends the answer, which the client gets after the cost; `whole` is the answer as one, where that event holds it.
    `finish` is the reason that it gave for its end (None: none yet).
    """

    tail = DONE
    whole = b""

    def __init__(self, *, wants_usage: bool = True, takes_progress: bool = False) -> None:
        self.usage: Usage | None = None
        self._events = self._said_bytes = 0
        self.done = False
        self.finish: str | None = None
        self.prompt_tokens: int | None = None
        self.fault: Literal["", "garbage", "error"] = ""
        self.rejected = False
        self._wants_usage = wants_usage
        self._takes_progress = takes_progress
        self._splitter = Splitter()

    def feed(self, piece: bytes) -> tuple[bytes, list[bytes]]:
        """The bytes to pass on, and the data of the events in them. After `done` or a `fault` nothing passes."""
        if self.done or self.fault:
            return b"", []
        if self._splitter.is_one(piece) and piece.find(b"avow-") < 0:  # far quicker than `in`
            line = piece[6:-2]
            if self._reads(line):
                return piece, [line]
            self._end_with(piece, line)
            return b"", []
        try:
            events = self._splitter.feed(piece)
        except TooLong:
            self.fault = "garbage"
            return b"", []
        passed, data = [], []
        for event in events:
            if b"avow-" in event:
                event = _OWN_COMMENT.sub(b"", event)
            content = data_of(event)
            if content is None:
                if event.strip(b"\r\n"):
                    passed.append(event)
            elif self._reads(content):
                passed.append(event)
                data.append(content)
            elif self.done or self.fault:
                self._end_with(event, content)
                break
        return b"".join(passed), data

    def _end_with(self, event: bytes, content: bytes) -> None:
        if self.done and content != b"[DONE]":
            self.tail = event

    @property
    def tokens(self) -> int:
        return max(self._events, -(-self._said_bytes // BYTES_PER_TOKEN))

    @property
    def is_between(self) -> bool:
        """Whether the next byte begins an event."""
        return self._splitter.is_between

    def count(self, texts: list[str]) -> None:
        """Count events that passed by the short way, each with one of these texts."""
        self._events += len(texts) - texts.count("")
        self._said_bytes += 0 if self._takes_progress else len("".join(texts).encode())

    def _say(self, size: int) -> None:
        """Count an event with so many bytes of content; one without any is none."""
        if size:
            self._events += 1
            self._said_bytes += 0 if self._takes_progress else size

    def _reads(self, data: bytes) -> bool:
        try:
            return self._admit(data)
        except _UNREADABLE:
            self.fault = "garbage"
            return False

    @abstractmethod
    def _admit(self, data: bytes) -> bool:
        """Whether an event passes; notes what it says, and in `done` and `fault` that it was the last. May raise what reading
        raises."""


class ChatStream(EventStream):
    """A chat completion."""

    _decode: Callable[[bytes], Any] = staticmethod(_decode_chunk)

    def _admit(self, data: bytes) -> bool:
        if data == b"[DONE]":
            self.done = True
            return False
        chunk = self._decode(data)
        if chunk.error is not None:
            self.fault = "error"
            self.rejected = isinstance(chunk.error, Failure) and chunk.error.code == HTTPStatus.BAD_REQUEST
            return False
        if chunk.choices is None and chunk.usage is None and chunk.prompt_progress is None:
            self.fault = "garbage"
            return False
        return self._count(chunk)

    def _count(self, chunk: Any) -> bool:
        if chunk.usage is not None:
            self.usage = chunk.usage
            if not chunk.choices and not self._wants_usage:
                return False
        if self._takes_progress and chunk.prompt_progress is not None:
            self.prompt_tokens = chunk.prompt_progress.total
            return False
        for choice in chunk.choices or ():
            if choice.finish_reason is not None:
                self.finish = choice.finish_reason
            if choice.delta is not None:
                self._say(_said(choice.delta))
        return True


def _said(delta: Delta) -> int:
    """Bytes of what a model says, thinks, refuses and calls; some upstreams tell a thought under two names."""
    words = (delta.content or "") + (delta.reasoning_content or delta.reasoning or "") + (delta.refusal or "")
    size = len(words.encode())
    for call in delta.tool_calls or ():
        size += _call_bytes(call)
    return size + _call_bytes({"function": delta.function_call}) if delta.function_call else size


def _call_bytes(call: Any) -> int:
    """Of a call its name and arguments; one that has neither still is something said."""
    said = (call.get("function") or call.get("custom")) if isinstance(call, dict) else None
    return text_bytes(said) or 1
