"""The embedded engine as an upstream: over a unix socket, always streaming, with progress. Its double is scripted here; the
engine itself is tested in its own slice."""

from __future__ import annotations

import asyncio
import json

import pytest
from sqlalchemy import insert

from avow.base.ids import uuid7
from avow.engines import llm
from avow.gateway import load, tables
from avow.gateway.rules import Rules
from avow.gateway.scripted import Script, ScriptedUpstream

from .house import DOLLAR, HELLO, chunks_of, until

ASK = {"model": llm.MODEL, "messages": HELLO}
KEY = "engine-key"


@pytest.fixture
async def engine(house, short_folder):
    """A scripted engine that serves the embedded model of the house."""
    path = short_folder / "engine.sock"
    running = llm.Engine(path, KEY)
    async with ScriptedUpstream(KEY, Script(progress=True), unix=str(path)) as upstream:
        upstream_id = uuid7()
        row = {"id": upstream_id, "name": "engine", "kind": "engine", "base_url": ""}
        await house.execute(insert(tables.upstream).values(row))
        sizes = {"context_tokens": 4096, "output_tokens_max": 2048}
        await house.execute(insert(tables.model).values(id=llm.MODEL, **sizes))
        there = {"model_id": llm.MODEL, "upstream_id": upstream_id, "their_name": llm.MODEL}
        await house.execute(insert(tables.route).values(there))
        await house.raise_price(llm.MODEL, factor=1)
        await house.bump_epoch()

        async def load_with_engine() -> Rules:
            return await load(house.databases.app, house.vault, running)

        house.gateway.rules._load = load_with_engine
        await house.gateway.rules.renew(2)
        yield upstream


async def test_a_json_answer_is_put_together_from_the_stream(house, engine):
    ann = await house.customer()
    answer = await house.client(ann).chat.completions.create(**ASK, user="anna", temperature=0.2)
    assert answer.choices[0].message.content == "Hello there." and answer.choices[0].finish_reason == "stop"
    assert answer.object == "chat.completion" and answer.usage.prompt_tokens == 11
    (sent,) = engine.requests
    assert sent["stream"] is True and sent["return_progress"] is True and sent["cache_prompt"] is False
    assert sent["temperature"] == 0.2 and "user" not in sent and "store" not in sent
    assert engine.heads[0]["connection"] == "close"
    assert (await house.settled(ann)).amount == 20_000


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
async def test_a_schema_for_the_answer_reaches_no_engine_and_costs_nothing(house, engine, path):
    """llama.cpp makes a grammar of it: one that refers to itself ends the process for everybody."""
    ann, schema = await house.customer(), {"allOf": [{"$ref": "#/allOf/0"}]}
    form = {"type": "json_schema", "name": "x", "schema": schema}
    asked = {"input": "Hello", "text": {"format": form}} if path.endswith("responses") else {"messages": HELLO}
    answer = await house.post(
        ann, {"model": llm.MODEL, "response_format": {**form, "json_schema": form}, **asked}, path=path
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "answer_form_unfit")
    assert engine.requests == [] and await house.wallet(ann) == (DOLLAR, 0)


async def test_a_stream_passes_without_progress_and_unasked_usage(house, engine):
    ann = await house.customer()
    raw = await house.post(ann, {**ASK, "stream": True})
    assert not any("prompt_progress" in chunk or not chunk["choices"] for chunk in chunks_of(raw))
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks_of(raw)) == "Hello there."
    assert raw.text.endswith("\n\n: avow-cost 0.000020000\n\ndata: [DONE]\n\n")


async def test_a_prompt_too_long_for_the_engine_is_the_clients_error(house, engine):
    ann = await house.customer()
    engine.then(*[Script(error_after=0, error_code=400, progress=True)] * 2, *[Script(error_after=0)] * 2)
    for status in (400, 502):
        for stream in (False, True):
            answer = await house.post(ann, {**ASK, "stream": stream})
            assert answer.status_code == status and "upstream says no" not in answer.text
    await house.settled(ann, 4)
    assert await house.wallet(ann) == (DOLLAR, 0)


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "x" * 400_000}],
        [{"role": "user", "content": [{"type": "text", "text": "x" * 200_000}] * 2}],
        [{"role": "user", "content": ""}] * 2000,
    ],
)
async def test_a_prompt_that_cannot_fit_is_refused_before_the_hold_and_never_sent(house, engine, messages):
    ann = await house.customer()
    for path in ("/v1/chat/completions", "/v1/messages"):
        refused = await house.post(ann, {"model": llm.MODEL, "messages": messages, "max_tokens": 5}, path=path)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert engine.requests == [] and await house.usages(ann) == []


async def test_a_long_prompt_goes_to_an_upstream_that_can_read_it(house, engine):
    ann = await house.customer()
    inside = await house.upstream_id("inside")
    there = {"model_id": llm.MODEL, "upstream_id": inside, "their_name": "larger", "rank": 1}
    await house.execute(insert(tables.route).values(there))
    await house.bump_epoch()
    await house.gateway.rules.renew(3)
    long = {"model": llm.MODEL, "messages": [{"role": "user", "content": "x" * 400_000}]}
    assert (await house.post(ann, long)).status_code == 200
    assert engine.requests == [] and house.upstream.requests[-1]["model"] == "larger"


def came(house) -> list[tuple[int | None, int]]:
    """Tokens read and written of the requests that are at an upstream."""
    calls = [each._at_upstream for each in house.gateway._running]
    return [(call.outcome.input_tokens, call.outcome.tokens) for call in calls if call is not None]


@pytest.mark.parametrize("stream", [False, True])
async def test_who_leaves_stops_the_engine_and_pays_its_exact_input(house, engine, stream):
    ann = await house.customer()
    engine.script = Script(progress=True, gate=asyncio.Event(), gate_after=3)
    task = asyncio.create_task(house.post(ann, {**ASK, "stream": stream}))
    await until(lambda: came(house) == [(11, 2)])
    if not stream:
        assert house.batcher._streams == {}, "a crash now would charge for what nobody has"
    task.cancel()
    await engine.left.wait()
    row = await house.settled(ann)
    assert (row.why, row.input_tokens, row.output_tokens, row.amount) == ("client_left", 11, 2, 11_000 + 2 * 3000)


async def test_an_answer_that_was_never_delivered_costs_nothing_however_much_was_generated(house, engine):
    ann = await house.customer()
    engine.then(Script(progress=True, die_after=3))
    assert (await house.post(ann, ASK)).status_code == 502
    row = await house.settled(ann)
    assert (row.why, row.amount, row.output_tokens) == ("upstream_failed", 0, 0)


async def test_what_the_engine_cannot_do_is_refused_before_it_is_called(house, engine):
    ann = await house.customer()
    answer = await house.post(ann, {**ASK, "n": 2})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "n"
    tool = {"role": "tool", "content": "x", "tool_call_id": "1"}
    assert (await house.post(ann, {**ASK, "messages": [tool]})).status_code == 400
    assert engine.requests == []
    assert (await house.settled(ann, 2)).amount == 0


async def test_an_engine_that_does_not_run_has_no_models(house, engine):
    rules = await load(house.databases.app, house.vault, None)
    assert llm.MODEL not in rules.models and rules.models


async def test_a_trace_of_the_engine_holds_the_whole_answer(house, engine):
    ann = await house.customer(tenant_keep_h=2)
    answer = await house.post(ann, {**ASK, "stream": True})
    assert answer.headers["avow-stored"] == "trace"
    (row,) = await house.traces()
    assert json.dumps("Hello") not in str(row.box)
