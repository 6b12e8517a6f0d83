"""What is charged where an upstream does not say what was used: by the bytes delivered, marked so, never above the hold."""

from __future__ import annotations

import json

import pytest

from avow.gateway import dialects
from avow.gateway.messages import MessagesStream
from avow.gateway.responses import ResponsesStream
from avow.gateway.scripted import Script
from avow.gateway.scripted_answers import event
from avow.gateway.sse import ChatStream

from .house import HELLO, MODEL
from .test_pains import BODIES, STREAMS

LONG = "ä" * 200  # 400 bytes, 100 tokens


@pytest.mark.parametrize(("path", "model"), STREAMS)
async def test_an_answer_that_breaks_off_is_charged_by_its_bytes_however_few_its_events(house, path, model):
    ann = await house.customer()
    house.upstream.script = Script(tokens=(LONG,) * 9, die_after=5)
    limit = "max_output_tokens" if path == "/v1/responses" else "max_tokens"
    body = {"stream": True, **BODIES[path], "model": model, limit: 1000}
    answer = await house.post(ann, body, path=path)
    row = await house.settled(ann)
    assert "upstream_lost" in answer.text and row.estimated
    delivered = answer.text.count(LONG) + answer.text.count(json.dumps(LONG)[1:-1])
    assert delivered >= 1 and row.output_tokens == 100 * delivered
    assert row.amount <= row.held


@pytest.mark.parametrize(("path", "model"), STREAMS)
async def test_an_estimate_is_never_more_than_the_hold(house, path, model):
    ann = await house.customer()
    house.upstream.script = Script(tokens=(LONG,) * 9, die_after=6)
    limit = "max_output_tokens" if path == "/v1/responses" else "max_tokens"
    await house.post(ann, {"stream": True, **BODIES[path], "model": model, limit: 7}, path=path)
    row = await house.settled(ann)
    assert row.output_tokens == 7 and 0 < row.amount <= row.held and row.estimated


async def test_what_an_upstream_counted_is_no_estimate(house):
    ann = await house.customer()
    await house.post(ann, {"model": MODEL, "messages": HELLO})
    assert not (await house.settled(ann)).estimated
    house.upstream.then(Script(tokens=(), tool=("f", json.dumps({"a": "x" * 400})), usage=False))
    await house.post(ann, {"model": MODEL, "messages": HELLO})
    row = await house.settled(ann, 2)
    assert row.estimated and row.output_tokens >= 100


def chat(**delta) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta}]})


ARGUMENTS = '{"a":"' + "x" * 392 + '"}'  # 400 bytes


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        (ChatStream, chat(content="x" * 400)),
        (ChatStream, chat(reasoning="x" * 400)),
        (ChatStream, chat(reasoning_content="x" * 400, reasoning="x" * 400)),
        (ChatStream, chat(refusal="x" * 400)),
        (ChatStream, chat(tool_calls=[{"index": 0, "id": "call_1", "function": {"arguments": ARGUMENTS}}])),
        (ChatStream, chat(tool_calls=[{"index": 0, "type": "custom", "custom": {"input": "x" * 400}}])),
        (ChatStream, chat(function_call={"arguments": ARGUMENTS})),
        (MessagesStream, event({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "x" * 400}})),
        (MessagesStream, event({"type": "content_block_delta", "delta": {"thinking": "x" * 400}})),
        (MessagesStream, event({"type": "content_block_delta", "delta": {"partial_json": ARGUMENTS}})),
        (MessagesStream, event({"type": "content_block_start", "content_block": {"type": "text", "text": "x" * 400}})),
        (ResponsesStream, event({"type": "response.output_text.delta", "item_id": "i" * 99, "delta": "x" * 400})),
        (ResponsesStream, event({"type": "response.function_call_arguments.delta", "delta": ARGUMENTS})),
    ],
)
def test_texts_thoughts_and_calls_count_by_their_bytes(reader, said):
    stream = reader()
    stream.feed(said)
    assert stream.tokens == 100
    for _ in range(500):
        stream.feed(said.replace(b"x" * 392, b"").replace(b"x" * 8, b"x"))
    assert stream.tokens >= 501  # an event is a token at least


@pytest.mark.parametrize(
    ("dialect", "said"),
    [
        (dialects.CHAT, {"choices": [{"message": {"content": "x" * 400}}]}),
        (dialects.CHAT, {"choices": [{"message": {"reasoning_content": "x" * 400, "reasoning": "x" * 400}}]}),
        (
            dialects.CHAT,
            {"choices": [{"message": {"tool_calls": [{"id": "c", "function": {"arguments": ARGUMENTS}}]}}]},
        ),
        (dialects.TEXT, {"choices": [{"text": "x" * 400}]}),
        (dialects.MESSAGES, {"type": "message", "content": [{"type": "text", "text": "x" * 400}]}),
        (
            dialects.MESSAGES,
            {"type": "message", "content": [{"type": "thinking", "thinking": "x" * 400, "signature": "s"}]},
        ),
        (
            dialects.RESPONSES,
            {"object": "response", "output": [{"type": "message", "id": "m", "content": [{"text": "x" * 400}]}]},
        ),
    ],
)
def test_a_whole_answer_counts_by_its_bytes(dialect, said):
    assert dialect.read(json.dumps(said).encode()).tokens == 100
