"""An upstream that answers with one JSON where a stream was asked for is paid once, and its client gets a stream."""

from __future__ import annotations

import json

import pytest

from avow.gateway.client import Client
from avow.gateway.fleet import Fleet
from avow.gateway.scripted import Script
from tests.gateway.test_surfaces import OPENAI_TOOLS, TOOLS

from .house import CLAUDE, HELLO, MODEL, open_house

PRICE = 11 * 1000 + 3 * 3000
CALL = Script(whole=True, tool=("weather", '{"city":"Graz"}'))


@pytest.fixture
async def house(database, tmp_path):
    """With as many tries as usual, of which none may be used."""
    async with open_house(database, tmp_path) as made:
        made.gateway.fleet = Fleet(Client())
        made.upstream.script = Script(whole=True, thinking="hm")
        yield made


async def paid_once(house, ann) -> None:
    await house.settled(ann)
    assert [row.amount for row in await house.usages(ann)] == [PRICE]
    assert len(house.upstream.requests) == 1


@pytest.mark.parametrize("model", [MODEL, CLAUDE])
async def test_a_chat(house, model):
    ann = await house.customer()
    options = {"stream": True, "stream_options": {"include_usage": True}}
    asked = await house.client(ann).chat.completions.create(model=model, messages=HELLO, **options)
    chunks = [chunk async for chunk in asked]
    said = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(each.delta.content or "" for each in said) == "Hello there."
    assert (said[-1].finish_reason, chunks[-1].usage.completion_tokens) == ("stop", 3)
    await paid_once(house, ann)


@pytest.mark.parametrize("model", [MODEL, CLAUDE])
async def test_a_message(house, model):
    ann = await house.customer()
    async with house.anthropic(ann).messages.stream(model=model, max_tokens=50, messages=HELLO) as running:
        answer = await running.get_final_message()
    assert (answer.content[-1].text, answer.stop_reason) == ("Hello there.", "end_turn")
    assert answer.usage.output_tokens == 3
    await paid_once(house, ann)


@pytest.mark.parametrize("model", [MODEL, CLAUDE])
async def test_a_response(house, model):
    ann = await house.customer()
    async with house.client(ann).responses.stream(model=model, input="Say hello.") as running:
        answer = await running.get_final_response()
    assert (answer.output_text, answer.status) == ("Hello there.", "completed")
    await paid_once(house, ann)


async def test_a_text(house):
    ann = await house.customer()
    asked = await house.client(ann).completions.create(model=MODEL, prompt="Say hello.", stream=True)
    assert "".join([chunk.choices[0].text async for chunk in asked if chunk.choices]) == "Hello there."
    await paid_once(house, ann)


@pytest.mark.parametrize("model", [MODEL, CLAUDE])
async def test_calls_of_tools(house, model):
    ann = await house.customer()
    house.upstream.script = CALL
    chats = house.client(ann).chat.completions
    calls = [
        call
        async for chunk in await chats.create(model=model, messages=HELLO, tools=OPENAI_TOOLS, stream=True)
        for call in (chunk.choices[0].delta.tool_calls or ())
    ]
    assert calls[0].function.name == "weather"
    assert json.loads("".join(call.function.arguments for call in calls)) == {"city": "Graz"}
    async with house.anthropic(ann).messages.stream(model=model, max_tokens=50, messages=HELLO, tools=TOOLS) as running:
        (block,) = (await running.get_final_message()).content
    assert (block.name, block.input) == ("weather", {"city": "Graz"})


async def test_events_that_are_called_json_are_events_all_the_same(house):
    ann = await house.customer()
    events = (
        b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    )
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(events)
    house.upstream.script = Script(raw=head + events)
    answer = await house.post(ann, {"model": MODEL, "messages": HELLO, "stream": True})
    assert '"Hi"' in answer.text and answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("said", [b"{}", b"[]", b'{"choices": 7}', b"{not json", b'{"error": {"message": "no"}}'])
async def test_a_json_that_is_no_answer_costs_nothing(house, said):
    ann = await house.customer()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(said)
    house.upstream.script = Script(raw=head + said)
    answer = await house.post(ann, {"model": MODEL, "messages": HELLO, "stream": True})
    assert answer.status_code == 502
    await house.settled(ann)
    assert [row.amount for row in await house.usages(ann)] == [0]


@pytest.mark.parametrize(
    ("path", "model", "changed"),
    [
        ("/v1/chat/completions", CLAUDE, {"messages": HELLO, "tool_choice": "required"}),
        ("/v1/chat/completions", MODEL, {"messages": HELLO, "tool_choice": "required"}),
        ("/v1/chat/completions", MODEL, {"messages": HELLO, "tools": [], "tool_choice": {"type": "function"}}),
        (
            "/v1/chat/completions",
            CLAUDE,
            {"messages": HELLO, "tool_choice": {"type": "function", "function": {"name": "x"}}},
        ),
        ("/v1/messages", MODEL, {"messages": HELLO, "max_tokens": 9, "tool_choice": {"type": "any"}}),
        ("/v1/messages", MODEL, {"messages": HELLO, "max_tokens": 9, "tool_choice": {"type": "tool", "name": "x"}}),
        ("/v1/responses", CLAUDE, {"input": "x", "tool_choice": "required"}),
    ],
)
async def test_a_choice_among_no_tools_is_refused(house, path, model, changed):
    ann = await house.customer()
    answer = await house.post(ann, {"model": model, **changed}, path=path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "tools_missing")
    assert house.upstream.requests == []
    assert (await house.wallet(ann))[1] == 0


@pytest.mark.parametrize("said", [None, "auto", "none"])
async def test_a_choice_that_demands_no_tool_goes_on_without_any(house, said):
    ann = await house.customer()
    answer = await house.post(ann, {"model": MODEL, "messages": HELLO, "tool_choice": said})
    assert answer.status_code == 200
