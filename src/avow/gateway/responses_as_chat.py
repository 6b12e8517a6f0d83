"""OpenAI's responses from an upstream that speaks its chat: the request there, and its answer back.

What would mean something else there is refused, never dropped; what only asks how an answer is told (`include`,
`stream_options`, a summary of the reasoning) is dropped, and thinking of earlier turns stays behind. Unknown fields pass.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from avow.gateway import as_messages, pictures
from avow.gateway.refusals import InvalidRequest, ToolsMissing
from avow.gateway.sse import Splitter, data_of
from avow.gateway.usage import Buckets, ChatUsage, Usage
from avow.gateway.wire import NO_CHOICE, Request

ANSWER_BYTES_MAX = 32 * 1024 * 1024
_TOLD = frozenset(
    (
        *("input", "instructions", "tools", "tool_choice", "text", "reasoning", "max_output_tokens"),
        *("include", "truncation", "stream_options", "max_tool_calls", "top_logprobs"),
    )
)
_INCLUDED = "message.output_text.logprobs"
_ROLES = {"user": "user", "system": "system", "developer": "system"}
"""Who speaks in a message that is not the assistant's: nobody else, so that no other role gains the system's authority."""
_TEXTS = frozenset(("input_text", "output_text", "text"))

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def to_theirs(request: Request) -> Request:
    """A responses request as a chat request. Raises `InvalidRequest`."""
    fields = request.fields
    try:
        _check(fields)
        turns = list(_turns(fields))
        made = {name: value for name, value in fields.items() if name not in _TOLD}
        made |= {"messages": turns, **_tools(fields), **_format(fields.get("text") or {})}
        if (fields.get("reasoning") or {}).get("effort"):
            made["reasoning_effort"] = fields["reasoning"]["effort"]
    except (KeyError, TypeError, AttributeError):
        raise InvalidRequest("An item, its content or a tool lacks what it must have.", param="input") from None
    return request.saying(made)


def _check(fields: dict[str, Any]) -> None:
    if fields.get("top_logprobs") or _INCLUDED in (fields.get("include") or ()):
        raise InvalidRequest("This model does not tell log probabilities here.", param="include")
    if fields.get("truncation") not in (None, "disabled"):
        raise InvalidRequest("This model leaves nothing out of what it is given; send less.", param="truncation")
    if fields.get("max_tool_calls") is not None:
        raise InvalidRequest("This model cannot be held to a number of calls.", param="max_tool_calls")


def _turns(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The messages; calls that follow one another, and what was said before them, are one."""
    if fields.get("instructions"):
        yield {"role": "system", "content": fields["instructions"]}
    given = fields.get("input") or []
    calling: dict[str, Any] | None = None
    for item in [{"role": "user", "content": given}] if isinstance(given, str) else given:
        kind = item.get("type", "message")
        if kind == "function_call":
            calling = calling or {"role": "assistant", "content": None}
            function = {"name": item["name"], "arguments": item["arguments"]}
            call = {"id": item["call_id"], "type": "function", "function": function}
            calling.setdefault("tool_calls", []).append(call)
            continue
        if calling is not None and kind != "reasoning":
            yield calling
            calling = None
        if kind == "message" and item["role"] == "assistant":
            calling = {"role": "assistant", "content": _text(item["content"])}
        elif kind != "reasoning":
            yield _turn(kind, item)
    if calling is not None:
        yield calling


def _turn(kind: str, item: dict[str, Any]) -> dict[str, Any]:
    if kind == "function_call_output":
        return {"role": "tool", "tool_call_id": item["call_id"], "content": _text(item["output"])}
    if kind != "message":
        raise InvalidRequest("This model knows functions only.", param="input")
    role = _ROLES.get(item["role"])
    if role is None:
        raise InvalidRequest("A message is of `user`, `assistant`, `system` or `developer`.", param="input")
    return {"role": role, "content": _shown(item["content"]) or _text(item["content"])}


def _shown(content: Any) -> list[dict[str, Any]]:
    """The parts of what shows pictures, and nothing for what does not."""
    parts = content if isinstance(content, list) else []
    if not any(part["type"] == "input_image" for part in parts):
        return []
    return [
        pictures.as_url(part) if part["type"] == "input_image" else {"type": "text", "text": _text([part])}
        for part in parts
    ]


def _text(content: Any) -> str:
    """The texts of an item, as one."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] if part["type"] in _TEXTS else part["refusal"] for part in content)


def _tools(fields: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if fields.get("tools"):
        if any(tool["type"] != "function" for tool in fields["tools"]):
            raise InvalidRequest("This model knows functions only.", param="tools")
        names = ("name", "description", "parameters", "strict")
        functions = [{name: tool[name] for name in names if tool.get(name) is not None} for tool in fields["tools"]]
        made["tools"] = [{"type": "function", "function": function} for function in functions]
    choice = fields.get("tool_choice")
    if not made and choice not in NO_CHOICE:
        raise ToolsMissing
    if isinstance(choice, dict):
        if choice["type"] != "function":
            raise InvalidRequest("This model knows functions only.", param="tool_choice")
        made["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}}
    elif choice is not None and made:
        made["tool_choice"] = choice
    return made


def _format(text: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"verbosity": text["verbosity"]} if text.get("verbosity") else {}
    wanted = text.get("format") or {"type": "text"}
    if wanted["type"] == "json_schema":
        schema = {name: value for name, value in wanted.items() if name != "type"}
        made["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif wanted["type"] != "text":
        made["response_format"] = {"type": wanted["type"]}
    return made


def whole(body: bytes) -> bytes:
    """A chat completion as a response, both JSON."""
    said = _decode(body)
    choice = said["choices"][0]
    answer, message = _Answer(said), choice["message"]
    for kind, text in _parts(message):
        answer.say(kind, text)
    for call in message.get("tool_calls") or ():
        answer.call(None, call)
    answer.stop(choice.get("finish_reason"))
    usage = msgspec.convert(said["usage"], ChatUsage) if said.get("usage") else None
    return _encode(answer.body(usage))


def _parts(message: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What a message or a delta says, and as what."""
    for kind, text in (
        ("reasoning_text", message.get("reasoning_content") or message.get("reasoning")),
        ("output_text", message.get("content")),
        ("refusal", message.get("refusal")),
    ):
        if text:
            yield kind, text


class _Item:
    """An item of the output: what its text is (a kind of part, or a call's arguments), and the item without it."""

    def __init__(self, kind: str, frame: dict[str, Any]) -> None:
        self.kind, self.frame = kind, frame
        self.texts: list[str] = []

    @property
    def part(self) -> dict[str, Any]:
        text = "".join(self.texts)
        if self.kind == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": self.kind, "text": text, **({"annotations": []} if self.kind == "output_text" else {})}

    def body(self, status: str) -> dict[str, Any]:
        if self.kind == "arguments":
            return {**self.frame, "arguments": "".join(self.texts), "status": status}
        return {**self.frame, "content": [self.part] if self.texts else [], "status": status}


class _Answer:
    """A response while it comes. `say` and `call` return the item they went to, and whether it is new."""

    def __init__(self, said: dict[str, Any]) -> None:
        self._frame = {
            **{"id": f"resp_{said.get('id')}", "object": "response", "created_at": int(time.time())},
            **{"model": str(said.get("model")), "error": None, "instructions": None, "metadata": {}},
            **{"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "temperature": None, "top_p": None},
        }
        self.items: list[_Item] = []
        self._calls: dict[Any, _Item] = {}
        self._size = 0
        self._stopped: str | None = None

    def say(self, kind: str, text: str) -> tuple[_Item, bool]:
        last = self.items[-1] if self.items else None
        if last is not None and last.kind == kind:
            self._add(last, text)
            return last, False
        frame: dict[str, Any] = {"type": "message", "role": "assistant"}
        if kind == "reasoning_text":
            frame = {"type": "reasoning", "summary": []}
        return self._new(kind, frame, "rs" if kind == "reasoning_text" else "msg", text), True

    def call(self, index: Any, call: dict[str, Any]) -> tuple[_Item, bool]:
        called = call.get("function") or {}
        given = called.get("arguments") or ""
        known = None if index is None else self._calls.get(index)
        if known is not None:
            self._add(known, given)
            return known, False
        frame = {"type": "function_call", "call_id": str(call["id"]), "name": str(called["name"])}
        made = self._calls[index] = self._new("arguments", frame, "fc", given)
        return made, True

    def stop(self, reason: Any) -> None:
        self._stopped = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(reason)

    def body(self, usage: Usage | None) -> dict[str, Any]:
        status = "incomplete" if self._stopped else "completed"
        return {
            **self._frame,
            "status": status,
            "incomplete_details": {"reason": self._stopped} if self._stopped else None,
            "output": [item.body(status if item is self.items[-1] else "completed") for item in self.items],
            "usage": None if usage is None else _usage(usage.buckets()),
        }

    def begun(self) -> dict[str, Any]:
        return {**self._frame, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}

    def _new(self, kind: str, frame: dict[str, Any], prefix: str, text: str) -> _Item:
        made = _Item(kind, {"id": f"{prefix}_{len(self.items)}", **frame})
        self.items.append(made)
        self._add(made, text)
        return made

    def _add(self, item: _Item, text: str) -> None:
        self._size += len(text)
        if self._size > ANSWER_BYTES_MAX:
            raise TypeError("an answer without end")
        if text:
            item.texts.append(text)


def _usage(parts: Buckets) -> dict[str, Any]:
    return {
        "input_tokens": parts.read,
        "input_tokens_details": {"cached_tokens": parts.cached},
        "output_tokens": parts.written,
        "output_tokens_details": {"reasoning_tokens": parts.reasoning},
        "total_tokens": parts.read + parts.written,
    }


class Stream:
    """The chunks of a chat completion as the events of a response: items are opened, filled and closed in turn."""

    def __init__(self, _: Request) -> None:
        self._answer: _Answer | None = None
        self._open: _Item | None = None
        self._number = 0

    def feed(self, data: bytes) -> bytes:
        """What one chunk of theirs is for the client."""
        return b"".join(self._feed(_decode(data)))

    def _feed(self, chunk: dict[str, Any]) -> Iterator[bytes]:
        if self._answer is None:
            self._answer = _Answer(chunk)
            for kind in ("response.created", "response.in_progress"):
                yield self._event(kind, response=self._answer.begun())
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            for kind, text in _parts(delta):
                yield from self._fill(*self._answer.say(kind, text), text)
            for call in delta.get("tool_calls") or ():
                given = (call.get("function") or {}).get("arguments") or ""
                yield from self._fill(*self._answer.call(call.get("index", 0), call), given)
            if choice.get("finish_reason") is not None:
                self._answer.stop(choice["finish_reason"])

    def _fill(self, item: _Item, is_new: bool, text: str) -> Iterator[bytes]:
        if is_new:
            yield from self._close()
            self._open = item
            empty = _Item(item.kind, item.frame).body("in_progress")
            yield self._event("response.output_item.added", **self._at(item), item=empty)
            if item.kind != "arguments" and item.kind != "reasoning_text":
                part = _Item(item.kind, {}).part
                yield self._event("response.content_part.added", **self._place(item), part=part)
        if text:
            yield self._event(f"response.{_NAMES[item.kind]}.delta", **self._place(item), delta=text)

    def _close(self) -> Iterator[bytes]:
        item, self._open = self._open, None
        if item is None:
            return
        text = "".join(item.texts)
        named = {"arguments": "arguments", "refusal": "refusal"}.get(item.kind, "text")
        yield self._event(f"response.{_NAMES[item.kind]}.done", **self._place(item), **{named: text})
        if item.kind not in ("arguments", "reasoning_text"):
            yield self._event("response.content_part.done", **self._place(item), part=item.part)
        yield self._event("response.output_item.done", **self._at(item), item=item.body("completed"))

    def _at(self, item: _Item) -> dict[str, Any]:
        assert self._answer is not None
        return {"output_index": self._answer.items.index(item)}

    def _place(self, item: _Item) -> dict[str, Any]:
        place = {"item_id": item.frame["id"], **self._at(item)}
        if item.kind == "output_text":
            return {**place, "content_index": 0, "logprobs": []}
        return place if item.kind == "arguments" else {**place, "content_index": 0}

    def _event(self, kind: str, **fields: Any) -> bytes:
        told = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode(told))

    def close(self, usage: Usage | None) -> tuple[bytes, bytes]:
        """What comes before the cost and what ends the answer."""
        self._answer = self._answer or _Answer({})
        last = b"".join(self._close())
        body = self._answer.body(usage)
        return last, self._event(f"response.{body['status']}", response=body)


_NAMES = {
    "output_text": "output_text",
    "refusal": "refusal",
    "reasoning_text": "reasoning_text",
    "arguments": "function_call_arguments",
}


def whole_of_message(body: bytes) -> bytes:
    """A message of Anthropic's as a response, both JSON."""
    return whole(as_messages.whole(body))


class StreamOfMessage(Stream):
    """The events of a message of Anthropic's as those of a response."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._chat = as_messages.Stream(request)

    def feed(self, data: bytes) -> bytes:
        """What one event of theirs is for the client."""
        chunks = map(data_of, Splitter().feed(self._chat.feed(data)))
        return b"".join(super(StreamOfMessage, self).feed(chunk) for chunk in chunks if chunk)
