"""An answer that came whole where a stream was asked for, as the events of a stream: some servers ignore `stream` and answer with
JSON. It is paid for, so it is given to the client in the form that was asked for, and the upstream is not asked again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from avow.gateway.messages import STOP
from avow.gateway.sse import DONE

PIECE_CHARS = 64 * 1024
"""Of a text in one event, which has a limit."""
_FRAME = ("id", "created", "model", "system_fingerprint", "service_tier")
_BEGINS = (b"data:", b"event:", b":")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def _events(body: bytes, told: Iterable[bytes]) -> bytes:
    """Those of a body, which may be events already, whatever its type says."""
    return body if body.lstrip().startswith(_BEGINS) else b"".join(told)


def chat(body: bytes) -> bytes:
    """A chat completion in chunks. Raises what reading raises, for what is none."""
    return _events(body, _chunks(body, "chat.completion.chunk", _said))


def completion(body: bytes) -> bytes:
    """A text completion in chunks."""
    return _events(body, _chunks(body, "text_completion", _text))


def message(body: bytes) -> bytes:
    """A message in Anthropic's events."""
    return _events(body, _of_message(body))


def response(body: bytes) -> bytes:
    """A response in OpenAI's events."""
    return _events(body, _of_response(body))


def _chunks(body: bytes, kind: str, parts: Any) -> Iterator[bytes]:
    answer = _decode(body)
    frame = {name: answer[name] for name in _FRAME if answer.get(name) is not None} | {"object": kind}
    for number, choice in enumerate(answer["choices"]):
        for part in (*parts(choice), {**_nothing(kind), "finish_reason": choice.get("finish_reason") or "stop"}):
            whole = {"index": choice.get("index", number), "logprobs": None, "finish_reason": None, **part}
            yield _data({**frame, "choices": [whole]})
    if answer.get("usage"):
        yield _data({**frame, "choices": [], "usage": answer["usage"]})
    yield DONE


def _nothing(kind: str) -> dict[str, Any]:
    return {"text": ""} if kind == "text_completion" else {"delta": {}}


def _said(choice: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a choice of a chat says, its longest text in pieces."""
    said = dict(choice["message"])
    text = said.pop("content", None)
    if said.get("tool_calls"):
        said["tool_calls"] = [{"index": number, **call} for number, call in enumerate(said["tool_calls"])]
    yield {"delta": {"role": "assistant", **said}, "logprobs": choice.get("logprobs")}
    for piece in _pieces(text):
        yield {"delta": {"content": piece}}


def _text(choice: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for number, piece in enumerate(_pieces(choice["text"])):
        yield {"text": piece, "logprobs": None if number else choice.get("logprobs")}


def _of_message(body: bytes) -> Iterator[bytes]:
    answer = _decode(body)
    if answer["type"] != "message":
        raise KeyError("not a message")
    usage = answer.get("usage") or {}
    begun = {
        **answer,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": 0},
    }
    yield _named("message_start", message=begun)
    for index, block in enumerate(answer["content"]):
        empty, deltas = _block(block)
        yield _named("content_block_start", index=index, content_block=empty)
        for delta in deltas:
            yield _named("content_block_delta", index=index, delta=delta)
        yield _named("content_block_stop", index=index)
    ended = {"stop_reason": answer.get("stop_reason") or "end_turn", "stop_sequence": answer.get("stop_sequence")}
    yield _named("message_delta", delta=ended, **({"usage": usage} if usage else {}))
    yield STOP


def _block(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A block as it opens, and what fills it; one that nothing fills opens whole."""
    if block["type"] == "text":
        return {**block, "text": ""}, [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
    if block["type"] == "tool_use":
        pieces = _pieces(_encode(block["input"]).decode())
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    if block["type"] == "thinking":
        deltas: list[dict[str, Any]] = [
            {"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])
        ]
        signed = [{"type": "signature_delta", "signature": block["signature"]}] if block.get("signature") else []
        return {**block, "thinking": "", "signature": ""}, deltas + signed
    return block, []


def _of_response(body: bytes) -> Iterator[bytes]:
    answer = _decode(body)
    if answer["object"] != "response":
        raise KeyError("not a response")
    status = answer.get("status")
    ends = status if status in ("incomplete", "failed") else "completed"
    begun = {**answer, "status": "in_progress", "output": [], "usage": None}
    told: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
    for index, item in enumerate(answer["output"]):
        told += _item(index, item)
    told.append({"type": f"response.{ends}", "response": answer})
    for number, event in enumerate(told):
        yield _named(event.pop("type"), sequence_number=number, **event)


def _item(index: int, item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    where = {"output_index": index, "item_id": item.get("id")}
    empty: dict[str, Any] = {**item, "status": "in_progress"}
    if item["type"] == "message":
        empty["content"] = []
    elif item["type"] == "function_call":
        empty["arguments"] = ""
    yield {"type": "response.output_item.added", "output_index": index, "item": empty}
    for number, part in enumerate(item["content"] if item["type"] == "message" else ()):
        at, name = {**where, "content_index": number}, "text" if part["type"] == "output_text" else part["type"]
        kind = f"response.{part['type']}"
        yield {"type": "response.content_part.added", **at, "part": {**part, name: ""}}
        for piece in _pieces(part[name]):
            yield {"type": f"{kind}.delta", **at, "delta": piece, **({"logprobs": []} if name == "text" else {})}
        yield {"type": f"{kind}.done", **at, name: part[name], **({"logprobs": []} if name == "text" else {})}
        yield {"type": "response.content_part.done", **at, "part": part}
    if item["type"] == "function_call":
        for piece in _pieces(item["arguments"]):
            yield {"type": "response.function_call_arguments.delta", **where, "delta": piece}
        yield {"type": "response.function_call_arguments.done", **where, "arguments": item["arguments"]}
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _pieces(text: Any) -> Iterator[str]:
    for at in range(0, len(text or ""), PIECE_CHARS):
        yield text[at : at + PIECE_CHARS]


def _data(value: Any) -> bytes:
    return b"data: %b\n\n" % _encode(value)


def _named(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **fields}))
