"""One answer from the chunks of a stream: for clients that want JSON from an upstream that only streams, and for traces."""

from __future__ import annotations

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
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, data: bytes) -> None:
        """Take in one chunk that `ChatStream` has admitted."""
        chunk = _decode(data)
        for name in _FRAME:
            if chunk.get(name) is not None:
                self._frame.setdefault(name, chunk[name])
        for choice in chunk.get("choices") or ():
            self._join(choice)

    def body(self, usage: Usage | None) -> bytes:
        """The answer as a `chat.completion` object in JSON, with the usage that the stream reported."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        answer = {**self._frame, "object": "chat.completion", "choices": choices}
        return _encode({**answer, "usage": chat_fields(usage.buckets())} if usage else answer)

    def _join(self, choice: dict[str, Any]) -> None:
        index = choice.get("index")
        index = index if isinstance(index, int) else 0
        empty = {"index": index, "message": {"role": "assistant", "content": None}, "finish_reason": None}
        whole = self._choices.setdefault(index, empty)
        if choice.get("finish_reason") is not None:
            whole["finish_reason"] = choice["finish_reason"]
        delta = choice.get("delta") or {}
        message = whole["message"]
        for name in _TEXTS:
            if isinstance(delta.get(name), str):
                message[name] = (message.get(name) or "") + delta[name]
        for call in delta.get("tool_calls") or ():
            if isinstance(call, dict):
                _join_call(message.setdefault("tool_calls", []), call)
        self._join_logprobs(whole, choice.get("logprobs"))

    def _join_logprobs(self, whole: dict[str, Any], logprobs: Any) -> None:
        if isinstance(logprobs, dict) and isinstance(logprobs.get("content"), list):
            whole.setdefault("logprobs", {"content": []})["content"] += logprobs["content"]


def _join_call(calls: list[dict[str, Any]], part: dict[str, Any]) -> None:
    """Tool calls come in pieces: the first names the function, the others add to its arguments."""
    index = part.get("index")
    known = next((call for call in calls if call["index"] == index), None)
    function = part.get("function") if isinstance(part.get("function"), dict) else {}
    assert isinstance(function, dict)
    if known is None:
        calls.append({**part, "index": index, "function": {"arguments": "", **function}})
        return
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        known["function"]["arguments"] += arguments
