"""An upstream that is changed while the gateway runs: where the next request goes, and what is refused."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from avow.base.actor import GATEWAY, PLATFORM
from avow.base.errors import BadInput
from avow.gateway import offers, tables, upstream_terms
from avow.gateway.handling import Handling
from avow.gateway.scripted import Script, ScriptedUpstream
from avow.gateway.upstream_terms import (
    Change,
    CredentialStays,
    HandlingBelowPolicy,
    PartyUnsaid,
    UpstreamIsEngine,
    UpstreamMoved,
)

from .house import CREDENTIAL, HELLO, MODEL, OUTSIDE

ANOTHER = "sk-another-credential-0815"
ASK = {"model": MODEL, "messages": HELLO}


@pytest.fixture
async def elsewhere():
    """A second provider, which takes another credential."""
    async with ScriptedUpstream(ANOTHER) as made:
        yield made


async def amend(house, name="inside", revision=None, **wanted):
    """Change an upstream as the role of the product, which may read it and nothing else."""
    async with house.databases.app.tenant(PLATFORM) as c:
        now = house.clock.now()
        return await upstream_terms.change(c, house.vault, name, Change(**wanted), now, revision)


async def kept(house, name="inside"):
    async with house.databases.keeper.begin() as c:
        return (await c.execute(select(tables.upstream).where(tables.upstream.c.name == name))).one()


async def test_the_next_request_goes_to_the_new_address_with_the_new_credential(house, elsewhere):
    ann = await house.customer()
    assert (await house.post(ann, ASK)).status_code == 200
    made = await amend(house, base_url=f"{elsewhere.url}/v1", credential=ANOTHER)
    assert (await house.post(ann, ASK)).status_code == 200
    assert (len(house.upstream.requests), len(elsewhere.requests), elsewhere.refused) == (1, 1, [])
    assert made.before["credential"] == made.after["credential"] == "sealed" and made.forbidden == ""
    async with house.databases.keeper.begin() as c:
        lines = await c.execute(text("SELECT u::text FROM upstream u UNION ALL SELECT a::text FROM audit a"))
        stored = " ".join(lines.scalars())
    for secret in (CREDENTIAL, ANOTHER):
        assert secret not in stored + str(made) and secret.encode().hex() not in stored
    row = await kept(house)
    assert house.vault.open_credential("upstream", row.id, row.credential, GATEWAY) == ANOTHER


async def test_an_upstream_that_failed_is_asked_at_once_where_it_is_now(house, elsewhere):
    ann, fleet = await house.customer(), house.gateway.fleet
    house.upstream.script, house.upstream.lives = Script(status=500), False
    while (answer := await house.post(ann, ASK)).json()["error"]["code"] != "upstreams_down":
        assert answer.status_code in (502, 503)
    [old] = fleet._healths.values()
    probing = old.probing
    assert old.is_open and probing is not None
    await amend(house, base_url=f"{elsewhere.url}/v1", credential=ANOTHER)
    assert (await house.post(ann, ASK)).status_code == 200 and len(elsewhere.requests) == 1
    await asyncio.wait([probing])
    [(name, new)] = fleet.healths()
    assert probing.cancelled() and (name, new.is_open) == ("inside", False), "the address before is not asked any more"


async def test_a_change_to_what_somebody_else_has_changed_is_not_made(house):
    seen = (await kept(house)).revision
    await amend(house, leaving="drain", revision=seen)
    with pytest.raises(UpstreamMoved):
        await amend(house, leaving="unbilled", revision=seen)
    async with house.databases.keeper.begin() as c:
        await offers.drain(c, "inside")
    with pytest.raises(UpstreamMoved):
        await amend(house, leaving="unbilled", revision=seen + 1)
    now = await kept(house)
    assert (now.leaving, now.state, now.revision) == ("drain", "draining", seen + 2)
    await amend(house, leaving="unbilled", revision=now.revision)


async def test_two_changes_at_once_are_not_both_made(house):
    """The database itself makes a change to the revision that was read, or none."""
    both = await asyncio.gather(*(amend(house, leaving=each) for each in ("drain", "unbilled")), return_exceptions=True)
    done = [each for each in both if not isinstance(each, Exception)]
    assert len(done) + sum(isinstance(each, UpstreamMoved) for each in both) == 2
    assert (await kept(house)).revision == 1 + len(done)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"trains": True}, "acme may train"),
        ({"region": "US"}, "work in DE"),
        ({"region": None}, "work in DE"),
        ({"retention_h": 24}, "for longer"),
        ({"contract": None}, "dpa-acme"),
        ({"evidence_until": None}, "no valid evidence"),
        ({"processor": "stranger"}, "names no processor stranger"),
    ],
)
async def test_what_would_not_be_as_published_is_refused_with_the_reason_while_requests_go_there(house, wanted, reason):
    ann = await house.customer()
    with pytest.raises(HandlingBelowPolicy) as refused:
        await amend(house, "outside", **wanted)
    assert reason in refused.value.sentence.lower() or reason in refused.value.sentence
    assert refused.value.problem()["reason"]
    assert (await house.post(ann, {**ASK, "model": OUTSIDE})).status_code == 200, "all is as it was"
    await amend(house, "outside", state="draining")
    if "processor" in wanted:
        with pytest.raises(HandlingBelowPolicy):
            await amend(house, "outside", **wanted)
        return
    assert reason in (await amend(house, "outside", **wanted)).forbidden, (
        "how it is may be said of one that gets nothing"
    )
    assert reason in (await amend(house, "outside", state="active")).forbidden
    answer = await house.post(ann, {**ASK, "model": OUTSIDE})
    assert (answer.status_code, reason in answer.text) == (451, True), answer.text


async def test_what_is_not_bound_yet_is_made_so_step_by_step(house):
    async with house.databases.keeper.begin() as c:
        await offers.put_upstream(c, house.vault, "new", "https://new.example/v1", None, Handling("acme"))
    until = house.clock.now() + timedelta(days=9)
    steps = ({"region": "DE"}, {"trains": False, "retention_h": 0}, {"contract": "dpa-acme"}, {"evidence_until": until})
    assert [bool((await amend(house, "new", **step)).forbidden) for step in steps] == [True, True, True, False]


async def test_a_credential_does_not_follow_to_another_server(house):
    for url in ("https://elsewhere.example/v1", house.upstream.url.replace("http:", "https:") + "/v1"):
        with pytest.raises(CredentialStays):
            await amend(house, "outside", base_url=url)
    assert (await amend(house, "outside", base_url=f"{house.upstream.url}/v2")).forbidden == ""
    before = await kept(house, "outside")
    await amend(house, "outside", base_url="https://elsewhere.example/v1", credential=None)
    assert before.credential and (await kept(house, "outside")).credential is None


async def test_who_leaves_the_house_says_where_to(house):
    with pytest.raises(PartyUnsaid):
        await amend(house, base_url="https://api.example/v1", credential=None)
    with pytest.raises(HandlingBelowPolicy):
        await amend(house, base_url="https://api.example/v1", credential=None, processor="nobody")


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({"base_url": "notaurl"}, "base_url"),
        ({"base_url": "https://a:b@c.example/v1"}, "base_url"),
        ({"base_url": "https://c.example/v 1"}, "base_url"),
        ({"base_url": "https://c.example/v1#x"}, "base_url"),
        ({"base_url": "https://c.example/\r\nx: y"}, "base_url"),
        ({"base_url": "https://例.example/v1"}, "base_url"),
        ({"base_url": "https://c.example:99999/v1"}, "base_url"),
        ({"credential": ""}, "credential"),
        ({"credential": "a\r\nb: c"}, "credential"),
        ({"credential": "schlüssel"}, "credential"),
        ({"credential": "x" * 8001}, "credential"),
        ({"kind": "nobody"}, "kind"),
        ({"retention_h": 2**31}, "retention_h"),
    ],
)
async def test_what_no_request_could_be_sent_with_is_refused_by_its_name(house, wanted, param):
    with pytest.raises(BadInput) as refused:
        await amend(house, **wanted)
    assert refused.value.param == param
    assert not wanted.get("credential") or wanted["credential"] not in refused.value.sentence
    assert (await kept(house)).revision == 1


async def test_an_engine_is_no_provider(house):
    async with house.databases.keeper.begin() as c:
        await offers.put_engine(c, "engine")
    with pytest.raises(UpstreamIsEngine):
        await amend(house, "engine", base_url="https://c.example/v1")


def test_a_change_shows_no_credential():
    assert ANOTHER not in repr(Change(credential=ANOTHER)) and "credential" in repr(Change(credential=ANOTHER))


async def test_calls_under_way_end_where_they_began(house, elsewhere):
    ann, fleet = await house.customer(), house.gateway.fleet
    house.upstream.script = Script(gate=asyncio.Event(), gate_after=1)
    running = asyncio.create_task(house.post(ann, {**ASK, "stream": True}))
    await house.upstream.arrived.wait()
    await amend(house, base_url=f"{elsewhere.url}/v1", credential=ANOTHER)
    assert (await house.post(ann, ASK)).status_code == 200
    assert [(name, health.in_flight) for name, health in fleet.healths()] == [("inside", 1), ("inside", 0)]
    before, now = (health for _, health in fleet.healths())
    assert (before.left, now.left, now.revision) == (True, False, (await kept(house)).revision)
    house.upstream.script.gate.set()
    assert "[DONE]" in (await running).text
    assert [health.in_flight for _, health in fleet.healths()] == [0, 0]
