"""What is kept of a completion, how long, and that it is sealed."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from avow.base.actor import Actor
from avow.gateway.scripted import Script
from avow.policy import parse
from avow.vault import Ref

from .house import HELLO, MODEL, TEXT, open_house

ASK = {"model": MODEL, "messages": HELLO}


async def opened(house, who, row):
    ref = Ref(row.tenant_id, "trace", "api_content", row.id, row.subject_id)
    actor = Actor("subject", str(who.subject_id), "subject", who.tenant_id, who.subject_id)
    async with house.databases.app.tenant(who.tenant_id) as c:
        return await house.vault.open(c, ref, row.box, "access", actor)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tenant_that_asks_gets_a_sealed_trace_with_its_end(house, stream):
    ann = await house.customer(tenant_keep_h=48)
    body = {**ASK, "stream": stream, "user": "anna@example.com", "temperature": 0.5}
    answer = await house.post(ann, body)
    usage = await house.settled(ann)
    (row,) = await house.traces()
    assert row.id == usage.id and row.subject_id == ann.subject_id and row.tenant_id == ann.tenant_id
    assert row.ends_at == row.since + timedelta(hours=48)
    assert answer.headers["avow-stored"] == "trace"
    assert datetime.fromisoformat(answer.headers["avow-expires-at"]) == row.ends_at.replace(microsecond=0)
    assert b"hello" not in row.box.lower() and b"anna" not in row.box.lower()
    kept = await opened(house, ann, row)
    assert kept["request"] == {**ASK, "stream": stream, "temperature": 0.5}
    assert kept["response"]["choices"][0]["message"]["content"] == "Hello there."
    assert kept["response"]["usage"]["completion_tokens"] == 3


@pytest.mark.parametrize(
    ("tenant_h", "key_h", "header", "hours"),
    [
        (None, None, None, 0),
        (None, 24, None, 0),
        (None, None, "24", 0),
        (0, None, None, 0),
        (48, None, None, 48),
        (48, 12, None, 12),
        (48, 90, None, 48),
        (48, 0, None, 0),
        (48, None, "6", 6),
        (48, None, "0", 0),
        (48, None, "9999", 48),
        (100_000, None, None, 720),
    ],
)
async def test_each_level_may_only_tighten(house, tenant_h, key_h, header, hours):
    ann = await house.customer(tenant_keep_h=tenant_h, keep_h=key_h)
    answer = await house.post(ann, ASK, **({"avow-retention": header} if header is not None else {}))
    await house.settled(ann)
    rows = await house.traces()
    assert answer.headers["avow-stored"] == ("trace" if hours else "none")
    assert [(row.ends_at - row.since) / timedelta(hours=1) for row in rows] == ([hours] if hours else [])


async def test_what_one_key_asks_for_holds_for_that_key_only(house):
    for hours in (12, 48, 0):
        ann = await house.customer(tenant_keep_h=48, keep_h=hours)
        await house.post(ann, ASK)
        await house.settled(ann)
    assert sorted((row.ends_at - row.since) / timedelta(hours=1) for row in await house.traces()) == [12, 48]


async def test_a_field_that_the_policy_leaves_out_is_not_stored(database, tmp_path):
    named, left = '"request", "response", "file"', '"request", "file"'
    assert named in TEXT
    text = TEXT.replace('features = ["tls"', 'features = ["tls", "processors"').replace(named, left)
    async with open_house(database, tmp_path, policy=parse(text)) as house:
        ann = await house.customer(tenant_keep_h=48)
        await house.post(ann, ASK)
        await house.settled(ann)
        (row,) = await house.traces()
        assert set(await opened(house, ann, row)) == {"request"}


@pytest.mark.parametrize("value", ["-1", "", "1.5", "abc", "999999999999", "1h", "١"])
async def test_a_retention_that_is_no_number_of_hours_is_refused(house, value):
    ann = await house.customer(tenant_keep_h=48)
    answer = await house.post(ann, ASK, **{"avow-retention": value.encode()})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "avow-retention"
    assert house.upstream.requests == []


async def test_of_two_retention_headers_the_tighter_one_holds(house):
    ann = await house.customer(tenant_keep_h=48)
    await house.post(ann, ASK, **{"avow-retention": "0", "Avow-Retention": "40"})
    assert await house.traces() == []


async def test_the_words_of_a_failed_upstream_are_not_kept(house):
    ann = await house.customer(tenant_keep_h=48)
    house.upstream.then(Script(status=500), Script(garbage_after=0), Script(garbage_after=0))
    for stream in (False, False, True):
        await house.post(ann, {**ASK, "stream": stream})
    await house.settled(ann, 3)
    assert await house.traces() == []


async def test_what_was_delivered_of_a_broken_stream_is_kept(house):
    ann = await house.customer(tenant_keep_h=48)
    house.upstream.then(Script(die_after=2))
    await house.post(ann, {**ASK, "stream": True})
    (row,) = await house.traces()
    kept = await opened(house, ann, row)
    assert kept["response"]["choices"][0]["message"]["content"] == "Hello there"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_card_number_goes_to_the_upstream_and_back_and_is_kept_masked(house, stream):
    ann = await house.customer(tenant_keep_h=48)
    card, masked = "4111 1111 1111 1111", "**** **** **** 1111"
    house.upstream.then(Script(tokens=("Your card ", card, " is fine.")))
    asked = {**ASK, "stream": stream, "messages": [{"role": "user", "content": f"Is {card} a card?"}]}
    answer = await house.post(ann, asked)
    await house.settled(ann)
    assert card in answer.text and masked not in answer.text
    (sent,) = house.upstream.requests
    assert sent["messages"] == asked["messages"]
    (row,) = await house.traces()
    kept = await opened(house, ann, row)
    assert kept["request"]["messages"][0]["content"] == f"Is {masked} a card?"
    assert kept["response"]["choices"][0]["message"]["content"] == f"Your card {masked} is fine."
