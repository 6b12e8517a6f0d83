"""Anthropic's messages from an upstream that speaks OpenAI's chat: the request there, and its answer back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from avow.gateway import pictures, wire
from avow.gateway.messages import STOP, arguments
from avow.gateway.refusals import InvalidRequest, ToolsMissing
from avow.gateway.usage import Buckets, ChatUsage, Usage, messages_fields
from avow.gateway.wire import Request

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
STOPPED = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_SAME = ("temperature", "top_p", "stream")


def to_theirs(request: Request) -> Request:
    """A messages request as a chat request; thinking of earlier turns stays behind. Raises `InvalidRequest`."""
    fields = request.fields
    try:
        turns = [{"role": "system", "content": text} for text in _texts(fields.get("system"))]
        for message in fields["messages"]:
            turns += _turn(message)
        made: dict[str, Any] = {"model": request.model, "messages": turns} | _tools(fields)
    except (KeyError, TypeError, AttributeError):
        raise InvalidRequest("A message, its blocks or a tool lacks what it must have.", param="messages") from None
    made |= {name: fields[name] for name in _SAME if fields.get(name) is not None}
    if fields.get("stop_sequences"):
        made["stop"] = fields["stop_sequences"]
    return request.saying(made)


def _texts(content: Any) -> list[str]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content or []
    return [block["text"] for block in blocks if block["type"] == "text"]


def _turn(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    content, role = message["content"], message["role"]
    blocks = [] if isinstance(content, str) else content
    for block in blocks:
        if block["type"] == "tool_result":
            text = "\n".join(_texts(block.get("content")))
            yield {"role": "tool", "tool_call_id": block["tool_use_id"], "content": text}
    calls = [
        {
            "id": block["id"],
            "type": "function",
            "function": {"name": block["name"], "arguments": _encode(block["input"]).decode()},
        }
        for block in blocks
        if block["type"] == "tool_use"
    ]
    texts, shown = _texts(content), list(_shown(blocks))
    if calls:
        yield {"role": role, "content": "\n".join(texts) or None, "tool_calls": calls}
    elif len(texts) > 1 or shown:
        yield {"role": role, "content": shown or [{"type": "text", "text": text} for text in texts]}
    elif texts:
        yield {"role": role, "content": texts[0]}


def _shown(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The parts of a turn that shows pictures, and nothing for one that does not. Those of a tool's result come with the
    user's words, for there a result is a text."""
    made: list[dict[str, Any]] = []
    for block in blocks:
        inner = block.get("content") if block["type"] == "tool_result" else [block]
        for part in inner if isinstance(inner, list) else ():
            if part["type"] == "image":
                made.append(pictures.as_url(part))
            elif part["type"] == "text" and block["type"] == "text":
                made.append({"type": "text", "text": part["text"]})
    return made if any(part["type"] == wire.PICTURE for part in made) else []


def _tools(fields: dict[str, Any]) -> dict[str, Any]:
    if not fields.get("tools"):
        if (fields.get("tool_choice") or {}).get("type", "auto") not in ("auto", "none"):
            raise ToolsMissing
        return {}
    tools = [
        {"name": tool["name"], "description": tool.get("description") or "", "parameters": tool["input_schema"]}
        for tool in fields["tools"]
    ]
    made: dict[str, Any] = {"tools": [{"type": "function", "function": tool} for tool in tools]}
    choice = fields.get("tool_choice") or {"type": "auto"}
    if choice["type"] == "tool":
        made["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    else:
        made["tool_choice"] = {"any": "required", "none": "none"}.get(choice["type"], "auto")
    if choice.get("disable_parallel_tool_use"):
        made["parallel_tool_calls"] = False
    return made


def whole(body: bytes) -> bytes:
    """A chat completion as a message, both JSON."""
    said = _decode(body)
    choice = said["choices"][0]
    message = choice["message"]
    content: list[dict[str, Any]] = []
    thought = message.get("reasoning_content") or message.get("reasoning")
    if thought:
        content.append({"type": "thinking", "thinking": thought, "signature": ""})
    text = message.get("content") or message.get("refusal")
    if text:
        content.append({"type": "text", "text": text})
    for call in message.get("tool_calls") or ():
        called = call["function"]
        given = arguments(called.get("arguments") or "")
        content.append({"type": "tool_use", "id": call["id"], "name": called["name"], "input": given})
    usage = msgspec.convert(said["usage"], ChatUsage).buckets() if said.get("usage") else Buckets()
    return _encode(_message(said, content, STOPPED.get(choice.get("finish_reason"), "end_turn"), usage))


def _message(said: dict[str, Any], content: list[Any], stopped: str | None, usage: Buckets) -> dict[str, Any]:
    return {
        "id": str(said.get("id")),
        "type": "message",
        "role": "assistant",
        "model": str(said.get("model")),
        "content": content,
        "stop_reason": stopped,
        "stop_sequence": None,
        "usage": messages_fields(usage),
    }


class Stream:
    """The chunks of a chat completion as the events of a message: blocks are opened, filled and closed in turn."""

    def __init__(self, _: Request) -> None:
        self._begun = False
        self._index = -1
        self._open: Any = None
        self._stopped = "end_turn"

    def feed(self, data: bytes) -> bytes:
        """What one chunk of theirs is for the client."""
        chunk = _decode(data)
        made = [] if self._begun else [_event("message_start", message=_message(chunk, [], None, Buckets()))]
        self._begun = True
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            made += self._fill(delta)
            if choice.get("finish_reason") is not None:
                self._stopped = STOPPED.get(choice["finish_reason"], "end_turn")
        return b"".join(made)

    def _fill(self, delta: dict[str, Any]) -> Iterator[bytes]:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought:
            yield from self._turn_to("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            yield self._delta({"type": "thinking_delta", "thinking": thought})
        text = delta.get("content") or delta.get("refusal")
        if text:
            yield from self._turn_to("text", {"type": "text", "text": ""})
            yield self._delta({"type": "text_delta", "text": text})
        for call in delta.get("tool_calls") or ():
            called = call.get("function") or {}
            block = {"type": "tool_use", "id": call.get("id"), "name": called.get("name"), "input": {}}
            yield from self._turn_to(("call", call.get("index", 0)), block)
            if called.get("arguments"):
                yield self._delta({"type": "input_json_delta", "partial_json": called["arguments"]})

    def _turn_to(self, name: Any, block: dict[str, Any]) -> Iterator[bytes]:
        if self._open == name:
            return
        if self._open is not None:
            yield _event("content_block_stop", index=self._index)
        self._open = name
        self._index += 1
        yield _event("content_block_start", index=self._index, content_block=block)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._index, delta=delta)

    def close(self, usage: Usage | None) -> tuple[bytes, bytes]:
        """What comes before the cost and what ends the answer."""
        made = [] if self._open is None else [_event("content_block_stop", index=self._index)]
        told = messages_fields(usage.buckets() if usage is not None else Buckets())
        made.append(_event("message_delta", delta={"stop_reason": self._stopped, "stop_sequence": None}, usage=told))
        return b"".join(made), STOP


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **fields}))
