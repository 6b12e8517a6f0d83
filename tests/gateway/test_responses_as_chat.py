"""Responses from upstreams that speak chat, or Anthropic's messages: golden vectors there and back, and the official client."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import openai
import pytest
from sqlalchemy import insert

from avow.base.ids import uuid7
from avow.gateway import responses_as_chat, tables
from avow.gateway.refusals import InvalidRequest
from avow.gateway.scripted import Script
from avow.gateway.usage import ChatUsage
from avow.gateway.wire import Request

from .house import CLAUDE, CREDENTIAL

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "name": "weather", "description": "d", "parameters": SCHEMA, "strict": True}
CALL = {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Graz"}'}
CALLED = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Graz"}'}}

THERE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (
        "a text with instructions",
        {"input": "Hi.", "instructions": "Briefly.", "max_output_tokens": 9, "truncation": "disabled", "top_k": 4}
        | {"max_tool_calls": None},
        {
            "messages": [{"role": "system", "content": "Briefly."}, {"role": "user", "content": "Hi."}],
            "top_k": 4,
        },
    ),
    (
        "turns, a call, its result, and thinking that stays behind",
        {
            "input": [
                {"role": "developer", "content": "Be kind."},
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]},
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {
                    **{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"},
                    "content": [{"type": "output_text", "text": "I look.", "annotations": []}],
                },
                CALL,
                {**CALL, "call_id": "call_2"},
                {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
                {
                    "type": "function_call_output",
                    "call_id": "call_2",
                    "output": [{"type": "input_text", "text": "sun"}],
                },
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            ]
        },
        {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "a\nb"},
                {"role": "assistant", "content": "I look.", "tool_calls": [CALLED, {**CALLED, "id": "call_2"}]},
                {"role": "tool", "tool_call_id": "call_1", "content": "rain"},
                {"role": "tool", "tool_call_id": "call_2", "content": "sun"},
                {"role": "assistant", "content": "No."},
            ]
        },
    ),
    (
        "tools, a choice, effort, and a schema for the answer",
        {
            **{"input": "x", "tools": [TOOL], "tool_choice": {"type": "function", "name": "weather"}},
            **{"parallel_tool_calls": False, "reasoning": {"effort": "low", "summary": "auto"}},
            "text": {
                "format": {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True},
                "verbosity": "low",
            },
        },
        {
            "messages": [{"role": "user", "content": "x"}],
            "tools": [{"type": "function", "function": {name: TOOL[name] for name in TOOL if name != "type"}}],
            "tool_choice": {"type": "function", "function": {"name": "weather"}},
            "parallel_tool_calls": False,
            "reasoning_effort": "low",
            "verbosity": "low",
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
        },
    ),
    (
        "JSON of any kind, and the choice that there be a call",
        {"input": "x", "tools": [TOOL], "tool_choice": "required", "text": {"format": {"type": "json_object"}}},
        {
            "messages": [{"role": "user", "content": "x"}],
            "tools": [{"type": "function", "function": {name: TOOL[name] for name in TOOL if name != "type"}}],
            "tool_choice": "required",
            "response_format": {"type": "json_object"},
        },
    ),
]
REFUSED = [
    ({"input": "x", "include": ["message.output_text.logprobs"]}, "include"),
    ({"input": "x", "top_logprobs": 2}, "include"),
    ({"input": "x", "include": 5}, "input"),
    ({"input": "x", "truncation": "auto"}, "truncation"),
    ({"input": "x", "max_tool_calls": 1}, "max_tool_calls"),
    ({"input": "x", "max_tool_calls": 0}, "max_tool_calls"),
    *(
        ({"input": [{"role": role, "content": "x"}]}, "input")
        for role in ("tool", "critic", "User", "", None, ["user"])
    ),
    ({"input": "x", "tools": [{"type": "custom", "name": "c"}]}, "tools"),
    ({"input": [{"type": "custom_tool_call", "call_id": "1", "name": "c", "input": "i"}]}, "input"),
    ({"input": "x", "tools": [TOOL], "tool_choice": {"type": "allowed_tools"}}, "tool_choice"),
    ({"input": [{"type": "function_call", "name": "f"}]}, "input"),
    ({"input": [{"role": "user"}]}, "input"),
    ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input"),
]


def asked(fields: dict[str, Any]) -> Request:
    return Request("m", False, True, None, 1, fields)


@pytest.mark.parametrize(("given", "wanted"), [each[1:] for each in THERE], ids=[each[0] for each in THERE])
def test_a_request_becomes_the_chat_that_it_means(given, wanted):
    assert responses_as_chat.to_theirs(asked(given)).fields == wanted


class Watched(list[dict[str, Any]]):
    """Items of which each sees in which list the calls before it were gathered."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.gathered: list[object] = []
        for item in super().__iter__():
            yield item
            self.gathered.append(sys._getframe(1).f_locals["calling"]["tool_calls"])


def test_calls_that_follow_one_another_are_gathered_and_not_copied_each_time():
    """Of n calls that would be n lists, n²/2 long, on the loop that serves everybody."""
    given = Watched(
        {"type": "function_call", "call_id": str(number), "name": "f", "arguments": "{}"} for number in range(9)
    )
    (turn,) = responses_as_chat.to_theirs(asked({"input": given})).fields["messages"]
    assert len(turn["tool_calls"]) == 9 and {id(each) for each in given.gathered} == {id(turn["tool_calls"])}


@pytest.mark.parametrize(("given", "param"), REFUSED)
def test_what_a_chat_cannot_say_is_refused_by_name(given, param):
    with pytest.raises(InvalidRequest) as refused:
        responses_as_chat.to_theirs(asked(given))
    assert refused.value.param == param


def test_an_answer_becomes_the_response_that_it_is():
    message = {"role": "assistant", "content": "So.", "reasoning_content": "hm", "tool_calls": [CALLED]}
    usage = {
        **{"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14},
        **{"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}},
    }
    chat = {"id": "c", "model": "m", "choices": [{"message": message, "finish_reason": "length"}], "usage": usage}
    said = json.loads(responses_as_chat.whole(json.dumps(chat).encode()))
    assert said["output"] == [
        {
            **{"id": "rs_0", "type": "reasoning", "summary": [], "status": "completed"},
            "content": [{"type": "reasoning_text", "text": "hm"}],
        },
        {
            **{"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"},
            "content": [{"type": "output_text", "text": "So.", "annotations": []}],
        },
        {**CALL, "id": "fc_2", "status": "incomplete"},
    ]
    assert (said["status"], said["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert said["usage"] == {
        **{"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}},
        **{"output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 14},
    }


def test_a_stream_becomes_the_events_that_the_response_has():
    """Opened, filled and closed one after the other, and the last holds the whole."""
    call = {"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": '{"city"'}}
    deltas = [
        {"reasoning_content": "hm"},
        {"content": "So"},
        {"content": "."},
        {"tool_calls": [call]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ':"Graz"}'}}]},
    ]
    stream, told = responses_as_chat.Stream(asked({})), b""
    for delta in deltas:
        told += stream.feed(json.dumps({"id": "c", "model": "m", "choices": [{"delta": delta}]}).encode())
    told += stream.feed(json.dumps({"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}).encode())
    told += b"".join(stream.close(ChatUsage(9, 5)))
    events = [json.loads(line[6:]) for line in told.decode().split("\n") if line.startswith("data: ")]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    kinds = [event["type"].removeprefix("response.") for event in events]
    text = ["content_part.added", "output_text.delta", "output_text.delta", "output_text.done", "content_part.done"]
    arguments = [f"function_call_arguments.{each}" for each in ("delta", "delta", "done")]
    assert kinds == [
        *("created", "in_progress"),
        *("output_item.added", "reasoning_text.delta", "reasoning_text.done", "output_item.done"),
        *("output_item.added", *text, "output_item.done"),
        *("output_item.added", *arguments, "output_item.done", "completed"),
    ]
    whole = events[-1]["response"]
    assert whole["output"] == [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert whole["output"][2] == {**CALL, "id": "fc_2", "status": "completed"}
    assert whole["usage"]["total_tokens"] == 14


def test_an_answer_that_does_not_end_is_given_up():
    stream = responses_as_chat.Stream(asked({}))
    whole = "x" * responses_as_chat.ANSWER_BYTES_MAX
    stream.feed(msgspec.json.encode({"choices": [{"delta": {"content": whole}}]}))
    with pytest.raises(TypeError):
        stream.feed(msgspec.json.encode({"choices": [{"delta": {"content": "x"}}]}))


COMPATIBLE = "compatible/model"


@pytest.mark.parametrize("model", [COMPATIBLE, CLAUDE])
async def test_the_official_client_gets_a_response_from_who_speaks_no_responses(house, model):
    await compatible(house)
    ann = await house.customer()
    client = house.client(ann)
    house.upstream.then(
        Script(cached_tokens=4), Script(), Script(tool=("weather", '{"city":"Graz"}')), Script(status=400)
    )
    answer = await client.responses.create(model=model, input="Hi.", instructions="Briefly.", max_output_tokens=50)
    assert (answer.output_text, answer.status) == ("Hello there.", "completed")
    assert (answer.usage.input_tokens_details.cached_tokens, answer.usage.output_tokens) == (4, 3)
    async with client.responses.stream(model=model, input=[{"role": "user", "content": "Hi."}]) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed" and final.output_text == "Hello there."
    async with client.responses.stream(model=model, input="Rain?", tools=[TOOL]) as stream:
        called = (await stream.get_final_response()).output[0]
    assert (called.type, called.name, json.loads(called.arguments)) == ("function_call", "weather", {"city": "Graz"})
    with pytest.raises(openai.BadRequestError):
        await client.responses.create(model=model, input="Hi.")
    rows = [await house.settled(ann, 4), *await house.usages(ann)]
    assert rows[1].amount == 7 * 1000 + 4 * 500 + 3 * 3000 and rows[0].amount == 0
    path = "/v1/messages" if model == CLAUDE else "/v1/chat/completions"
    assert house.upstream.paths == [path] * 4 and "store" not in house.upstream.requests[0]


async def compatible(house) -> None:
    """A model at an upstream of the kind that only speaks chat."""
    at = uuid7()
    sealed = house.vault.seal_credential("upstream", at, CREDENTIAL)
    row = {"name": "chats", "kind": "compatible", "base_url": f"{house.upstream.url}/v1", "credential": sealed}
    await house.execute(insert(tables.upstream).values(id=at, **row))
    prices = {"input_nano": 1_000_000_000, "cached_nano": 500_000_000, "output_nano": 3_000_000_000}
    await house.offer(COMPATIBLE, at="chats", **prices)
