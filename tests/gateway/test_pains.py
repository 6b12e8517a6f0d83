"""Pains of those who run other gateways, each under its number in docs/reference/pains.md, on every surface that it meets."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx
import msgspec
import pytest

from avow.gateway import surfaces, upstreams
from avow.gateway.scripted import Script
from tests import LIMIT_S

from .house import CLAUDE, DOLLAR, HELLO, MODEL, UNPRICED, until

BODIES = {
    "/v1/chat/completions": {"messages": HELLO},
    "/v1/completions": {"prompt": "x"},
    "/v1/responses": {"input": "x"},
    "/v1/embeddings": {"input": "x"},
    "/v1/moderations": {"input": "x"},
    "/v1/rerank": {"query": "x", "documents": ["y"]},
    "/v1/messages": {"messages": HELLO, "max_tokens": 50},
}
STREAMS = [(path, MODEL) for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")]
STREAMS += [("/v1/messages", CLAUDE), ("/v1/chat/completions", CLAUDE)]


def is_of_text(surface):
    """Images and sound have tests of their own: `test_media`."""
    return not surface.path.startswith(("/v1/images/", "/v1/audio/"))


def test_every_surface_that_costs_money_is_asked_about_here():
    assert set(BODIES) == {surface.path for surface in surfaces.ALL if surface.bills and is_of_text(surface)}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings"])
async def test_p01_nobody_is_given_anothers_answer_whatever_they_ask(house, path):
    """The same words, from another organisation: never a hit, and nothing in the answer tells that somebody asked before."""
    ann, bob = [await house.customer(tenant_keep_h=24) for _ in range(2)]
    body = {"model": MODEL, **BODIES[path], "temperature": 0}
    first = [await house.post(who, body, path=path, **{"avow-cache": "use"}) for who in (ann, bob)]
    assert [answer.status_code for answer in first] == [200, 200] and len(house.upstream.requests) == 2
    assert first[0].headers.get("avow-cache") == first[1].headers.get("avow-cache") != "hit"


async def test_p02_many_at_once_on_all_surfaces_never_overdraw(house):
    ann = await house.customer(balance=1_000_000)
    asked = [house.post(ann, {"model": MODEL, **body}, path=path) for path, body in BODIES.items() for _ in range(6)]
    answers = await asyncio.gather(*asked)
    assert {answer.status_code for answer in answers} == {200, 402}
    posted, held = await house.wallet(ann)
    assert posted >= 0 and held == 0
    assert DOLLAR and posted == 1_000_000 - sum(row.amount for row in await house.usages(ann))


@pytest.mark.parametrize("path", BODIES)
async def test_p03_no_surface_goes_past_the_wallet(house, path):
    ann = await house.customer(balance=10)
    answer = await house.post(ann, {"model": MODEL, **BODIES[path]}, path=path)
    assert answer.status_code == 402, answer.text
    assert house.upstream.requests == [] and await house.wallet(ann) == (10, 0)


@pytest.mark.parametrize(("path", "model"), STREAMS)
async def test_p04_who_leaves_early_pays_for_what_was_delivered(house, path, model):
    ann = await house.customer()
    house.upstream.script = Script(tokens=("word",) * 9, gate=asyncio.Event(), gate_after=6)
    body = {"model": model, "stream": True, **BODIES[path]}
    with suppress(httpx.ReadTimeout):
        async with httpx.AsyncClient(timeout=LIMIT_S) as http:
            bearer = {"authorization": f"Bearer {ann.secret}"}
            async with http.stream("POST", house.url + path, json=body, headers=bearer) as answer:
                said = ""
                async for piece in answer.aiter_text():
                    said += piece
                    if said.count("word") >= 3:
                        break
    row = await house.settled(ann)
    assert (row.why, row.status) == ("client_left", 499) and 3 <= row.output_tokens <= 6
    assert 0 < row.amount <= row.held
    await until(house.upstream.left.is_set)


@pytest.mark.parametrize(("path", "model"), STREAMS)
async def test_p05_a_stream_that_fails_is_charged_for_what_arrived_and_says_so_in_the_shape_of_its_surface(
    house, path, model
):
    ann = await house.customer()
    house.upstream.script = Script(tokens=("word",) * 9, die_after=6)
    answer = await house.post(ann, {"model": model, "stream": True, **BODIES[path]}, path=path)
    row = await house.settled(ann)
    assert row.why == "upstream_failed" and 3 <= row.output_tokens <= 6 and row.amount <= row.held
    *_, failure, cost, end = answer.text.split("\n\n")
    assert "upstream_lost" in failure and cost.startswith(": avow-cost ") and end == ""
    if path != "/v1/chat/completions" and path != "/v1/completions":
        assert failure.startswith("event: error\n")


@pytest.mark.parametrize(("path", "model"), STREAMS)
async def test_p06_use_is_asked_for_whether_or_not_the_client_does(house, path, model):
    ann = await house.customer()
    await house.post(ann, {"model": model, "stream": True, **BODIES[path]}, path=path)
    row = await house.settled(ann)
    assert (row.input_tokens, row.output_tokens, row.amount) == (11, 3, 20_000)


@pytest.mark.parametrize("path", BODIES)
async def test_p14_a_model_without_a_price_is_refused_and_never_free(house, path):
    ann = await house.customer()
    answer = await house.post(ann, {"model": UNPRICED, **BODIES[path]}, path=path)
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "model_has_no_price"
    assert house.upstream.requests == []


@pytest.mark.parametrize("kind", upstreams.KINDS)
def test_p23_providers_are_told_to_keep_nothing_whatever_the_client_says(kind):
    made = upstreams.provider(kind, "u", "https://example.org/v1", "secret", processor="p", opaque_key=b"k")
    for name, (way, _) in made.ways.items():
        surface = next(each for each in surfaces.ALL if each.name == name)
        if not is_of_text(surface):
            continue
        said = {
            "model": "m",
            "store": True,
            "provider": {"zdr": False},
            **BODIES.get(surface.path, {"messages": HELLO}),
        }
        request = surface.parse(msgspec.json.encode(said))
        sent = made.message(way, request, "theirs", 5)
        assert request.stores and b'"store":true' not in sent and b'"zdr":false' not in sent
        if name in ("chat", "responses") and kind in ("openai", "azure"):
            assert b'"store":false' in sent
        if name == "chat" and kind == "openrouter":
            assert b'"data_collection":"deny","zdr":true' in sent


async def test_models_are_listed_in_the_words_of_either_client(house):
    ann = await house.customer()
    ours = {model.id async for model in house.client(ann).models.list()}
    theirs = [model async for model in house.anthropic(ann).models.list()]
    assert {model.id for model in theirs} == ours and all(model.type == "model" for model in theirs)
    assert (await house.anthropic(ann).models.retrieve(CLAUDE)).display_name == CLAUDE
    assert (await house.client(ann).models.retrieve(CLAUDE)).object == "model"
