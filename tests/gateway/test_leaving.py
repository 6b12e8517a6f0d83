"""What a client pays that leaves before the end: a rule of the upstream, which anybody can read."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from avow.gateway import call, tables
from avow.gateway.scripted import Script
from tests import LIMIT_S

from .house import HELLO, MODEL, OUTSIDE, until

ASK = {"model": MODEL, "messages": HELLO, "max_tokens": 900}
EXACT = 11 * 1000 + 9 * 3000


@pytest.fixture(params=[False, True], ids=["cold", "warm"])
def is_warm(request):
    return request.param


async def ruled(house, rule):
    await house.execute(tables.upstream.update().values(leaving=rule))
    await house.bump_epoch()
    await house.gateway.rules.renew(2)
    return await house.customer()


async def leaves(house, who, *, stream, after=0, model=MODEL):
    """Ask, and go away once `after` words have come, or once the upstream has the request."""
    bearer = {"authorization": f"Bearer {who.secret}"}
    body = {**ASK, "stream": stream, "model": model}
    async with httpx.AsyncClient(timeout=LIMIT_S) as http:
        asked = http.stream("POST", f"{house.url}/v1/chat/completions", json=body, headers=bearer)

        async def read():
            async with asked as answer:
                said = ""
                async for piece in answer.aiter_text():
                    said += piece
                    if said.count("word") >= after > 0:
                        return

        reading = asyncio.create_task(read())
        await (reading if after else house.upstream.arrived.wait())
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


@pytest.mark.parametrize(("stream", "after"), [(True, 2), (True, 0), (False, 0)])
async def test_where_the_upstream_charges_all_of_it_the_answer_is_read_to_its_end_and_charged_as_it_counts(
    house, stream, after
):
    ann = await ruled(house, "drain")
    gate = asyncio.Event()
    house.upstream.script = Script(tokens=("word",) * 9, gate=gate, gate_after=after)
    await leaves(house, ann, stream=stream, after=after)
    await until(lambda: any(running._left for running in (*house.gateway._running, *house.gateway.plain)))
    gate.set()
    row = await house.settled(ann)
    assert (row.why, row.status, row.output_tokens, row.amount, row.estimated) == ("client_left", 499, 9, EXACT, False)
    assert not house.upstream.left.is_set()


@pytest.mark.parametrize(("model", "whole"), [(OUTSIDE, True), (MODEL, False)])
async def test_one_answer_of_an_outside_party_is_paid_whole_by_who_leaves_at_the_last_moment(house, model, whole):
    """It charges what it generated, and nothing but its whole answer tells how much that is."""
    ann = await ruled(house, "estimate")
    gate = asyncio.Event()
    house.upstream.script = Script(tokens=("word",) * 9, gate=gate)
    await leaves(house, ann, stream=False, model=model)
    if whole:
        await until(lambda: any(running._left for running in (*house.gateway._running, *house.gateway.plain)))
        gate.set()
    row = await house.settled(ann)
    assert (row.why, row.output_tokens, row.estimated) == ("client_left", 9 if whole else 0, not whole)
    assert row.amount > 0


async def test_an_answer_without_end_is_not_read_for_ever(house, monkeypatch):
    monkeypatch.setattr(call, "DRAIN_BYTES_MAX", 100_000)
    ann = await ruled(house, "drain")
    house.upstream.script = Script(tokens=("word",) * 2 + ("x" * 9_000,) * 500, gate=asyncio.Event(), gate_after=2)
    await leaves(house, ann, stream=True, after=2)
    await until(lambda: any(running._left for running in (*house.gateway._running, *house.gateway.plain)))
    house.upstream.script.gate.set()
    row = await house.settled(ann)
    assert row.why == "client_left" and row.estimated and row.output_tokens == 900 and row.amount <= row.held


@pytest.mark.parametrize(
    ("rule", "after", "paid"), [("unbilled", 0, False), ("unbilled", 2, True), ("estimate", 0, True)]
)
async def test_who_leaves_before_the_first_token_pays_what_the_upstream_charges_for_it(house, rule, after, paid):
    ann = await ruled(house, rule)
    house.upstream.script = Script(tokens=("word",) * 9, gate=asyncio.Event(), gate_after=after)
    await leaves(house, ann, stream=True, after=after)
    row = await house.settled(ann)
    assert row.why == "client_left" and bool(row.amount) is paid
    await until(house.upstream.left.is_set)


async def test_the_rule_is_told_with_the_model(house):
    ann = await ruled(house, "drain")
    (shown,) = [each async for each in house.client(ann).models.list() if each.id == MODEL]
    assert shown.avow_leaving == ["drain"]
