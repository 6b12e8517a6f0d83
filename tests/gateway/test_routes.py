"""Models that run at several upstreams: fallbacks, retries, breakers, draining, and who may see what."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from avow.base.errors import BadInput, NotFound
from avow.billing.prices import Seal
from avow.gateway import offers
from avow.gateway.fleet import FAILURES_MAX
from avow.gateway.forecast import Job
from avow.gateway.handling import Handling
from avow.gateway.offers import Offer
from avow.gateway.scripted import Script, ScriptedUpstream
from avow.registers import incidents

from .house import CREDENTIAL, DECLARED, DOLLAR, HELLO, MODEL, OUTSIDE, open_house, until

NAME = "test/routed"
ASK = {"model": NAME, "messages": HELLO}
INSIDE = Handling(None)


@pytest.fixture
async def routed(database, tmp_path):
    """A house whose gateway tries again as one in production does, with one model at two upstreams of its own."""
    async with (
        open_house(database, tmp_path, fleet=None) as house,
        ScriptedUpstream(CREDENTIAL) as first,
        ScriptedUpstream(CREDENTIAL) as second,
    ):
        for rank, upstream in enumerate((first, second)):
            await route(house, f"u{rank}", upstream, rank)
        await renewed(house)
        yield house, first, second


async def route(house, name, upstream, rank=0, declared=INSIDE):
    async with house.databases.keeper.begin() as c:
        await offers.put_upstream(c, house.vault, name, f"{upstream.url}/v1", CREDENTIAL, declared)
        offer = Offer(NAME, name, "theirs", 8192, 100, 10**9, 3 * 10**9, rank=rank)
        await offers.put_model(c, offer, house.clock.now() - timedelta(hours=1), Seal.of(house.vault.ring))


async def renewed(house):
    book = house.gateway.rules
    book._current = await book._load()


async def test_the_next_upstream_answers_when_the_first_fails_and_one_call_is_charged(routed):
    house, first, second = routed
    ann = await house.customer()
    for script in (Script(status=500), Script(die_after=0), Script(status=503), Script(garbage_after=0)):
        for stream in (False, True):
            first.script, second.script = script, Script(prompt_tokens=7)
            answer = await house.post(ann, {**ASK, "stream": stream})
            assert answer.status_code == 200 and "Hello" in answer.text
    rows = await house.usages(ann)
    assert len(rows) == 8 and {(row.why, row.amount) for row in rows} == {("done", 7 * 1000 + 3 * 3000)}
    assert await house.wallet(ann) == (DOLLAR - 8 * 16_000, 0)


async def test_the_same_upstream_is_asked_again_when_there_is_no_other(routed):
    house, first, second = routed
    ann = await house.customer()
    async with house.databases.keeper.begin() as c:
        await offers.leave(c, NAME, "u1")
    await renewed(house)
    first.then(Script(status=500), Script(die_after=0))
    assert (await house.post(ann, ASK)).status_code == 200
    assert len(first.requests) == 3 and second.requests == []
    assert [row.amount for row in await house.usages(ann)] == [11 * 1000 + 3 * 3000]
    first.then(Script(status=429, retry_after_s=7))
    assert (await house.post(ann, ASK)).status_code == 503
    assert len(first.requests) == 4, "who is busy is not asked again at once"


async def test_what_the_client_has_seen_the_beginning_of_is_never_tried_again(routed):
    house, first, second = routed
    ann = await house.customer()
    first.script = Script(die_after=2)
    answer = await house.post(ann, {**ASK, "stream": True})
    assert answer.text.count("Hello") == 1 and "upstream_lost" in answer.text
    assert second.requests == [] and (await house.settled(ann)).output_tokens == 3


async def test_a_request_that_an_upstream_finds_invalid_is_not_sent_to_others(routed):
    house, first, second = routed
    ann = await house.customer()
    first.script = Script(status=400)
    assert (await house.post(ann, ASK)).status_code == 400
    assert second.requests == []


async def test_an_upstream_that_fails_is_left_alone_until_a_probe_is_answered(routed):
    house, first, second = routed
    ann = await house.customer()
    fleet = house.gateway.fleet
    fleet._probe_s = 0.05
    first.script = second.script = Script(status=500)
    for _ in range(FAILURES_MAX):
        assert (await house.post(ann, ASK)).status_code in (502, 503)
    assert all(health.is_open for health in fleet._healths.values())
    calls = len(first.requests) + len(second.requests)
    assert calls >= 2 * FAILURES_MAX
    for health in fleet._healths.values():
        health._open_until_s = 1e9
    first.lives = second.lives = False
    answer = await house.post(ann, ASK)
    assert answer.status_code == 503 and answer.json()["error"]["code"] == "upstreams_down"
    assert answer.headers["retry-after"] and len(first.requests) + len(second.requests) == calls
    first.script, first.lives = Script(), True
    await until(lambda: any(health.wait_s(0) == 0 for health in fleet._healths.values()))
    assert (await house.post(ann, ASK)).status_code == 200
    assert all(row.amount == 0 for row in (await house.usages(ann))[:-1])


async def test_an_upstream_that_is_draining_ends_what_it_does_and_gets_nothing_new(routed):
    house, first, second = routed
    ann = await house.customer()
    first.script = Script(gate=asyncio.Event(), gate_after=1)
    running = asyncio.create_task(house.post(ann, {**ASK, "stream": True}))
    await first.arrived.wait()
    async with house.databases.keeper.begin() as c:
        await offers.drain(c, "u0")
    await renewed(house)
    assert (await house.post(ann, ASK)).status_code == 200
    assert len(first.requests) == 1 and len(second.requests) == 1
    first.script.gate.set()
    assert "[DONE]" in (await running).text
    async with house.databases.keeper.begin() as c:
        await offers.drain(c, "u0", ends=True)
    await renewed(house)
    first.script = Script()
    await house.post(ann, ASK)
    assert len(first.requests) == 2
    with pytest.raises(NotFound):
        async with house.databases.keeper.begin() as c:
            await offers.drain(c, "nobody")


async def test_an_upstream_is_forgotten_once_no_model_runs_there(routed):
    house, _, second = routed
    ann = await house.customer()
    async with house.databases.keeper.begin() as c:
        with pytest.raises(BadInput) as refused:
            await offers.remove_upstream(c, "u0")
    assert NAME in refused.value.sentence
    async with house.databases.keeper.begin() as c:
        await offers.leave(c, NAME, "u0")
        await offers.remove_upstream(c, "u0")
    await renewed(house)
    assert (await house.post(ann, ASK)).status_code == 200 and len(second.requests) == 1
    with pytest.raises(NotFound):
        async with house.databases.keeper.begin() as c:
            await offers.remove_upstream(c, "u0")


async def test_nothing_is_noted_of_a_party_at_which_no_model_is_offered(routed):
    house, _, _ = routed

    async def noted() -> list[str]:
        async with house.databases.keeper.begin() as c:
            return [each.about for each in await incidents.listed(c, only_open=True, after=None, limit=10)]

    async with house.databases.keeper.begin() as c:
        url = "https://stranger.example/v1"
        await offers.put_upstream(c, house.vault, "u2", url, None, Handling("stranger"))
    await renewed(house)
    assert "stranger.example" not in await noted()
    async with house.databases.keeper.begin() as c:
        offer = Offer(NAME, "u2", "theirs", 8192, 100, 10**9, 3 * 10**9, rank=2)
        await offers.put_model(c, offer, house.clock.now(), Seal.of(house.vault.ring))
    await renewed(house)
    assert "stranger.example" in await noted()


async def test_content_goes_past_an_upstream_that_handles_it_worse_than_the_policy_says(routed):
    house, first, second = routed
    ann = await house.customer()
    trains = Handling(**{**DECLARED, "trains": True}, evidence_until=house.clock.now() + timedelta(days=9))
    await route(house, "u0", first, 0, trains)
    await renewed(house)
    assert (await house.post(ann, ASK)).status_code == 200
    assert first.requests == [] and len(second.requests) == 1
    await route(house, "u1", second, 1, Handling("stranger"))
    await renewed(house)
    answer = await house.post(ann, ASK)
    said = answer.json()["error"]
    assert answer.status_code == 451 and said["code"] == "policy_forbids"
    assert "acme may train" in said["message"] and "names no processor stranger" in said["message"]
    assert NAME not in (await house.client(ann).models.list()).model_dump_json()
    assert first.requests == [] and len(second.requests) == 1
    assert await house.wallet(ann) == (DOLLAR - 20_000, 0)


async def test_evidence_that_runs_out_ends_it_without_a_new_start(house):
    ann = await house.customer()
    assert (await house.post(ann, {"model": OUTSIDE, "messages": HELLO})).status_code == 200
    house.clock.move(timedelta(days=31))
    answer = await house.post(ann, {"model": OUTSIDE, "messages": HELLO})
    assert answer.status_code == 451 and "run out" in answer.json()["error"]["message"]
    assert len(house.upstream.requests) == 1


async def test_the_least_expected_finish_spreads_load(routed):
    house, first, second = routed
    ann = await house.customer()
    await route(house, "u1", second, rank=0)
    await renewed(house)
    gate = asyncio.Event()
    first.script = second.script = Script(gate=gate)
    running = [asyncio.create_task(house.post(ann, ASK)) for _ in range(8)]
    await until(lambda: len(first.requests) + len(second.requests) == 8)
    gate.set()
    assert {(await each).status_code for each in running} == {200}
    assert len(first.requests) == len(second.requests) == 4


async def test_what_is_learned_of_a_call_is_its_size_and_a_hash_that_no_other_organisation_shares(routed, monkeypatch):
    house, first, _ = routed
    ann, bob = await house.customer(), await house.customer()
    learned: list[tuple[str, Job, float]] = []
    monkeypatch.setattr(house.gateway.fleet, "learn", lambda route, *told: learned.append((route.upstream.name, *told)))
    long = {**ASK, "messages": [{"role": "system", "content": "Be brief. " * 20}, *HELLO], "max_tokens": 7, "n": 2}
    await house.post(ann, {**ASK, "model": MODEL})
    assert learned == [], "there was nothing to choose"
    first.script = Script(status=500)
    for who, asked in ((ann, long), (ann, {**long, "max_tokens": 9}), (bob, long), (ann, ASK)):
        assert (await house.post(who, asked)).status_code == 200
    assert {name for name, _, _ in learned} == {"u1"}, "the one that failed teaches nothing"
    mine, again, others, short = (each for _, each, _ in learned)
    assert (mine.output_tokens, again.output_tokens) == (14, 18) and mine.input_tokens > short.input_tokens
    assert mine.prefix == again.prefix != others.prefix and short.prefix == b""
    assert all(took_s > 0 for _, _, took_s in learned)
