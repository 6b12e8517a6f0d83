"""Idempotency keys: a request that comes again has one effect, and is told what became of the first."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import select

from avow.accounts.tables import api_key, person
from avow.base.ids import uuid7
from avow.billing.tables import claim
from avow.gateway.scripted import Script

from .house import DOLLAR, HELLO, MODEL

ASK = {"model": MODEL, "messages": HELLO, "max_tokens": 10}
NAME = "idempotency-key"


async def again(house, who, status, code, **given):
    answer = await house.post(who, {**ASK, **given}, **{NAME: "k1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    return answer


@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_key_again_is_told_what_became_of_the_first(house, stream):
    ann, bob = await house.customer(), await house.customer()
    first = await house.post(ann, {**ASK, "stream": stream}, **{NAME: "k1"})
    assert first.status_code == 200
    for _ in range(3):
        second = await again(house, ann, 409, "already_answered", stream=stream)
        assert f"/api/requests/{first.headers['avow-request-id']}" in second.text and "0.000020000" in second.text
    await again(house, ann, 422, "idempotency_key_reused", stream=stream, max_tokens=9)
    assert len(house.upstream.requests) == 1 and await house.wallet(ann) == (DOLLAR - 20_000, 0)
    assert (await house.post(bob, {**ASK, "stream": stream}, **{NAME: "k1"})).status_code == 200
    other_route = await house.post(ann, {**ASK}, path="/v1/messages", **{NAME: "k1"})
    assert other_route.status_code == 422


async def test_a_colleague_neither_learns_of_a_request_nor_takes_its_key(house):
    ann, eve = await house.customer(), await house.customer()
    for facts in (person, api_key):
        colleague = facts.c.subject_id == eve.subject_id
        await house.execute(facts.update().where(colleague).values(tenant_id=ann.tenant_id))
    await house.execute(api_key.update().where(api_key.c.id == eve.key_id).values(wallet_id=ann.wallet_id))
    for who in (ann, eve):
        answer = await house.post(who, ASK, **{NAME: "1"})
        assert answer.status_code == 200, answer.text
    assert len(house.upstream.requests) == 2


async def test_while_it_runs_the_same_key_is_refused(house):
    ann = await house.customer()
    house.upstream.script = Script(gate=asyncio.Event())
    first = asyncio.create_task(house.post(ann, ASK, **{NAME: "k1"}))
    await house.upstream.arrived.wait()
    answer = await again(house, ann, 409, "request_running")
    assert int(answer.headers["retry-after"]) > 0
    house.upstream.script.gate.set()
    assert (await first).status_code == 200 and len(house.upstream.requests) == 1


async def test_a_storm_of_retries_has_one_effect(house):
    """trust.md 5.2, row 12: without amplification."""
    ann = await house.customer()
    answers = await asyncio.gather(*(house.post(ann, ASK, **{NAME: "k1"}) for _ in range(40)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 39}
    assert len(house.upstream.requests) == 1
    assert await house.wallet(ann) == (DOLLAR - 20_000, 0)


async def test_what_failed_and_cost_nothing_may_be_tried_again(house):
    ann = await house.customer()
    house.upstream.then(Script(status=500), Script(silent=False, die_after=0))
    assert (await house.post(ann, ASK, **{NAME: "k1"})).status_code == 502
    await again(house, ann, 422, "idempotency_key_reused", max_tokens=9)
    house.upstream.script = Script()
    while (answer := await house.post(ann, ASK, **{NAME: "k1"})).status_code >= 500:
        assert len(house.upstream.requests) < 5
    assert answer.status_code == 200 and await house.wallet(ann) == (DOLLAR - 20_000, 0)
    await again(house, ann, 409, "already_answered")


async def test_a_refusal_before_the_hold_leaves_the_key_free(house):
    ann = await house.customer(balance=0)
    await again(house, ann, 402, "insufficient_quota")
    async with house.databases.keeper.begin() as c:
        assert (await c.execute(select(claim))).all() == []


@pytest.mark.parametrize("value", ["", "two words", "x" * 256, "ü"])
async def test_a_key_that_is_none_is_refused(house, value):
    ann = await house.customer()
    answer = await house.post(ann, ASK, **{NAME: value.encode()})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == NAME
    assert house.upstream.requests == []


async def test_a_key_is_remembered_for_a_day_and_nothing_of_it_or_the_body(house):
    ann = await house.customer()
    await house.post(ann, {**ASK, "messages": [{"role": "user", "content": "marker-4711"}]}, **{NAME: "marker-4712"})
    async with house.databases.keeper.begin() as c:
        [row] = (await c.execute(select(claim))).all()
    assert row.ends_at - row.since == timedelta(hours=24) and (row.status, row.charged) == (200, 20_000)
    assert b"marker" not in row.digest and "marker" not in str(row)
    house.clock.move(timedelta(hours=25))
    assert (await house.post(ann, ASK, **{NAME: "marker-4712"})).status_code == 200


async def test_the_charge_tells_what_became_of_a_request_whose_worker_died(house):
    """Between the settle and the note of it, and before the settle."""
    ann = await house.customer()
    await house.post(ann, ASK, **{NAME: "k1"})
    await house.execute(claim.update().values(status=None, charged=None))
    await again(house, ann, 409, "already_answered")
    await house.execute(claim.update().values(request_id=uuid7()))
    await again(
        house, ann, 409, "already_answered"
    )  # of a request that nothing is known of, nobody says that it was free
