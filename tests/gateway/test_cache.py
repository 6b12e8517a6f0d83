"""Answers given again: to whom, what they cost, how long they stay, and who never gets them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from avow.accounts.tables import api_key
from avow.gateway import cache, tables
from avow.gateway.cache import Cache
from avow.gateway.scripted import Script
from avow.policy import parse
from avow.vault import standing

from .house import HELLO, MODEL, TEXT

ASK = {"model": MODEL, "messages": HELLO, "temperature": 0}
USE = {"avow-cache": "use"}
EMBED = {"model": MODEL, "input": "Say hello."}


async def ask(house, who, body=ASK, path="", **headers):
    """What the answer says of the cache."""
    answer = await house.post(who, body, path=path, **headers)
    assert answer.status_code == 200, answer.text
    return answer.headers["avow-cache"]


async def entries(house):
    async with house.databases.keeper.begin() as c:
        return list((await c.execute(select(tables.cached_answer).order_by(tables.cached_answer.c.since))).all())


async def test_the_same_again_is_given_again_for_nothing_and_is_on_the_bill_as_that(house):
    ann = await house.customer(tenant_keep_h=48)
    house.upstream.then(Script(tokens=("Only", " once.")))
    first, second = [await house.post(ann, ASK) for _ in range(2)]
    assert (first.headers["avow-cache"], second.headers["avow-cache"]) == ("miss", "hit")
    assert first.content == second.content and "Only once." in second.text
    assert len(house.upstream.requests) == 1
    assert float(first.headers["avow-cost"]) > 0 and second.headers["avow-cost"] == "0.000000000"
    row = await house.settled(ann, 2)
    assert (row.why, row.status, row.amount, row.input_tokens, row.output_tokens) == ("cached", 200, 0, 0, 0)
    assert (await house.wallet(ann))[1] == 0
    assert [trace.id for trace in await house.traces()] == [each.id for each in await house.usages(ann)]
    (kept,) = await entries(house)
    assert (kept.subject_id, kept.tenant_id) == (ann.subject_id, ann.tenant_id)
    assert kept.id == (await house.usages(ann))[0].id and b"Only" not in kept.box
    assert kept.ends_at == kept.since + timedelta(hours=1)


@pytest.mark.parametrize(
    ("path", "body", "headers", "said"),
    [
        ("", ASK, {}, "miss"),
        ("", {**ASK, "temperature": 0.0}, {}, "miss"),
        ("", ASK, {"avow-cache": "off"}, "off"),
        ("", ASK, {"avow-retention": "0"}, "off"),
        ("", {**ASK, "temperature": 1}, {}, "off"),
        ("", {**ASK, "temperature": 1}, USE, "miss"),
        ("", {"model": MODEL, "messages": HELLO}, {}, "off"),
        ("", {**ASK, "stream": True}, USE, "off"),
        ("/v1/responses", {"model": MODEL, "input": "x", "temperature": 0}, {}, "miss"),
        ("/v1/messages", {**ASK, "max_tokens": 5}, {}, "miss"),
        ("/v1/embeddings", EMBED, {}, "miss"),
        ("/v1/moderations", EMBED, {}, "miss"),
        ("/v1/rerank", {"model": MODEL, "query": "q", "documents": ["a"]}, {}, "miss"),
    ],
)
async def test_what_is_always_the_same_is_kept_unasked_and_the_rest_by_the_clients_word(
    house, path, body, headers, said
):
    ann = await house.customer(tenant_keep_h=48)
    assert await ask(house, ann, body, path, **headers) == said
    again = await ask(house, ann, body, path, **headers)
    assert again == ("hit" if said == "miss" else "off")
    assert len(house.upstream.requests) == (1 if said == "miss" else 2)
    await house.settled(ann, 2)
    assert len(await entries(house)) == (said == "miss")


async def test_where_no_content_is_kept_there_is_no_cache_whatever_the_client_says(house):
    for ann in (await house.customer(), await house.customer(tenant_keep_h=0), await house.customer(keep_h=24)):
        assert [await ask(house, ann, **USE) for _ in range(2)] == ["off", "off"]
    assert len(house.upstream.requests) == 6 and await entries(house) == []


@pytest.mark.parametrize("value", ["", "yes", "USE", "use, off", "1"])
async def test_another_word_is_refused(house, value):
    ann = await house.customer(tenant_keep_h=48)
    answer = await house.post(ann, ASK, **{"avow-cache": value})
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "avow-cache"


async def test_each_part_of_a_request_makes_another_answer(house):
    ann = await house.customer(tenant_keep_h=48)
    others = ({"seed": 1}, {"max_tokens": 5}, {"user": "anna"}, {"user": "bob"}, {"stop": ["x"]})
    said = [await ask(house, ann, {**ASK, **other}) for other in ({}, *others)]
    assert said == ["miss"] * 6
    assert await ask(house, ann, dict(reversed(ASK.items()))) == "hit", "the order of fields means nothing"


async def test_nobody_is_given_what_another_was_answered(house, monkeypatch):
    """Not another organisation, nor a colleague; and should the hashes ever be the same, row security still says no."""
    ann, bob = await house.customer(tenant_keep_h=48), await house.customer(tenant_keep_h=48)
    assert [await ask(house, who) for who in (ann, bob, ann, bob)] == ["miss", "miss", "hit", "hit"]
    kim = await house.customer(tenant_keep_h=48)
    colleague = {"tenant_id": ann.tenant_id, "wallet_id": ann.wallet_id}
    await house.execute(update(api_key).where(api_key.c.id == kim.key_id).values(**colleague))
    assert await ask(house, kim) == "miss"
    assert len(house.upstream.requests) == 3
    monkeypatch.setattr(Cache, "_digest", lambda *_: b"the same for everybody")
    assert [await ask(house, who) for who in (ann, bob, kim, ann)] == ["miss", "miss", "miss", "hit"]
    assert len(house.upstream.requests) == 6


async def test_another_policy_begins_anew(house):
    ann = await house.customer(tenant_keep_h=48)
    assert await ask(house, ann) == "miss"
    house.vault.policy = parse(
        TEXT.replace('features = ["tls"', 'features = ["tls", "processors"').replace("version = 1 ", "version = 2 ")
    )
    await house.bump_epoch()
    assert [await ask(house, ann) for _ in range(2)] == ["miss", "hit"]


async def test_an_entry_is_read_no_more_after_its_end_and_another_takes_its_place(house):
    ann = await house.customer(tenant_keep_h=48)
    assert [await ask(house, ann) for _ in range(2)] == ["miss", "hit"]
    house.clock.move(timedelta(hours=1, seconds=1))
    assert [await ask(house, ann) for _ in range(2)] == ["miss", "hit"]
    (kept,) = await entries(house)
    assert kept.ends_at > house.clock.now()


async def test_an_entry_stays_no_longer_than_the_request_itself(house):
    house.vault.policy = parse(
        TEXT.replace('features = ["tls"', 'features = ["tls", "processors"').replace("at most 1 hour", "at most 9 days")
    )
    await house.bump_epoch()
    ann = await house.customer(tenant_keep_h=24)
    assert await ask(house, ann, **{"avow-retention": "6"}) == "miss"
    (kept,) = await entries(house)
    assert kept.ends_at == kept.since + timedelta(hours=6) == (await house.traces())[0].ends_at


async def test_who_had_the_use_of_their_data_restricted_gets_nothing_from_it(house):
    ann = await house.customer(tenant_keep_h=48)
    assert await ask(house, ann) == "miss"
    for value, said in ((True, "off"), (False, "hit")):
        async with house.databases.keeper.begin() as c:
            given = {"value": value, "at": house.clock.now()}
            await standing.record(c, house.vault.policy, ann.tenant_id, ann.subject_id, "restriction", **given)
        assert await ask(house, ann) == said
    assert len(await entries(house)) == 1


async def test_who_is_erased_leaves_an_entry_that_nobody_can_open(house):
    ann = await house.customer(tenant_keep_h=48)
    assert await ask(house, ann) == "miss"
    house.vault.ring.destroy_holders(ann.subject_id, ["cache"], house.clock.now())
    assert [await ask(house, ann) for _ in range(2)] == ["miss", "miss"]


async def test_what_failed_or_holds_a_card_number_is_not_given_again(house):
    ann = await house.customer(tenant_keep_h=48)
    house.upstream.then(Script(status=500), Script(tokens=("Card 4111 1111 1111 1111.",)))
    assert (await house.post(ann, ASK)).status_code == 502
    assert [await ask(house, ann) for _ in range(3)] == ["miss", "miss", "hit"]


async def test_the_oldest_go_when_there_are_too_many_or_too_large_ones(house, monkeypatch):
    ann, bob = await house.customer(tenant_keep_h=48), await house.customer(tenant_keep_h=48)
    await ask(house, bob)
    monkeypatch.setattr(cache, "ENTRIES_MAX", 3)
    for seed in range(5):
        house.clock.move(timedelta(seconds=1))
        await ask(house, ann, {**ASK, "seed": seed})
    mine = [row for row in await entries(house) if row.tenant_id == ann.tenant_id]
    assert len(mine) == 3 and [await ask(house, ann, {**ASK, "seed": seed}) for seed in (4, 3, 2)] == ["hit"] * 3
    monkeypatch.setattr(cache, "BYTES_MAX", 2 * len(mine[0].box) + 100)
    await ask(house, ann, {**ASK, "seed": 6})
    async with house.databases.keeper.begin() as c:
        size = await c.scalar(
            select(func.sum(func.octet_length(tables.cached_answer.c.box))).where(
                tables.cached_answer.c.tenant_id == ann.tenant_id
            )
        )
    assert 0 < size <= cache.BYTES_MAX
    assert await ask(house, bob) == "hit", "what others keep does not push mine out"


async def test_a_cache_that_does_not_answer_stops_nobody(house, monkeypatch):
    async def lost(*_):
        raise ConnectionError

    ann = await house.customer(tenant_keep_h=48)
    monkeypatch.setattr(Cache, "_find", lost)
    assert await ask(house, ann) == "off"
    monkeypatch.undo()
    monkeypatch.setattr(Cache, "_put", lost)
    assert await ask(house, ann) == "miss"
