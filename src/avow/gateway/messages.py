"""Anthropic's messages: an answer made of content blocks, whole or as a stream of events that open, fill and close them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import msgspec

from avow.gateway.estimate import FRAME, text_bytes
from avow.gateway.sse import EventStream
from avow.gateway.usage import Count, MessagesUsage, Usage

_encode = msgspec.json.Encoder().encode
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class Whole(msgspec.Struct):
    type: str
    content: list[dict[str, Any]]
    usage: MessagesUsage | None = None


class Counted(msgspec.Struct):
    """The answer of count_tokens."""

    input_tokens: Count


class Started(msgspec.Struct):
    usage: MessagesUsage | None = None


class Delta(msgspec.Struct):
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class Failure(msgspec.Struct):
    type: str | None = None


class Event(msgspec.Struct):
    type: str
    message: Started | None = None
    delta: Delta | None = None
    content_block: msgspec.Raw = msgspec.Raw()
    usage: MessagesUsage | None = None
    error: Failure | None = None


read = msgspec.json.Decoder(Whole).decode
read_count = msgspec.json.Decoder(Counted).decode
_decode = msgspec.json.Decoder(Event).decode
_decode_dict = msgspec.json.Decoder(dict[str, Any]).decode


class MessagesStream(EventStream):
    """A message. What it used is told at its start (the input) and at its end (all of it)."""

    tail = STOP
    _so_far: MessagesUsage | None = None

    def _admit(self, data: bytes) -> bool:
        event = _decode(data)
        if event.type == "error":
            self.fault = "error"
            self.rejected = event.error is not None and event.error.type == "invalid_request_error"
            return False
        if event.type == "message_stop":
            self.done = True
            return False
        self._note(event)
        return True

    def _note(self, event: Event) -> None:
        if event.type == "message_start" and event.message is not None and event.message.usage is not None:
            self._so_far = event.message.usage
            self.prompt_tokens = self._so_far.buckets().read
        elif event.type == "message_delta":
            if event.delta is not None and event.delta.stop_reason is not None:
                self.finish = event.delta.stop_reason
            if event.usage is not None:
                self.usage = self._so_far = event.usage.over(self._so_far)
        elif event.delta is not None:
            said = event.delta.text or event.delta.thinking or event.delta.partial_json or ""
            self._say(len(said.encode()))
        elif event.type == "content_block_start" and bytes(event.content_block):
            self._say(text_bytes(msgspec.json.decode(event.content_block), FRAME))


class MessagesAssembly:
    """One message from the events of a stream."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {"type": "message", "role": "assistant"}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._texts: defaultdict[tuple[int, str], list[str]] = defaultdict(list)  # joined once: see `assembly`

    def add(self, data: bytes) -> None:
        """Take in one event that `MessagesStream` has admitted."""
        event = _decode_dict(data)
        kind, index = event.get("type"), event.get("index")
        if kind == "message_start" and isinstance(event.get("message"), dict):
            self._message |= {name: value for name, value in event["message"].items() if name != "content"}
        elif kind == "message_delta" and isinstance(event.get("delta"), dict):
            self._message |= event["delta"]
        elif kind == "content_block_start" and isinstance(event.get("content_block"), dict) and isinstance(index, int):
            self._blocks[index] = dict(event["content_block"])
        elif kind == "content_block_delta" and isinstance(event.get("delta"), dict) and isinstance(index, int):
            self._fill(index, event["delta"])

    def _fill(self, index: int, delta: dict[str, Any]) -> None:
        self._blocks.setdefault(index, {})
        for name in ("text", "thinking", "signature", "partial_json"):
            if isinstance(delta.get(name), str):
                self._texts[index, name].append(delta[name])

    def body(self, usage: Usage | None) -> bytes:
        """The message in JSON, with the usage that the stream reported."""
        blocks = {index: dict(block) for index, block in self._blocks.items()}
        for (index, name), pieces in self._texts.items():
            text = "".join(pieces)
            if name == "partial_json":
                blocks[index]["input"] = arguments(text)
            else:
                blocks[index][name] = str(blocks[index].get(name) or "") + text
        content = [blocks[index] for index in sorted(blocks)]
        made = {**self._message, "content": content}
        return _encode({**made, "usage": usage} if usage else made)


def arguments(text: str) -> Any:
    """A tool's input from its JSON; what is broken off stays a text, so that nothing is lost."""
    try:
        return msgspec.json.decode(text) if text else {}
    except (msgspec.MsgspecError, RecursionError):
        return text
