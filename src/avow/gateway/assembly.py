"""One answer from the chunks of a stream: for clients that want JSON from an upstream that only streams, and for traces.

Texts come in many small pieces. They are kept apart and joined once: to add a piece to a text copies the text.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec

from avow.gateway.usage import Usage, chat_fields

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode
_FRAME = ("id", "created", "model", "system_fingerprint", "service_tier")
_TEXTS = ("content", "reasoning_content", "refusal")


class Assembly:
    """Add the data of each event in order, then ask for `body`."""

    def __init__(self) -> None:
        self._frame: dict[str, Any] = {}
        self._choices: dict[int, _Choice] = {}

    def add(self, data: bytes) -> None:
        """Take in one chunk that `ChatStream` has admitted."""
        chunk = _decode(data)
        for name in _FRAME:
            if chunk.get(name) is not None:
                self._frame.setdefault(name, chunk[name])
        for choice in chunk.get("choices") or ():
            index = choice.get("index")
            index = index if isinstance(index, int) else 0
            if index not in self._choices:
                self._choices[index] = _Choice(index)
            self._choices[index].add(choice)

    def extend(self, index: int, name: str, texts: list[str]) -> None:
        """Take in chunks that add to one text of a choice that a chunk has added to before."""
        self._choices[index].extend(name, texts)

    def body(self, usage: Usage | None) -> bytes:
        """The answer as a `chat.completion` object in JSON, with the usage that the stream reported."""
        choices = [self._choices[index].whole() for index in sorted(self._choices)]
        answer = {**self._frame, "object": "chat.completion", "choices": choices}
        return _encode({**answer, "usage": chat_fields(usage.buckets())} if usage else answer)


class _Choice:
    """One of the answers, in pieces."""

    def __init__(self, index: int) -> None:
        self._index = index
        self._finish_reason: Any = None
        self._texts: defaultdict[str, list[str]] = defaultdict(list)
        self._calls: dict[Any, _Call] = {}
        self._logprobs: list[Any] | None = None

    def add(self, choice: dict[str, Any]) -> None:
        if choice.get("finish_reason") is not None:
            self._finish_reason = choice["finish_reason"]
        delta = choice.get("delta") or {}
        for name in _TEXTS:
            if isinstance(delta.get(name), str):
                self._texts[name].append(delta[name])
        for part in delta.get("tool_calls") or ():
            if isinstance(part, dict):
                self._add_call(part)
        logprobs = choice.get("logprobs")
        if isinstance(logprobs, dict) and isinstance(logprobs.get("content"), list):
            self._logprobs = self._logprobs or []
            self._logprobs += logprobs["content"]

    def extend(self, name: str, texts: list[str]) -> None:
        self._texts[name] += texts

    def _add_call(self, part: dict[str, Any]) -> None:
        index = part.get("index")
        name = index if isinstance(index, int) else None
        if name not in self._calls:
            self._calls[name] = _Call({**part, "index": index})
        self._calls[name].add(part)

    def whole(self) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": None}
        message |= {name: "".join(pieces) for name, pieces in self._texts.items()}
        if self._calls:
            message["tool_calls"] = [call.whole() for call in self._calls.values()]
        made = {"index": self._index, "message": message, "finish_reason": self._finish_reason}
        return made if self._logprobs is None else {**made, "logprobs": {"content": self._logprobs}}


class _Call:
    """A tool call: its first piece names the function, all add to its arguments."""

    def __init__(self, first: dict[str, Any]) -> None:
        self._first = first
        self._arguments: list[str] = []

    def add(self, part: dict[str, Any]) -> None:
        function = part.get("function")
        if isinstance(function, dict) and isinstance(function.get("arguments"), str):
            self._arguments.append(function["arguments"])

    def whole(self) -> dict[str, Any]:
        function = self._first.get("function")
        named = function if isinstance(function, dict) else {}
        return {**self._first, "function": {**named, "arguments": "".join(self._arguments)}}
