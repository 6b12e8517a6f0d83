"""Every surface by its official client, over a real server, the real ledger and a scripted upstream."""

from __future__ import annotations

import json

import httpx
import pytest

from avow.gateway.scripted import Script
from tests import LIMIT_S

from .house import CLAUDE, CREDENTIAL, HELLO, MODEL, OUTSIDE

TOOL = {"type": "object", "properties": {"city": {"type": "string"}}}
OPENAI_TOOLS = [{"type": "function", "function": {"name": "weather", "description": "d", "parameters": TOOL}}]
TOOLS = [{"name": "weather", "description": "d", "input_schema": TOOL}]
CALLS = Script(tool=("weather", '{"city":"Graz"}'))


async def paid(house, who, input_tokens, output_tokens, cached=0, count=1):
    """The last usage, charged to the nano-dollar."""
    row = await house.settled(who, count)
    assert (row.input_tokens, row.cached_tokens, row.output_tokens) == (input_tokens, cached, output_tokens)
    assert row.amount == (input_tokens - cached) * 1000 + cached * 500 + output_tokens * 3000
    return row


async def test_completions(house):
    ann = await house.customer()
    answer = await house.client(ann).completions.create(model=MODEL, prompt="Say hello.", max_tokens=2)
    assert (answer.object, answer.choices[0].text, answer.choices[0].finish_reason) == (
        "text_completion",
        "Hello there",
        "length",
    )
    await paid(house, ann, 11, 2)
    said = [c async for c in await house.client(ann).completions.create(model=MODEL, prompt="x", stream=True)]
    assert "".join(c.choices[0].text for c in said) == "Hello there." and all(c.usage is None for c in said)
    await paid(house, ann, 11, 3, count=2)
    assert house.upstream.paths == ["/v1/completions"] * 2
    assert house.upstream.requests[1]["max_tokens"] == 1000


async def test_a_completion_holds_money_for_each_answer_of_each_prompt(house):
    ann = await house.customer()
    await house.client(ann).completions.create(model=MODEL, prompt=["a", "b"], n=2, best_of=3, max_tokens=5)
    assert (await house.settled(ann)).held >= 2 * 3 * 5 * 3000
    for tokens, prompts in (([1, 2, 3], 1), ([[1, 2], [3]], 2)):
        before = len(await house.usages(ann))
        await house.client(ann).completions.create(model=MODEL, prompt=tokens, max_tokens=100)
        row = await house.settled(ann, before + 1)
        assert prompts * 300_000 <= row.held < (prompts + 1) * 300_000


async def test_responses(house):
    ann = await house.customer()
    house.upstream.then(Script(cached_tokens=4))
    answer = await house.client(ann).responses.create(model=MODEL, input="Say hello.", instructions="Briefly.")
    assert answer.output_text == "Hello there." and answer.status == "completed"
    await paid(house, ann, 11, 3, cached=4)
    (sent,) = house.upstream.requests
    assert sent["store"] is False and sent["max_output_tokens"] == 1000 and sent["model"] == "their-plain"
    async with house.client(ann).responses.stream(model=MODEL, input=HELLO) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_response()
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    assert final.output_text == "Hello there."
    await paid(house, ann, 11, 3, count=2)
    raw = await house.post(ann, {"model": MODEL, "input": "x", "stream": True}, path="/v1/responses")
    cost, last = raw.text.split("\n\n")[-3:-1]
    assert cost == ": avow-cost 0.000020000" and last.startswith("event: response.completed\n")


async def test_responses_remember_nothing(house):
    ann = await house.customer()
    for name, value in (
        ("previous_response_id", "r"),
        ("conversation", "c"),
        ("background", True),
        ("prompt", {"id": "p"}),
    ):
        answer = await house.post(ann, {"model": MODEL, "input": "x", name: value}, path="/v1/responses")
        assert answer.status_code == 400 and answer.json()["error"]["param"] == name
    for tool in ("web_search", "file_search", "code_interpreter", "mcp", "image_generation"):
        answer = await house.post(ann, {"model": MODEL, "input": "x", "tools": [{"type": tool}]}, path="/v1/responses")
        assert answer.status_code == 400 and answer.json()["error"]["param"] == "tools"
    assert house.upstream.requests == []


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/chat/completions"])
async def test_storing_is_refused_with_its_clause_where_nothing_is_kept(house, path):
    body = {"model": MODEL, "input": "x", "messages": HELLO, "store": True}
    body.pop("messages" if path == "/v1/responses" else "input")
    ann, bob = await house.customer(), await house.customer(tenant_keep_h=24)
    answer = await house.post(ann, body, path=path)
    assert answer.status_code == 403 and "category.api_content" in answer.json()["error"]["message"]
    assert house.upstream.requests == []
    kept = await house.post(bob, body, path=path)
    assert kept.status_code == 200 and kept.headers["avow-stored"] == "trace"
    assert house.upstream.requests[0]["store"] is False


@pytest.mark.parametrize("given", ["one", ["one", "two"], [1, 2, 3], [[1], [2]]])
async def test_embeddings(house, given):
    ann = await house.customer()
    answer = await house.client(ann).embeddings.create(model=MODEL, input=given)
    assert answer.data[0].embedding == [0.5, -0.25, 1.0]
    await paid(house, ann, 11, 0)
    assert "max_tokens" not in house.upstream.requests[0]


async def test_what_an_upstream_does_not_count_is_estimated_from_texts_and_tokens(house):
    ann = await house.customer()
    house.upstream.script = Script(usage=False)
    for given, tokens in ((["four", "byte"], 2), ([5, 6, 7], 3), ([[5], [6, 7]], 3)):
        before = len(await house.usages(ann))
        await house.client(ann).embeddings.create(model=MODEL, input=given)
        await paid(house, ann, tokens, 0, count=before + 1)


async def test_moderations(house):
    ann = await house.customer()
    answer = await house.client(ann).moderations.create(model=MODEL, input=["one", "two"])
    assert len(answer.results) == 2 and not answer.results[0].flagged
    row = await house.settled(ann)
    assert row.amount <= row.held and row.output_tokens == 0


async def test_rerank_holds_money_for_the_query_with_each_document(house):
    ann = await house.customer()
    body = {"model": MODEL, "query": "q" * 100, "documents": ["a", "b", "c"], "top_n": 2}
    answer = await house.post(ann, body, path="/v1/rerank")
    assert [each["index"] for each in answer.json()["results"]] == [0, 1, 2]
    row = await paid(house, ann, 11, 0)
    assert row.held >= (300 + len(json.dumps(body))) * 1000


@pytest.mark.parametrize("more", [{"image": "x"}, {"title": "x", "text": "b"}, {"text": ["b"]}, {}])
async def test_a_document_with_more_than_its_text_is_refused_by_its_number(house, more):
    """What nobody counts would be read by the upstream and paid for by nobody."""
    ann = await house.customer()
    body = {"model": MODEL, "query": "q", "documents": ["a", {"text": "b"}, more]}
    answer = await house.post(ann, body, path="/v1/rerank")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "documents[2]"
    assert house.upstream.requests == [] and await house.usages(ann) == []


# Anthropic's messages, by an upstream of theirs and by one that speaks OpenAI


@pytest.mark.parametrize("model", [CLAUDE, MODEL])
async def test_messages(house, model):
    ann = await house.customer()
    house.upstream.then(Script(cached_tokens=4))
    answer = await house.anthropic(ann).messages.create(
        model=model, max_tokens=50, messages=HELLO, system="Briefly.", stop_sequences=["END"]
    )
    assert answer.content[0].text == "Hello there." and answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens, answer.usage.output_tokens) == (7, 4, 3)
    await paid(house, ann, 11, 3, cached=4)
    (sent,) = house.upstream.requests
    if model == CLAUDE:
        assert house.upstream.paths == ["/v1/messages"] and sent["system"] == "Briefly."
        assert house.upstream.heads[0]["x-api-key"] == CREDENTIAL and "authorization" not in house.upstream.heads[0]
    else:
        assert house.upstream.paths == ["/v1/chat/completions"] and sent["stop"] == ["END"] and sent["max_tokens"] == 50
        assert sent["messages"] == [{"role": "system", "content": "Briefly."}, *HELLO]


@pytest.mark.parametrize("model", [CLAUDE, MODEL])
async def test_messages_as_a_stream(house, model):
    ann = await house.customer()
    async with house.anthropic(ann).messages.stream(model=model, max_tokens=50, messages=HELLO) as stream:
        said = [text async for text in stream.text_stream]
        final = await stream.get_final_message()
    assert said == ["Hello", " there", "."] and final.content[0].text == "Hello there."
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 3)
    await paid(house, ann, 11, 3)
    body = {"model": model, "max_tokens": 5, "messages": HELLO, "stream": True}
    raw = await house.post(ann, body, path="/v1/messages")
    cost, last = raw.text.split("\n\n")[-3:-1]
    assert cost == ": avow-cost 0.000020000" and last.startswith("event: message_stop\n")


@pytest.mark.parametrize("model", [CLAUDE, MODEL])
@pytest.mark.parametrize("stream", [False, True])
async def test_messages_call_tools_and_take_their_results(house, model, stream):
    ann = await house.customer()
    house.upstream.then(CALLS)
    ask = {"model": model, "max_tokens": 50, "tools": TOOLS, "tool_choice": {"type": "any"}}
    client = house.anthropic(ann)
    if stream:
        async with client.messages.stream(messages=HELLO, **ask) as running:
            answer = await running.get_final_message()
    else:
        answer = await client.messages.create(messages=HELLO, **ask)
    (block,) = answer.content
    assert (answer.stop_reason, block.type, block.name, block.input) == (
        "tool_use",
        "tool_use",
        "weather",
        {"city": "Graz"},
    )
    result = {"type": "tool_result", "tool_use_id": block.id, "content": [{"type": "text", "text": "sunny"}]}
    turns = [*HELLO, {"role": "assistant", "content": [block.model_dump()]}, {"role": "user", "content": [result]}]
    assert (await client.messages.create(messages=turns, **ask)).content[0].text == "Hello there."
    first, second = house.upstream.requests
    if model == MODEL:
        assert first["tools"][0]["function"]["parameters"] == TOOL and first["tool_choice"] == "required"
        called, told = second["messages"][-2:]
        assert json.loads(called["tool_calls"][0]["function"]["arguments"]) == {"city": "Graz"}
        assert told == {"role": "tool", "tool_call_id": block.id, "content": "sunny"}


async def test_tokens_of_a_message_are_counted_for_nothing(house):
    ann = await house.customer()
    counted = await house.anthropic(ann).messages.count_tokens(model=CLAUDE, messages=HELLO)
    assert counted.input_tokens == 11
    row = await house.settled(ann)
    assert (row.amount, row.held, row.input_tokens) == (0, 0, 0)
    asked = {"model": CLAUDE, "messages": HELLO, "stream": True, "max_tokens": 5, "temperature": 1}
    answer = await house.post(ann, asked, path="/v1/messages/count_tokens")
    assert answer.json() == {"input_tokens": 11} and set(house.upstream.requests[1]) == {"model", "messages"}
    answer = await house.post(ann, {"model": MODEL, "messages": HELLO}, path="/v1/messages/count_tokens")
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "not_offered"


async def test_what_a_messages_client_may_not_send(house):
    ann = await house.customer()
    image = {"type": "image", "source": {"type": "url", "url": "https://example.org"}}
    cached = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    for param, changed in (
        ("messages[0].content", {"messages": [{"role": "user", "content": [image]}]}),
        ("messages[0].content", {"messages": [{"role": "user", "content": [cached]}]}),
        ("tools", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        ("max_tokens", {"max_tokens": None}),
        ("mcp_servers", {"mcp_servers": [{"type": "url", "url": "https://example.org", "name": "x"}]}),
    ):
        body = {"model": CLAUDE, "max_tokens": 5, "messages": HELLO, **changed}
        answer = await house.post(ann, body, path="/v1/messages")
        assert answer.status_code == 400 and answer.json()["type"] == "error", param
        assert answer.json()["error"]["type"] == "invalid_request_error"
    assert house.upstream.requests == []


# a chat from an upstream that speaks Anthropic's messages


async def test_a_chat_at_an_upstream_of_messages(house):
    ann = await house.customer()
    said = [
        {"role": "system", "content": "Briefly."},
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
    ]
    answer = await house.client(ann).chat.completions.create(model=CLAUDE, messages=said, stop="END", temperature=0.5)
    assert answer.choices[0].message.content == "Hello there." and answer.choices[0].finish_reason == "stop"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (11, 3)
    await paid(house, ann, 11, 3)
    (sent,) = house.upstream.requests
    texts = [{"type": "text", "text": text} for text in "ab"]
    assert sent["system"] == "Briefly." and sent["messages"] == [{"role": "user", "content": texts}]
    assert (sent["max_tokens"], sent["stop_sequences"], sent["temperature"]) == (1000, ["END"], 0.5)
    assert "store" not in sent and "stream_options" not in sent


@pytest.mark.parametrize("wants", [False, True])
async def test_a_chat_stream_at_an_upstream_of_messages(house, wants):
    ann = await house.customer()
    house.upstream.then(Script(thinking="hm", cached_tokens=4))
    options = {"stream_options": {"include_usage": True}} if wants else {}
    chunks = [
        c
        async for c in await house.client(ann).chat.completions.create(
            model=CLAUDE, messages=HELLO, stream=True, **options
        )
    ]
    said = [c for c in chunks if c.choices]
    assert "".join(c.choices[0].delta.content or "" for c in said) == "Hello there."
    assert "".join(getattr(c.choices[0].delta, "reasoning_content", "") or "" for c in said) == "hm"
    assert said[-1].choices[0].finish_reason == "stop"
    assert [c.usage.prompt_tokens for c in chunks if c.usage] == ([11] if wants else [])
    await paid(house, ann, 11, 3, cached=4)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_calls_tools_at_an_upstream_of_messages(house, stream):
    ann = await house.customer()
    house.upstream.then(CALLS)
    client = house.client(ann).chat.completions
    if stream:
        calls = [
            call
            async for c in await client.create(model=CLAUDE, messages=HELLO, tools=OPENAI_TOOLS, stream=True)
            for call in (c.choices[0].delta.tool_calls or ())
        ]
        called = (calls[0].id, calls[0].function.name, "".join(call.function.arguments for call in calls))
    else:
        answer = await client.create(model=CLAUDE, messages=HELLO, tools=OPENAI_TOOLS, tool_choice="required")
        (call,) = answer.choices[0].message.tool_calls
        assert answer.choices[0].finish_reason == "tool_calls"
        called = (call.id, call.function.name, call.function.arguments)
    assert called == ("toolu_1", "weather", '{"city":"Graz"}')
    made = {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Graz"}'}}
    turns = [
        {"role": "assistant", "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "sunny"},
    ]
    await client.create(model=CLAUDE, messages=[*HELLO, *turns], tools=OPENAI_TOOLS)
    first, second = house.upstream.requests
    assert first["tools"][0]["input_schema"] == TOOL
    assert second["messages"][1]["content"] == [
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Graz"}}
    ]
    assert second["messages"][2]["content"][0]["content"] == "sunny"


@pytest.mark.parametrize(
    ("param", "changed"),
    [
        ("n", {"n": 2}),
        ("response_format", {"response_format": {"type": "json_object"}}),
        ("logprobs", {"logprobs": True}),
        ("tools", {"tools": [{"type": "function"}]}),
        (
            "messages",
            {
                "messages": [
                    {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "["}}]}
                ]
            },
        ),
    ],
)
async def test_what_would_mean_something_else_there_is_refused_and_costs_nothing(house, param, changed):
    ann = await house.customer()
    answer = await house.post(ann, {"model": CLAUDE, "messages": HELLO, **changed})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == param
    assert house.upstream.requests == [] and (await house.settled(ann)).amount == 0


# whom the client names, what is kept, who is refused


async def test_the_users_of_a_client_are_opaque_ids_to_others_and_nothing_here(house):
    ann = await house.customer(tenant_keep_h=24)
    for who, model in (("anna@example.com", OUTSIDE), ("anna@example.com", CLAUDE), ("bob", OUTSIDE), ("bob", MODEL)):
        await house.post(ann, {"model": model, "messages": HELLO, "user": who, "metadata": {"a": who}})
    await house.post(ann, {"model": OUTSIDE, "input": "x", "safety_identifier": "bob"}, path="/v1/responses")
    metadata = {"metadata": {"user_id": "bob"}}
    await house.post(ann, {"model": CLAUDE, "max_tokens": 5, "messages": HELLO, **metadata}, path="/v1/messages")
    sent = house.upstream.requests
    names = [each.get("safety_identifier") or each.get("metadata", {}).get("user_id") for each in sent]
    anna, anna_too, bob, none, bob_too, bob_again = names
    assert anna == anna_too and bob == bob_too == bob_again and none is None and anna != bob
    assert all(name is None or len(name) == 32 for name in names)
    assert not [word for word in ("anna", "bob") if word in json.dumps(sent)]
    assert all(b"anna" not in row.box for row in await house.traces())


@pytest.mark.parametrize(
    ("path", "model", "body", "said"),
    [
        ("/v1/completions", MODEL, {"prompt": "secret"}, ["choices", 0, "text"]),
        ("/v1/responses", MODEL, {"input": "secret"}, ["output", 0, "content", 0, "text"]),
        ("/v1/messages", CLAUDE, {"messages": HELLO, "max_tokens": 9}, ["content", 0, "text"]),
        ("/v1/messages", MODEL, {"messages": HELLO, "max_tokens": 9}, ["content", 0, "text"]),
        ("/v1/chat/completions", CLAUDE, {"messages": HELLO}, ["choices", 0, "message", "content"]),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_kept_is_in_the_words_of_the_client(house, path, model, body, said, stream):
    from .test_traces import opened

    ann = await house.customer(tenant_keep_h=24)
    answer = await house.post(ann, {"model": model, "stream": stream, **body}, path=path)
    assert answer.headers["avow-stored"] == "trace"
    await house.settled(ann)
    (row,) = await house.traces()
    kept = (await opened(house, ann, row))["response"]
    for step in said:
        kept = kept[step]
    assert kept == "Hello there."


async def test_a_key_is_taken_from_either_header_and_refused_in_the_shape_of_the_route(house):
    ann = await house.customer()
    async with httpx.AsyncClient(base_url=house.url, timeout=LIMIT_S) as http:
        for name, value in (("x-api-key", ann.secret), ("authorization", f"Bearer {ann.secret}")):
            shown = await http.get("/v1/models", headers={name: value})
            assert shown.status_code == 200
        body = {"model": CLAUDE, "max_tokens": 5, "messages": HELLO}
        refused = await http.post("/v1/messages", json=body, headers={"x-api-key": "sk-wrong"})
        assert refused.status_code == 401 and refused.json()["error"]["type"] == "authentication_error"
        unknown = await http.post("/v1/messages/batches", json={}, headers={"x-api-key": ann.secret})
        assert unknown.status_code == 404 and unknown.json()["error"]["type"] == "not_found_error"
        unknown = await http.post("/v1/nothing", json={}, headers={"x-api-key": ann.secret})
        assert unknown.status_code == 404 and unknown.json()["error"]["code"] == "unknown_url"


async def test_an_upstream_without_this_surface_is_not_called(house):
    ann = await house.customer()
    answer = await house.post(ann, {"model": CLAUDE, "input": "x"}, path="/v1/embeddings")
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "not_offered"
    assert house.upstream.requests == [] and await house.usages(ann) == []
