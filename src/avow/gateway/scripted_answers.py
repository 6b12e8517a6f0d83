"""What a scripted upstream says: for each path a whole answer, and the events of a stream, as the real providers write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avow.gateway.scripted import Script

Asked = dict[str, Any]
CREATED = 1_700_000_000


@dataclass(frozen=True, slots=True)
class Path:
    """`needs` are the fields that a request must have, with their types; `whole` and `events` make the answer. `form`: it takes a
    form and no JSON."""

    needs: dict[str, type | tuple[type, ...]]
    whole: Callable[[Script, Asked], Any]
    events: Callable[[Script, Asked], list[bytes]] | None = None
    form: bool = False
    flows: Callable[[Asked], str] | None = None
    """The media type of an answer that always comes piece by piece."""


def event(data: Asked, name: str = "") -> bytes:
    """A server-sent event."""
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(data).encode() + b"\n\n"


def _limited(script: Script, asked: Asked) -> tuple[tuple[str, ...], bool]:
    """The tokens to say, and whether the limit cut them."""
    names = ("max_completion_tokens", "max_tokens", "max_output_tokens")
    limit = next((asked[name] for name in names if asked.get(name)), len(script.tokens))
    return script.tokens[:limit], limit < len(script.tokens)


# OpenAI's chat


def chat(script: Script, asked: Asked) -> Asked:
    tokens, cut = _limited(script, asked)
    message: Asked = {"role": "assistant", "content": "".join(tokens)}
    if script.thinking:
        message["reasoning_content"] = script.thinking
    if script.tool:
        message |= {"content": None, "tool_calls": [_call(script)]}
    finish = "tool_calls" if script.tool else "length" if cut else "stop"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    usage = {"usage": chat_usage(script, tokens)} if script.usage else {}
    return {**_frame(asked, "chat.completion"), "choices": [choice], **usage}


def chat_events(script: Script, asked: Asked) -> list[bytes]:
    """Role, tokens, end, usage if asked, `[DONE]`."""
    tokens, cut = _limited(script, asked)
    frame = _frame(asked, "chat.completion.chunk")
    deltas: list[Asked] = [{"content": token} for token in tokens]
    if script.tool:
        call = _call(script)
        name, arguments = script.tool
        begin = {"index": 0, **call, "function": {"name": name, "arguments": ""}}
        pieces = [{"index": 0, "function": {"arguments": part}} for part in (arguments[:4], arguments[4:])]
        deltas = [{"tool_calls": [each]} for each in (begin, *pieces)]
    if script.thinking:
        deltas.insert(0, {"reasoning_content": script.thinking})
    deltas[0:1] = [{"role": "assistant", **deltas[0]}]
    made = [event({**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}) for delta in deltas]
    finish = "tool_calls" if script.tool else "length" if cut else "stop"
    made.append(event({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}))
    if script.progress and asked.get("return_progress"):
        shown = {"total": script.prompt_tokens, "cache": 0, "processed": script.prompt_tokens, "time_ms": 1}
        role = {"index": 0, "delta": {"role": "assistant", "content": None}, "finish_reason": None}
        made.insert(0, event({**frame, "choices": [role], "prompt_progress": shown}))
    if script.usage and (asked.get("stream_options") or {}).get("include_usage"):
        made.append(event({**frame, "choices": [], "usage": chat_usage(script, tokens)}))
    return [*made, b"data: [DONE]\n\n"] if script.done else made


def chat_usage(script: Script, tokens: tuple[str, ...]) -> Asked:
    return script.usage_fields or {
        "prompt_tokens": script.prompt_tokens,
        "completion_tokens": len(tokens),
        "total_tokens": script.prompt_tokens + len(tokens),
        "prompt_tokens_details": {"cached_tokens": script.cached_tokens},
    }


def _call(script: Script) -> Asked:
    assert script.tool is not None
    name, arguments = script.tool
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def _frame(asked: Asked, kind: str) -> Asked:
    return {"id": "chatcmpl-scripted", "object": kind, "created": CREATED, "model": asked["model"]}


# OpenAI's completions


def text(script: Script, asked: Asked) -> Asked:
    tokens, cut = _limited(script, asked)
    choice = {"index": 0, "text": "".join(tokens), "logprobs": None, "finish_reason": "length" if cut else "stop"}
    usage = {"usage": chat_usage(script, tokens)} if script.usage else {}
    return {**_frame(asked, "text_completion"), "choices": [choice], **usage}


def text_events(script: Script, asked: Asked) -> list[bytes]:
    tokens, cut = _limited(script, asked)
    frame = _frame(asked, "text_completion")
    said = [(token, None) for token in tokens] + [("", "length" if cut else "stop")]
    made = [
        event({**frame, "choices": [{"index": 0, "text": word, "logprobs": None, "finish_reason": finish}]})
        for word, finish in said
    ]
    if script.usage and (asked.get("stream_options") or {}).get("include_usage"):
        made.append(event({**frame, "choices": [], "usage": chat_usage(script, tokens)}))
    return [*made, b"data: [DONE]\n\n"] if script.done else made


# OpenAI's responses


def response(script: Script, asked: Asked) -> Asked:
    tokens, cut = _limited(script, asked)
    part = {"type": "output_text", "text": "".join(tokens), "annotations": []}
    item: Asked = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    if script.tool:
        name, arguments = script.tool
        item = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": name, "arguments": arguments}
    usage = script.usage_fields or {
        "input_tokens": script.prompt_tokens,
        "input_tokens_details": {"cached_tokens": script.cached_tokens},
        "output_tokens": len(tokens),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": script.prompt_tokens + len(tokens),
    }
    return {
        **_response_frame(asked, "incomplete" if cut else "completed"),
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "output": [item],
        "usage": usage if script.usage else None,
    }


def response_events(script: Script, asked: Asked) -> list[bytes]:
    whole = response(script, asked)
    tokens, _ = _limited(script, asked)
    frame = {**_response_frame(asked, "in_progress"), "output": [], "usage": None}
    (item,) = whole["output"]
    part = {"type": "output_text", "text": "", "annotations": []}
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    told: list[Asked] = [
        {"type": "response.created", "response": frame},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **place, "part": part},
        *({"type": "response.output_text.delta", **place, "delta": token, "logprobs": []} for token in tokens),
        {"type": "response.output_text.done", **place, "text": "".join(tokens), "logprobs": []},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
    ]
    if script.done:
        told.append({"type": f"response.{whole['status']}", "response": whole})
    return [event({**data, "sequence_number": n}, data["type"]) for n, data in enumerate(told)]


def _response_frame(asked: Asked, status: str) -> Asked:
    return {
        "id": "resp_scripted",
        "object": "response",
        "created_at": CREATED,
        "model": asked["model"],
        "status": status,
        "error": None,
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "metadata": {},
        "temperature": 1.0,
        "top_p": 1.0,
    }


# OpenAI's embeddings and moderations, Jina's rerank


def embeddings(script: Script, asked: Asked) -> Asked:
    given = asked["input"]
    count = len(given) if isinstance(given, list) and not isinstance(given[0], int) else 1
    vector: Any = [0.5, -0.25, 1.0]
    if asked.get("encoding_format") == "base64":
        vector = "AAAAPwAAgL4AAIA/"
    data = [{"object": "embedding", "index": n, "embedding": vector} for n in range(count)]
    usage = script.usage_fields or {"prompt_tokens": script.prompt_tokens, "total_tokens": script.prompt_tokens}
    return {"object": "list", "model": asked["model"], "data": data, **({"usage": usage} if script.usage else {})}


_HARMS = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent", "self-harm"),
    *("self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence", "violence/graphic"),
)


def moderations(script: Script, asked: Asked) -> Asked:
    count = len(asked["input"]) if isinstance(asked["input"], list) else 1
    verdict = {
        "flagged": script.flagged,
        "categories": dict.fromkeys(_HARMS, script.flagged),
        "category_scores": dict.fromkeys(_HARMS, 0.01),
        "category_applied_input_types": {harm: ["text"] for harm in _HARMS},
    }
    return {"id": "modr-scripted", "model": asked["model"], "results": [verdict] * count}


def rerank(script: Script, asked: Asked) -> Asked:
    scores = [{"index": n, "relevance_score": 1 / (n + 1)} for n in range(len(asked["documents"]))]
    return {"model": asked["model"], "results": scores, "usage": {"total_tokens": script.prompt_tokens}}


# Anthropic's messages


def message(script: Script, asked: Asked) -> Asked:
    tokens, cut = _limited(script, asked)
    content: list[Asked] = [{"type": "text", "text": "".join(tokens)}]
    if script.tool:
        content = [{"type": "tool_use", "id": "toolu_1", "name": script.tool[0], "input": json.loads(script.tool[1])}]
    if script.thinking:
        content.insert(0, {"type": "thinking", "thinking": script.thinking, "signature": "c2lnbmVk"})
    stopped = "tool_use" if script.tool else "max_tokens" if cut else "end_turn"
    return {
        **_message_frame(asked),
        "content": content,
        "stop_reason": stopped,
        "usage": _message_usage(script, tokens),
    }


def message_events(script: Script, asked: Asked) -> list[bytes]:
    tokens, _ = _limited(script, asked)
    whole = message(script, asked)
    begin = {**_message_frame(asked), "content": [], "stop_reason": None, "usage": _message_usage(script, ())}
    told: list[Asked] = [{"type": "message_start", "message": begin}]
    for index, block in enumerate(whole["content"]):
        empty = {"text": "", "thinking": "", "signature": "", "input": {}}
        opened = {name: empty.get(name, value) for name, value in block.items()}
        told.append({"type": "content_block_start", "index": index, "content_block": opened})
        told += [
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in _deltas(block, script, tokens)
        ]
        told.append({"type": "content_block_stop", "index": index})
    if script.done:
        delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        told.append({"type": "message_delta", "delta": delta, "usage": {"output_tokens": len(tokens)}})
        told.append({"type": "message_stop"})
    return [event(data, data["type"]) for data in told]


def _deltas(block: Asked, script: Script, tokens: tuple[str, ...]) -> Iterable[Asked]:
    if block["type"] == "thinking":
        yield {"type": "thinking_delta", "thinking": block["thinking"]}
        yield {"type": "signature_delta", "signature": block["signature"]}
    elif block["type"] == "tool_use":
        assert script.tool is not None
        arguments = script.tool[1]
        yield from ({"type": "input_json_delta", "partial_json": part} for part in ("", arguments[:4], arguments[4:]))
    else:
        yield from ({"type": "text_delta", "text": token} for token in tokens)


def _message_frame(asked: Asked) -> Asked:
    frame = {"id": "msg_scripted", "type": "message", "role": "assistant", "model": asked["model"]}
    return {**frame, "stop_sequence": None}


def _message_usage(script: Script, tokens: tuple[str, ...]) -> Asked:
    return script.usage_fields or {
        "input_tokens": script.prompt_tokens - script.cached_tokens,
        "cache_read_input_tokens": script.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": len(tokens),
    }


def count(script: Script, _: Asked) -> Asked:
    return {"input_tokens": script.prompt_tokens}


# OpenAI's images, transcriptions and speech


def images(script: Script, asked: Asked) -> Asked:
    made = {"revised_prompt": "".join(script.tokens), "b64_json": "iVBORw0KGgo="}
    tokens = {"input_tokens": 8, "input_tokens_details": {"text_tokens": 8, "image_tokens": 0}, "output_tokens": 272}
    usage = {"usage": script.usage_fields or {**tokens, "total_tokens": 280}} if script.usage else {}
    return {"created": CREATED, "data": [made] * int(asked.get("n", 1)), **usage, **(script.images_fields or {})}


def heard(script: Script, asked: Asked) -> Asked | bytes:
    text, kind = "".join(script.tokens), asked.get("response_format", "json")
    if kind == "srt":
        return f"1\n00:00:00,000 --> 00:00:0{script.seconds:.3f}\n{text}\n\n".replace(".", ",", 1).encode()
    if kind == "vtt":
        return f"WEBVTT\n\n00:00.000 --> 00:0{script.seconds:.3f}\n{text}\n\n".encode()
    if kind == "verbose_json":
        return {"task": "transcribe", "language": "english", "duration": script.seconds, "text": text, "segments": []}
    if kind != "json":
        return text.encode()
    usage = script.usage_fields or {"type": "duration", "seconds": script.seconds}
    return {"text": text, **({"usage": usage} if script.usage else {})}


def heard_events(script: Script, asked: Asked) -> list[bytes]:
    told: list[Asked] = [{"type": "transcript.text.delta", "delta": token} for token in script.tokens]
    usage = script.usage_fields or {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"text_tokens": 4, "audio_tokens": 10},
        "output_tokens": len(script.tokens),
        "total_tokens": 14 + len(script.tokens),
    }
    done = {"type": "transcript.text.done", "text": "".join(script.tokens)}
    told.append({**done, **({"usage": usage} if script.usage else {})})
    return [event(each) for each in told]


def spoken_events(script: Script, asked: Asked) -> list[bytes]:
    if asked.get("stream_format") != "sse":
        return [token.encode() for token in script.tokens]
    told: list[Asked] = [{"type": "speech.audio.delta", "audio": "AAAA"} for _ in script.tokens]
    usage = {"input_tokens": script.prompt_tokens, "output_tokens": 40, "total_tokens": 40 + script.prompt_tokens}
    return [event(each) for each in [*told, {"type": "speech.audio.done", "usage": usage}]]


def spoken(script: Script, asked: Asked) -> bytes:
    return b"".join(spoken_events(script, asked))


_TEXT = (str, list)
_SOUND: dict[str, type | tuple[type, ...]] = {"model": str, "file": str}
PATHS = {
    "/v1/chat/completions": Path({"model": str, "messages": list}, chat, chat_events),
    "/v1/completions": Path({"model": str, "prompt": _TEXT}, text, text_events),
    "/v1/responses": Path({"model": str, "input": _TEXT}, response, response_events),
    "/v1/embeddings": Path({"model": str, "input": _TEXT}, embeddings),
    "/v1/moderations": Path({"model": str, "input": _TEXT}, moderations),
    "/v1/rerank": Path({"model": str, "query": str, "documents": list}, rerank),
    "/v1/images/generations": Path({"model": str, "prompt": str}, images),
    "/v1/images/edits": Path({"model": str, "prompt": str, "image": str}, images, form=True),
    "/v1/images/variations": Path({"model": str, "image": str}, images, form=True),
    "/v1/audio/transcriptions": Path(_SOUND, heard, heard_events, form=True),
    "/v1/audio/translations": Path(_SOUND, heard, form=True),
    "/v1/audio/speech": Path(
        {"model": str, "input": str, "voice": (str, dict)},
        spoken,
        spoken_events,
        flows=lambda asked: "text/event-stream" if asked.get("stream_format") == "sse" else "audio/mpeg",
    ),
    "/v1/messages": Path({"model": str, "messages": list, "max_tokens": int}, message, message_events),
    "/v1/messages/count_tokens": Path({"model": str, "messages": list}, count),
}
