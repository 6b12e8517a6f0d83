"""A chat completion from an upstream that speaks Anthropic's messages: the request there, and its answer back.

What would mean something else there is refused, never dropped: several choices, a schema for the answer, log probabilities.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from avow.gateway import messages, pictures, wire
from avow.gateway.refusals import InvalidRequest
from avow.gateway.sse import DONE
from avow.gateway.usage import MessagesUsage, Usage, chat_fields
from avow.gateway.wire import Request

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode
FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_SAME = ("temperature", "top_p", "stream")
_REFUSED = ("logprobs", "logit_bias", "functions", "prediction", "verbosity")


def to_theirs(request: Request, their_name: str, tokens_max: int) -> dict[str, Any]:
    """The fields of a chat request as those of a messages request. Raises `InvalidRequest`."""
    fields = request.fields
    for name in _REFUSED:
        if fields.get(name):
            raise InvalidRequest("This model does not know this parameter.", param=name)
    if request.choices > 1:
        raise InvalidRequest("This model gives one answer at a time.", param="n")
    if (fields.get("response_format") or {"type": "text"}) != {"type": "text"}:
        raise InvalidRequest("This model answers in plain text only.", param="response_format")
    system, turns = _turns(fields["messages"])
    made = {"model": their_name, "max_tokens": tokens_max, "messages": turns}
    made |= {name: fields[name] for name in _SAME if fields.get(name) is not None}
    if system:
        made["system"] = "\n\n".join(system)
    if fields.get("stop"):
        made["stop_sequences"] = [fields["stop"]] if isinstance(fields["stop"], str) else fields["stop"]
    return made | _tools(fields)


def _tools(fields: dict[str, Any]) -> dict[str, Any]:
    try:
        tools = [tool["function"] for tool in fields.get("tools") or ()]
        made: dict[str, Any] = {}
        if tools:
            empty = {"type": "object", "properties": {}}
            made["tools"] = [
                {
                    "name": tool["name"],
                    "description": tool.get("description") or "",
                    "input_schema": tool.get("parameters") or empty,
                }
                for tool in tools
            ]
            made["tool_choice"] = _choice(fields)
        return made
    except (KeyError, TypeError, AttributeError):
        raise InvalidRequest("A tool is a function with a name.", param="tools") from None


def _choice(fields: dict[str, Any]) -> dict[str, Any]:
    asked = fields.get("tool_choice") or "auto"
    if isinstance(asked, dict):
        choice = {"type": "tool", "name": asked["function"]["name"]}
    else:
        choice = {"type": {"required": "any", "none": "none"}.get(asked, "auto")}
    if fields.get("parallel_tool_calls") is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    return choice


def _turns(said: list[dict[str, Any]]) -> tuple[list[str], list[dict[str, Any]]]:
    """The system's texts, and turns of blocks; neighbours of one role are one turn, as it must be there."""
    system: list[str] = []
    turns: list[dict[str, Any]] = []
    for message in said:
        role = message["role"]
        if role in ("system", "developer"):
            system += _texts(message.get("content"))
            continue
        blocks = list(_blocks(message))
        role = "assistant" if role == "assistant" else "user"
        if blocks and turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return system, turns


def _blocks(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    said = message.get("content")
    if message["role"] == "tool":
        yield {
            "type": "tool_result",
            "tool_use_id": str(message.get("tool_call_id")),
            "content": "\n".join(_texts(said)),
        }
        return
    for part in [said] if isinstance(said, str) else said or ():
        if isinstance(part, dict) and part.get("type") == wire.PICTURE:
            yield pictures.as_block(part)
        else:
            yield from ({"type": "text", "text": text} for text in _texts([part] if isinstance(part, dict) else part))
    for call in message.get("tool_calls") or ():
        try:
            called = call["function"]
            given = messages.arguments(called.get("arguments") or "")
            if not isinstance(given, dict):
                raise TypeError
            yield {"type": "tool_use", "id": str(call["id"]), "name": called["name"], "input": given}
        except (KeyError, TypeError, AttributeError):
            raise InvalidRequest("The arguments of a call are a JSON object.", param="messages") from None


def _texts(content: Any) -> list[str]:
    """The texts of a message that are not empty: an empty block is refused there."""
    parts = [content] if isinstance(content, str) else [part.get("text") for part in content or ()]
    return [part for part in parts if isinstance(part, str) and part]


def whole(body: bytes) -> bytes:
    """A message as a chat completion, both JSON."""
    said = _decode(body)
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for block in said["content"]:
        if block.get("type") == "text":
            message["content"] = (message["content"] or "") + block["text"]
        elif block.get("type") == "thinking":
            message["reasoning_content"] = message.get("reasoning_content", "") + block["thinking"]
        elif block.get("type") == "tool_use":
            message.setdefault("tool_calls", []).append(
                {
                    "id": block["id"],
                    "type": "function",
                    "function": {"name": block["name"], "arguments": _encode(block.get("input") or {}).decode()},
                }
            )
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": FINISH.get(str(said.get("stop_reason"))),
    }
    answer = {**_frame(said, "chat.completion"), "choices": [choice]}
    if said.get("usage"):
        answer["usage"] = chat_fields(msgspec.convert(said["usage"], MessagesUsage).buckets())
    return _encode(answer)


def _frame(said: dict[str, Any], kind: str) -> dict[str, Any]:
    return {"id": str(said.get("id")), "object": kind, "created": int(time.time()), "model": str(said.get("model"))}


class Stream:
    """The events of a message as the chunks of a chat completion."""

    def __init__(self, request: Request) -> None:
        self._wants_usage = request.wants_usage
        self._frame: dict[str, Any] = _frame({}, "chat.completion.chunk")
        self._calls = -1

    def feed(self, data: bytes) -> bytes:
        """What one event of theirs is for the client; nothing for most that only open and close."""
        event = _decode(data)
        kind = event["type"]
        if kind == "message_start":
            self._frame = _frame(event["message"], "chat.completion.chunk")
            return self._chunk({"role": "assistant", "content": ""})
        if kind == "content_block_start" and event["content_block"].get("type") == "tool_use":
            self._calls += 1
            block = event["content_block"]
            function = {"name": block["name"], "arguments": ""}
            return self._call({"id": block["id"], "type": "function", "function": function})
        if kind == "content_block_delta":
            return self._fill(event["delta"])
        if kind == "message_delta":
            return self._chunk({}, FINISH.get(str(event["delta"].get("stop_reason"))))
        return b""

    def _fill(self, delta: dict[str, Any]) -> bytes:
        if delta.get("text"):
            return self._chunk({"content": delta["text"]})
        if delta.get("thinking"):
            return self._chunk({"reasoning_content": delta["thinking"]})
        if delta.get("partial_json"):
            return self._call({"function": {"arguments": delta["partial_json"]}})
        return b""

    def _call(self, part: dict[str, Any]) -> bytes:
        return self._chunk({"tool_calls": [{"index": self._calls, **part}]})

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return b"data: " + _encode({**self._frame, "choices": [choice]}) + b"\n\n"

    def close(self, usage: Usage | None) -> tuple[bytes, bytes]:
        """What comes before the cost and what ends the answer."""
        if not self._wants_usage or usage is None:
            return b"", DONE
        told = {**self._frame, "choices": [], "usage": chat_fields(usage.buckets())}
        return b"data: " + _encode(told) + b"\n\n", DONE
