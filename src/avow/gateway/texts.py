"""OpenAI's older completions: a text that goes on, whole or as a stream."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec

from avow.gateway.sse import ChatStream, Failure
from avow.gateway.usage import ChatUsage, Usage

_encode = msgspec.json.Encoder().encode
_FRAME = ("id", "created", "model", "system_fingerprint")


class Choice(msgspec.Struct):
    text: str | None = None
    finish_reason: str | None = None
    index: int = 0
    logprobs: dict[str, Any] | None = None


class Chunk(msgspec.Struct):
    choices: list[Choice] | None = None
    usage: ChatUsage | None = None
    error: Failure | str | None = None
    prompt_progress: None = None


class Whole(msgspec.Struct):
    choices: list[Choice]
    usage: ChatUsage | None = None


read = msgspec.json.Decoder(Whole).decode
_decode = msgspec.json.Decoder(Chunk).decode
_decode_frame = msgspec.json.Decoder(dict[str, Any]).decode


class TextStream(ChatStream):
    """A completion. Its chunks are those of a chat, with the text where a chat has a delta."""

    _decode = staticmethod(_decode)

    def _count(self, chunk: Chunk) -> bool:
        if chunk.usage is not None:
            self.usage = chunk.usage
            if not chunk.choices and not self._wants_usage:
                return False
        for choice in chunk.choices or ():
            if choice.finish_reason is not None:
                self.finish = choice.finish_reason
            self._say(len((choice.text or "").encode()))
        return True


class TextAssembly:
    """One answer from the chunks of a stream."""

    def __init__(self) -> None:
        self._frame: dict[str, Any] = {}
        self._choices: dict[int, Choice] = {}
        self._texts: defaultdict[int, list[str]] = defaultdict(list)  # joined once: see `assembly`

    def add(self, data: bytes) -> None:
        """Take in one chunk that `TextStream` has admitted."""
        frame = _decode_frame(data)
        for name in _FRAME:
            if frame.get(name) is not None:
                self._frame.setdefault(name, frame[name])
        for choice in _decode(data).choices or ():
            whole = self._choices.setdefault(choice.index, Choice("", index=choice.index))
            self._texts[choice.index].append(choice.text or "")
            whole.finish_reason = choice.finish_reason or whole.finish_reason

    def body(self, usage: Usage | None) -> bytes:
        """The answer as a `text_completion` object in JSON, with the usage that the stream reported."""
        choices = [
            msgspec.structs.replace(self._choices[index], text="".join(self._texts[index]))
            for index in sorted(self._choices)
        ]
        answer = {**self._frame, "object": "text_completion", "choices": choices}
        return _encode({**answer, "usage": usage} if usage else answer)
