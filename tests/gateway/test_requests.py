"""`/api/requests`: one's own requests, opened for their owner, over real HTTP."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import httpx
import pytest
from litestar import Litestar
from sqlalchemy import insert, select, update

from avow.accounts.needs import Needs
from avow.accounts.tables import api_key, project
from avow.base.ids import uuid7
from avow.billing.tables import usage
from avow.gateway import api
from avow.gateway.tables import cached_answer
from avow.privacy.consent_receipts import Maker
from avow.privacy.tombstones import Tombstones
from avow.proof.receipts import Receipts
from avow.vault.tables import audit
from tests import LIMIT_S

from .house import HELLO, MODEL, serving

ASK = {"model": MODEL, "messages": HELLO}


@pytest.fixture
async def platform(house, tmp_path):
    """The URL of the platform API over the same house."""

    async def no_credit(*_: object) -> None:
        raise AssertionError("nobody signs up here")

    needs = Needs(
        clock=house.clock,
        database=house.databases.app,
        ring=house.vault.ring,
        vault=house.vault,
        first_credit=no_credit,
        base_url="http://localhost",
        secure=False,
        directory=house.directory,
        tombstones=Tombstones(tmp_path / "tombstones", house.vault.ring),
        consent_receipts=Maker(Receipts(house.vault.ring), "http://localhost"),
    )
    async with serving(Litestar([api.router(needs)], openapi_config=None)) as url:
        yield url
    needs.passwords.close()


def browse(url: str, who) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=LIMIT_S, headers={"authorization": f"Bearer {who.secret}"})


async def test_requests_are_listed_newest_first_in_pages(house, platform):
    ann, bob = await house.customer(tenant_keep_h=48), await house.customer()
    for number in range(5):
        await house.post(ann, ASK, **({"avow-retention": "0"} if number % 2 else {}))
    await house.post(bob, ASK)
    async with browse(platform, ann) as client:
        first = (await client.get("/api/requests", params={"limit": 3})).json()
        second = (await client.get("/api/requests", params={"limit": 3, "after": first["after"]})).json()
    listed = first["requests"] + second["requests"]
    assert len(first["requests"]) == 3 and len(second["requests"]) == 2 and second["after"] is None
    assert [each["id"] for each in listed] == [str(row.id) for row in reversed(await house.usages(ann))]
    assert [each["stored"] for each in listed] == [True, False, True, False, True]
    assert {each["cost"] for each in listed} == {"0.000020000"}
    assert all((each["expires_at"] is not None) == each["stored"] for each in listed)


async def test_a_kept_request_opens_for_its_owner_and_is_on_record(house, platform):
    ann = await house.customer(tenant_keep_h=48)
    made = (await house.post(ann, ASK)).headers["avow-request-id"]
    async with browse(platform, ann) as client:
        answer = await client.get(f"/api/requests/{made}")
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    assert answer.json()["request"]["messages"] == HELLO
    assert answer.json()["response"]["choices"][0]["message"]["content"] == "Hello there."
    async with house.databases.keeper.begin() as c:
        (seen,) = (await c.execute(select(audit).where(audit.c.subject_id == ann.subject_id))).all()
    assert (seen.purpose, seen.category, seen.outcome) == ("access", "api_content", "opened")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_what_is_anothers_or_unknown_is_not_there(house, platform, method):
    ann, bob = await house.customer(tenant_keep_h=48), await house.customer(tenant_keep_h=48)
    kept = (await house.post(ann, ASK)).headers["avow-request-id"]
    unkept = (await house.post(ann, ASK, **{"avow-retention": "0"})).headers["avow-request-id"]
    never_made = (await house.post(bob, {**ASK, "model": "nothing"})).headers["avow-request-id"]
    async with browse(platform, bob) as client:
        for request_id in (kept, unkept, never_made, uuid7()):
            answer = await client.request(method, f"/api/requests/{request_id}")
            assert answer.status_code == 404 and answer.json()["code"] == "not_found"
        assert (await client.request(method, "/api/requests/not-an-id")).status_code in (400, 404)
    assert len(await house.traces()) == 1


async def test_each_request_that_is_listed_can_be_asked_for_kept_or_not(house, platform):
    ann = await house.customer(tenant_keep_h=48)
    await house.post(ann, ASK)
    await house.post(ann, ASK, **{"avow-retention": "0"})
    async with browse(platform, ann) as client:
        listed = (await client.get("/api/requests")).json()["requests"]
        shown = [(await client.get(f"/api/requests/{each['id']}")).json() for each in listed]
        unkept, kept = shown
        assert unkept == listed[0] and unkept["cost"] == "0.000020000" and not unkept["stored"]
        assert {**kept, **listed[1]} == kept and kept.keys() - listed[1].keys() == {"request", "response"}
        assert (await client.delete(f"/api/requests/{unkept['id']}")).status_code == 404


async def test_what_was_said_can_be_read_when_its_usage_has_ended_before(house, platform):
    ann = await house.customer(tenant_keep_h=48)
    made = (await house.post(ann, ASK)).headers["avow-request-id"]
    await house.execute(update(usage).values(ends_at=house.clock.now()))
    async with browse(platform, ann) as client:
        assert (await client.get("/api/requests")).json()["requests"] == []
        shown = (await client.get(f"/api/requests/{made}")).json()
    assert shown["stored"] and shown["request"]["messages"] == HELLO and "cost" not in shown


async def test_a_colleague_neither_sees_nor_ends_what_somebody_asked(house, platform):
    ann, kim = await house.customer(tenant_keep_h=48), await house.customer(tenant_keep_h=48)
    colleague = {"tenant_id": ann.tenant_id, "wallet_id": ann.wallet_id}
    await house.execute(update(api_key).where(api_key.c.id == kim.key_id).values(**colleague))
    made = (await house.post(ann, ASK)).headers["avow-request-id"]
    async with browse(platform, kim) as client:
        assert (await client.get("/api/requests")).json()["requests"] == []
        for method in ("GET", "DELETE"):
            assert (await client.request(method, f"/api/requests/{made}")).status_code == 404
        assert (await client.delete("/api/requests")).is_success
    assert len(await house.traces()) == 1


async def test_a_deleted_request_is_gone_at_once_and_its_charge_stays(house, platform, tmp_path):
    ann = await house.customer(tenant_keep_h=48)
    made = (await house.post(ann, ASK)).headers["avow-request-id"]
    async with browse(platform, ann) as client:
        assert (await client.delete(f"/api/requests/{made}")).status_code == 204
        stones = Tombstones(tmp_path / "tombstones", house.vault.ring)
        assert [(stone.table, stone.name) for stone in stones.read()] == [
            (table, stones.item(table, UUID(made))) for table in ("trace", "cached_answer")
        ]
        assert (await client.delete(f"/api/requests/{made}")).status_code == 404
        (listed,) = (await client.get("/api/requests")).json()["requests"]
        assert (await client.get(f"/api/requests/{made}")).json() == listed
    assert listed["stored"] is False and listed["cost"] == "0.000020000"
    assert await house.traces() == []


@pytest.mark.parametrize("all_of_them", [False, True])
async def test_what_is_deleted_is_not_given_again(house, platform, all_of_them):
    ann = await house.customer(tenant_keep_h=48)
    always_the_same = {**ASK, "temperature": 0}
    made = (await house.post(ann, always_the_same)).headers["avow-request-id"]
    async with browse(platform, ann) as client:
        assert (await client.delete("/api/requests" if all_of_them else f"/api/requests/{made}")).is_success
    async with house.databases.keeper.begin() as c:
        assert (await c.execute(select(cached_answer))).all() == []
    assert (await house.post(ann, always_the_same)).headers["avow-cache"] == "miss"


async def test_what_has_ended_is_hidden_before_the_sweep_comes(house, platform):
    ann = await house.customer(tenant_keep_h=2)
    made = (await house.post(ann, ASK)).headers["avow-request-id"]
    house.clock.move(timedelta(hours=2, seconds=5))
    async with browse(platform, ann) as client:
        (listed,) = (await client.get("/api/requests")).json()["requests"]
        assert listed["stored"] is False and listed["expires_at"] is None
        assert (await client.get(f"/api/requests/{made}")).json() == listed
        house.clock.move(timedelta(days=31))
        assert (await client.get("/api/requests")).json()["requests"] == []
        assert (await client.get(f"/api/requests/{made}")).status_code == 404
    assert len(await house.traces()) == 1


async def test_what_a_destroyed_key_kept_reads_as_not_stored(house, platform):
    ann = await house.customer(tenant_keep_h=48)
    made = (await house.post(ann, ASK)).headers["avow-request-id"]
    await asyncio.to_thread(house.vault.ring.destroy_holders, ann.subject_id, None, house.clock.now())
    async with browse(platform, ann) as client:
        shown = (await client.get(f"/api/requests/{made}")).json()
    assert shown["stored"] is False and not {"request", "response"} & shown.keys()


async def test_a_call_whose_key_was_destroyed_meanwhile_is_answered_and_not_kept(house):
    ann = await house.customer(tenant_keep_h=48)
    await asyncio.to_thread(house.vault.ring.destroy_holders, ann.subject_id, None, house.clock.now())
    answer = await house.post(ann, ASK)
    assert answer.status_code == 200 and answer.headers["avow-stored"] == "none"
    assert await house.traces() == []


async def test_the_policy_of_a_request_names_the_level_of_each_value(house, platform):
    """Platform, organisation, project, key, header: and the header reaches what was said, not that it was said."""
    ann = await house.customer(tenant_keep_h=48, keep_h=36)
    id = uuid7()
    begun = {"tenant_id": ann.tenant_id, "subject_id": ann.tenant_id, "since": house.clock.now(), "policy_version": 1}
    await house.execute(insert(project).values(id=id, box=b"", keep_h=24, **begun))
    await house.execute(update(api_key).where(api_key.c.id == ann.key_id).values(project_id=id))
    house.directory.forget(ann.tenant_id)
    plain = (await house.post(ann, ASK)).headers
    short = (await house.post(ann, ASK, **{"avow-retention": "2"})).headers
    async with browse(platform, ann) as client:
        for made, value, level in ((plain, "24 hours", "project"), (short, "2 hours", "request")):
            told = (await client.get(f"/api/requests/{made['avow-request-id']}/policy")).json()
            lines = {line["name"]: line for line in told["lines"]}
            content = lines["keep api_content"]
            assert content["value"].startswith(f"{value}, until ") and content["level"] == level
            assert datetime.fromisoformat(content["value"].partition("until ")[2]) == datetime.fromisoformat(
                made["avow-expires-at"]
            )
            assert lines["keep usage"]["value"].startswith("720 hours") and lines["keep usage"]["level"] == "platform"


async def test_nobody_is_shown_anything_without_a_key_or_session(platform):
    async with httpx.AsyncClient(base_url=platform, timeout=LIMIT_S) as client:
        assert (await client.get("/api/requests")).status_code == 401
        assert (await client.get(f"/api/requests/{uuid7()}")).status_code == 401
        assert (
            await client.delete(f"/api/requests/{uuid7()}", headers={"sec-fetch-site": "same-origin"})
        ).status_code == 401
