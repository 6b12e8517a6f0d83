"""A consent is on record with what was shown, its person has a receipt of it, and a signal of the browser refuses."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient
from sqlalchemy import text

from avow.base.actor import Actor
from avow.policy import Keep, Policy, parse
from avow.policy.asking import notices
from avow.policy.model import Part
from avow.privacy import consents, erase, requests, standings, versions
from avow.privacy.consent_receipts import Maker
from avow.privacy.needs import Needs
from avow.privacy.standings import Whose
from avow.proof import receipts
from avow.proof.log import Log
from avow.vault import Vault, standing
from tests.privacy.desks import Above
from tests.privacy.scratch import PROFILE, Person

RECORDS = "/api/privacy/consent-records"
GPC = {"sec-gpc": "1"}
WAITING = """SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""


@pytest.fixture
def asking(on: Needs, vault: Vault) -> Needs:
    """A policy that asks for four consents."""
    part = Part("consent", "", MappingProxyType({"asked": ("ads", "analytics", "sharing", "training")}))
    account = replace(on.policy.categories["account"], purposes=("service", "ads"))
    made = replace(
        on.policy,
        parts=MappingProxyType({**on.policy.parts, "consent": part}),
        categories=MappingProxyType({**on.policy.categories, "account": account}),
    )
    vault.policy = made
    return replace(on, policy=made)


def maker(on: Needs) -> Maker:
    return Maker(on.signer, "http://avow.test")


def of(asking: Needs, name: str, locale: str = "en") -> tuple[str]:
    """Where a consent is given to the text in a language."""
    return (f"/api/privacy/consents/{name}?notice={notices(asking.policy, name)[locale].hash}",)


async def records(client: AsyncTestClient[Litestar], **query: str) -> list[dict[str, Any]]:
    answer = await client.get(RECORDS, params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_the_record_of_a_consent_holds_the_text_that_was_shown(
    client: AsyncTestClient[Litestar], asking: Needs
) -> None:
    shown = {each["name"]: each for each in (await client.get("/api/privacy/consents")).json()}
    assert set(shown) == {"ads", "analytics", "sharing", "training"}
    assert {each["given"] for each in shown.values()} == {None}
    text, hash = shown["training"]["text"]["zh"], shown["training"]["hash"]["zh"]
    assert hashlib.sha256(text.encode()).hexdigest() == hash
    assert (await client.put("/api/privacy/consents/training", params={"notice": hash})).status_code == 204
    [record] = await records(client)
    assert (record["name"], record["given"], record["how"]) == ("training", True, "account")
    assert (record["text"], record["hash"], record["locale"]) == (text, hash, "zh")
    assert record["policy_version"] == asking.policy.version


async def test_what_was_not_shown_is_not_consented_to(client: AsyncTestClient[Litestar], asking: Needs) -> None:
    answer = await client.put("/api/privacy/consents/training", params={"notice": "0" * 64})
    assert (answer.status_code, answer.json()["code"]) == (409, "notice_changed")
    assert (await client.put("/api/privacy/consents/training", params={"notice": "0" * 65})).status_code == 400
    assert await records(client) == []


async def test_a_consent_is_given_to_a_text_and_a_withdrawal_says_only_what_was_shown(
    client: AsyncTestClient[Litestar], asking: Needs
) -> None:
    answer = await client.put("/api/privacy/consents/ads")
    assert (answer.status_code, answer.json()["code"]) == (400, "notice_needed") and answer.json()["hint"]
    assert await records(client) == []
    for notice in ("", f"?notice={notices(asking.policy, 'ads')['zh'].hash}"):
        assert (await client.put(*of(asking, "ads"))).status_code == 204
        assert (await client.delete(f"/api/privacy/consents/ads{notice}")).status_code == 204
        newest = (await records(client))[0]
        assert not newest["given"] and (newest["text"], newest["hash"], newest["locale"]) == (
            (notices(asking.policy, "ads")["zh"].text, notice[-64:], "zh") if notice else (None, None, None)
        )


async def test_nobody_fills_the_log_with_words_and_taking_back_is_always_possible(
    client: AsyncTestClient[Litestar], asking: Needs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consents, "WORDS_MAX", 4)
    for number in range(6):
        answer = await client.put(*of(asking, "ads"))
        assert answer.status_code == (204 if number < 2 else 429), answer.text
        assert (await client.delete("/api/privacy/consents/ads")).status_code == 204
    assert answer.json()["code"] == "consents_slowed"
    async with asking.database.begin() as c:
        assert await c.scalar(text("SELECT count(*) FROM log_entry")) == 4
    assert (await client.delete("/api/privacy/consents/training")).status_code == 204, "to refuse is no giving"


async def test_only_a_recipient_of_the_register_is_asked_about_and_another_language_is_no_other_word(
    client: AsyncTestClient[Litestar], asking: Needs, above: Above
) -> None:
    answer = await client.put(*of(asking, "sharing:lab"))
    assert (answer.status_code, answer.json()["code"]) == (404, "purpose_unknown")
    above.recipients = frozenset({"lab"})
    listed = {each["name"]: each["hash"]["en"] for each in (await client.get("/api/privacy/consents")).json()}
    assert of(asking, "sharing:lab")[0].endswith(listed["sharing:lab"])
    for locale in ("en", "zh", "en"):
        assert (await client.put(*of(asking, "sharing:lab", locale))).status_code == 204
    assert [each["name"] for each in await records(client)] == ["sharing:lab"]
    above.recipients = frozenset()
    assert (await client.delete("/api/privacy/consents/sharing:lab")).status_code == 204


async def test_a_signal_that_is_heard_four_times_at_once_is_written_down_once(
    asking: Needs, vault: Vault, ada: Person
) -> None:
    async def heed() -> None:
        async with asking.database.begin() as c:
            await consents.heed_signal(c, vault, maker(asking), Whose(ada.tenant_id, ada.id), asking.clock.now())

    async with asking.database.begin() as c:
        await c.execute(consents._LOCK, {"name": f"consent {ada.id}"})
        tasks = [asyncio.create_task(heed()) for _ in range(4)]
        while (await c.scalar(text(WAITING))) < len(tasks) and not any(each.done() for each in tasks):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await asyncio.gather(*tasks)
    async with asking.database.begin() as c:
        found = await c.scalars(text("SELECT purpose FROM standing WHERE said_how = 'signal' AND kind = 'consent'"))
    assert sorted(found) == ["ads", "analytics", "sharing"]


async def test_saying_the_same_again_adds_nothing_and_pages_end(
    client: AsyncTestClient[Litestar], asking: Needs
) -> None:
    for _ in range(2):
        assert (await client.put(*of(asking, "ads"))).status_code == 204
    for _ in range(2):
        assert (await client.delete("/api/privacy/consents/ads")).status_code == 204
    newest, first = await records(client)
    assert (newest["given"], first["given"]) == (False, True)
    assert await records(client, before=newest["id"]) == [first]
    assert await records(client, before=first["id"]) == []


async def test_a_receipt_is_signed_and_says_what_became_of_it(
    client: AsyncTestClient[Litestar], asking: Needs, ada: Person
) -> None:
    key = receipts.Receipts(asking.ring).public_key
    await client.delete("/api/privacy/consents/ads")
    await client.put(*of(asking, "ads"))
    await client.delete("/api/privacy/consents/ads")
    states = []
    for record in await records(client):
        answer = await client.get(f"{RECORDS}/{record['id']}/receipt")
        assert "attachment" in answer.headers["content-disposition"]
        signed = receipts.verify(answer.content, key)
        assert signed["pii_principal_id"] == str(ada.id) and signed["schema_version"] == "ISO/IEC TS 27560:2023"
        assert signed["pii_processing"]["notice_text"] == record["text"]
        assert signed["pii_processing"]["notice_hash"] == record["hash"]
        [event] = signed["event"]
        assert event["event_time"] == record["at"].replace("Z", "+00:00")
        states.append(event["event_state"])
        with pytest.raises(receipts.ReceiptBroken):
            receipts.verify(answer.content.replace(b'"purpose":"ads"', b'"purpose":"all"'), key)
    assert states == ["ConsentWithdrawn", "ConsentGiven", "ConsentRefused"]


async def test_each_word_is_a_leaf_of_the_log_and_the_proof_outlives_its_salt(
    client: AsyncTestClient[Litestar], asking: Needs, vault: Vault, ada: Person, above: Above, tmp_path: Path
) -> None:
    log, key = Log(tmp_path, asking.ring, "http://avow.test"), receipts.Receipts(asking.ring).public_key
    above.complete = log.complete
    await client.put(*of(asking, "training"))
    await client.delete("/api/privacy/consents/training")
    async with asking.database.begin() as c:
        await consents.heed_signal(c, vault, maker(asking), Whose(ada.tenant_id, ada.id), asking.clock.now())

    async def kept() -> list[bytes]:
        return [(await client.get(f"{RECORDS}/{each['id']}/receipt")).content for each in await records(client)]

    assert [receipts.in_log(each, key) for each in await kept()] == [None] * 5
    await log.extend(asking.database)
    mine = await kept()
    places = [receipts.in_log(each, key) for each in mine]
    assert sorted(place.leaf for place in places if place is not None) == [0, 1, 2, 3, 4]
    async with asking.database.begin() as c:
        rows = (await c.execute(text("SELECT salt, content FROM log_entry"))).all()
        boxes = b"".join(await c.scalars(text("SELECT box FROM standing WHERE kind = 'consent'")))
    assert {tuple(row) for row in rows} == {(None, None)}
    for each in mine:
        assert bytes.fromhex(json.loads(each)["salt"]) not in boxes and json.loads(each)["salt"].encode() not in boxes
    await erase.run(asking, await ada.ask(asking))
    async with asking.database.begin() as c:
        assert await c.scalar(text("SELECT count(*) FROM standing")) == 0
    assert [receipts.in_log(each, key) for each in mine] == places and (await log.verify(asking.database)).wrong == ()


def keeping(policy: Policy, days: int) -> Policy:
    consent = replace(policy.categories["consent"], keep=Keep("period", days, "days"))
    return replace(policy, categories=MappingProxyType({**policy.categories, "consent": consent}))


async def test_a_receipt_tells_how_long_it_was_kept_when_it_was_said(
    client: AsyncTestClient[Litestar], asking: Needs, vault: Vault, ada: Person
) -> None:
    source, at = PROFILE.read_text(), asking.clock.now()
    async with asking.database.begin() as c:
        await versions.begin(c, parse(source), source, at)
    vault.policy = keeping(asking.policy, 40)
    await client.put(*of(asking, "ads"))
    async with asking.database.begin() as c:
        lapse = {"value": False, "at": at, "purpose": "ads", "shown": {"said_how": "lapse"}}
        await standing.record(c, asking.policy, ada.tenant_id, ada.id, "consent", **lapse)
    vault.policy = keeping(asking.policy, 7)
    said = []
    for record in await records(client):
        document = (await client.get(f"{RECORDS}/{record['id']}/receipt")).content
        signed = receipts.verify(document, receipts.Receipts(asking.ring).public_key)
        said.append((signed["event"][0]["event_state"], signed["pii_processing"]["retention_period"]))
    assert said == [("ConsentWithdrawn", "life of the account"), ("ConsentGiven", "40 days")]


async def test_nobody_reads_the_records_of_another(
    client: AsyncTestClient[Litestar], asking: Needs, vault: Vault
) -> None:
    other = Person()
    async with asking.database.begin() as c:
        at = asking.clock.now()
        shown = notices(asking.policy, "ads")["en"]
        whose = Whose(other.tenant_id, other.id)
        await consents.say(c, vault, maker(asking), whose, "ads", at, given=True, notice=shown)
        rows = await consents.records(
            c,
            vault,
            Actor("subject", str(other.id), "subject", other.tenant_id, other.id),
            Whose(other.tenant_id, other.id),
        )
    assert await records(client) == []
    answer = await client.get(f"{RECORDS}/{rows[0].id}/receipt")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_global_privacy_control_takes_back_refuses_and_lets_nothing_be_given(
    client: AsyncTestClient[Litestar], asking: Needs, vault: Vault, ada: Person, above: Above
) -> None:
    whose = Whose(ada.tenant_id, ada.id)
    above.recipients = frozenset({"lab"})
    for name in ("ads", "sharing:lab", "training"):
        assert (await client.put(*of(asking, name))).status_code == 204
    for _ in range(2):
        async with asking.database.begin() as c:
            await consents.heed_signal(c, vault, maker(asking), whose, asking.clock.now())
    async with asking.database.begin() as c:
        held = await standings.held(c, whose, asking.clock.now())
    assert held.consented == {"training"} and held.objected == {"ads"}
    by_signal = [
        (each["name"], each["given"], each["text"]) for each in await records(client) if each["how"] == "signal"
    ]
    assert sorted(by_signal) == [(name, False, None) for name in ("ads", "analytics", "sharing", "sharing:lab")]
    for name in ("ads", "sharing:lab"):
        refused = await client.put(f"/api/privacy/consents/{name}", headers=GPC)
        assert (refused.status_code, refused.json()["code"]) == (409, "gpc_honoured")
    assert (await client.put(*of(asking, "training"), headers=GPC)).status_code == 204
    assert (await client.put(*of(asking, "ads"), headers={"sec-gpc": "0"})).status_code == 204
    listed = {each["name"]: each for each in (await client.get("/api/privacy/consents", headers=GPC)).json()}
    assert listed["ads"]["given"] and listed["ads"]["refused_by_signal"] and not listed["training"]["refused_by_signal"]


async def test_an_objection_that_somebody_took_back_is_theirs_and_not_the_browsers(
    client: AsyncTestClient[Litestar], asking: Needs, vault: Vault, ada: Person
) -> None:
    whose = Whose(ada.tenant_id, ada.id)
    await client.post("/api/privacy/requests", json={"kind": "object", "purpose": "ads"})
    await client.delete("/api/privacy/standing/objections/ads")
    async with asking.database.begin() as c:
        await consents.heed_signal(c, vault, maker(asking), whose, asking.clock.now())
        assert (await standings.held(c, whose, asking.clock.now())).objected == frozenset()


async def test_a_consent_that_stands_is_taken_back_however_many_requests_were_made(
    client: AsyncTestClient[Litestar], asking: Needs
) -> None:
    withdrawal = {"kind": "withdraw", "purpose": "training"}
    for _ in range(requests.DAY_MAX):
        assert (await client.post("/api/privacy/requests", json=withdrawal)).status_code == 202
    refused = await client.post("/api/privacy/requests", json=withdrawal)
    assert (refused.status_code, refused.json()["code"]) == (429, "requests_slowed")
    assert (await client.put(*of(asking, "training"))).status_code == 204
    taken = await client.post("/api/privacy/requests", json=withdrawal)
    assert (taken.status_code, taken.json()["state"]) == (202, "succeeded")
    assert (await client.get("/api/privacy/standing")).json()["consented"] == []
