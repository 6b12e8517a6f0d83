"""OpenAI's responses: an answer made of output items; its stream ends with an event that holds the whole of it."""

from __future__ import annotations

from typing import Any

import msgspec

from avow.gateway.estimate import FRAME, text_bytes
from avow.gateway.sse import EventStream
from avow.gateway.usage import ResponsesUsage, Usage

_encode = msgspec.json.Encoder().encode
ENDS = frozenset(("response.completed", "response.incomplete"))


class Whole(msgspec.Struct):
    object: str
    output: list[dict[str, Any]]
    usage: ResponsesUsage | None = None


class Failure(msgspec.Struct):
    code: str | None = None


class Event(msgspec.Struct):
    type: str
    delta: Any = None
    response: msgspec.Raw = msgspec.Raw()


class Ended(msgspec.Struct):
    usage: ResponsesUsage | None = None
    error: Failure | None = None


read = msgspec.json.Decoder(Whole).decode
_decode = msgspec.json.Decoder(Event).decode
_decode_end = msgspec.json.Decoder(Ended).decode


class ResponsesStream(EventStream):
    """A response. The events of texts and of calls' arguments are counted; the last event tells the usage."""

    tail = b""

    def _admit(self, data: bytes) -> bool:
        event = _decode(data)
        ended = _decode_end(event.response) if event.type in ENDS else None
        if event.type in ("error", "response.failed"):
            self.fault = "error"
            return False
        if ended is not None:
            self.usage, self.whole = ended.usage, bytes(event.response)
            self.done = True
            return False
        if event.type.endswith(".delta"):
            self._say(text_bytes(event.delta, FRAME))
        return True


class ResponsesAssembly:
    """One response from a stream that was cut off: the items that were complete, and the texts that were not."""

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._texts: dict[str, str] = {}

    def add(self, data: bytes) -> None:
        """Take in one event that `ResponsesStream` has admitted."""
        event = msgspec.json.decode(data)
        if event["type"] == "response.output_item.done":
            item = event.get("item")
            self._items.append(item)
            self._texts.pop(str(item.get("id")) if isinstance(item, dict) else "", None)
        elif isinstance(event.get("delta"), str):
            name = str(event.get("item_id"))
            self._texts[name] = self._texts.get(name, "") + event["delta"]

    def body(self, usage: Usage | None) -> bytes:
        """What was delivered as a `response` object in JSON, with the usage that the stream reported."""
        broken = [{"id": item, "type": "partial", "text": text} for item, text in self._texts.items()]
        made = {"object": "response", "output": [*self._items, *broken]}
        return _encode({**made, "usage": usage} if usage else made)
