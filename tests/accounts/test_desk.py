"""What staff do at the desk about accounts, documents, prices and jobs: within their role, on record, and once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, get_args
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import ProgrammingError
from tests.accounts.conftest import House

from avow.base import jobs
from avow.base.ids import uuid7
from avow.billing import credit, prices
from avow.billing.prices import PER, Counts, Price, Seal
from avow.gateway import offers
from avow.gateway.handling import Handling
from avow.gateway.offers import Offer
from avow.gateway.tables import model
from avow.policy.words import STAFF_PURPOSES
from avow.privacy import figures

PAINTS = "paints/pictures"


@pytest.fixture
async def operator(house: House) -> AsyncIterator[httpx.AsyncClient]:
    browser = await house.hired("operator")
    yield browser
    await browser.aclose()


async def wallet_of(house: House, me: dict[str, Any]) -> UUID:
    """A wallet with nothing in it, which this house gives nobody by itself."""
    wallet = uuid7()
    async with house.databases.keeper.begin() as c:
        await credit.begin(c, UUID(me["tenant_id"]), UUID(me["id"]), wallet, house.clock.now(), policy_version=1)
    return wallet


async def test_a_credit_comes_from_staff_with_a_reason_and_stands_on_the_persons_record(
    house: House, operator: httpx.AsyncClient
) -> None:
    ada = await house.signed_in()
    me = (await ada.get("/api/me")).json()
    assert me["staff"] is None and (await operator.get("/api/me")).json()["staff"] == "operator"
    wallet = await wallet_of(house, me)
    body = {"subject": me["id"], "amount": "2.50", "kind": "correction", "key": str(uuid7()), "reason": "ticket 9"}
    for wrong, code in (
        ({"reason": " "}, "reason_missing"),
        ({"amount": "-1"}, "invalid_request"),
        ({"amount": "1e30"}, "invalid_request"),
        ({"amount": "0.0000000001"}, "invalid_request"),
        ({"subject": str(uuid7())}, "not_found"),
    ):
        refused = await operator.post("/api/desk/credit", json=body | wrong)
        assert refused.json()["code"] == code, (wrong, refused.text)
    for new in (True, False):
        done = (await operator.post("/api/desk/credit", json=body)).json()
        purse = {
            "id": str(wallet),
            "currency": "USD",
            "balance": "2.500000000",
            "held": "0.000000000",
            "state": "active",
        }
        assert done == {"new": new, "wallet": purse}, "what is shown after it is what there is"
    assert (await operator.post("/api/desk/credit", json=body | {"amount": "3"})).json()[
        "code"
    ] == "idempotency_mismatch"
    async with house.databases.keeper.begin() as c:
        assert await credit.balance(c, wallet) == (2_500_000_000, 0)
    lines = (await ada.get("/api/me/openings")).json()["openings"]
    said = [line["act"] for line in lines if line["reason"] == "ticket 9"]
    assert said == ["look at account", "grant credit"], (
        "what was given once is done once; who came again saw the wallet"
    )


async def test_everybody_is_told_what_their_role_may_call(house: House, operator: httpx.AsyncClient) -> None:
    ada = (await (await house.signed_in()).get("/api/me")).json()
    staff_member = (await operator.get("/api/me")).json()
    assert {"PATCH /api/tenant", "DELETE /api/tenant/members/{member_id}"} <= {*ada["may"]}
    assert not [route for route in ada["may"] if "/desk/" in route] and ada["purposes"] == []
    assert "POST /api/desk/prices" in staff_member["may"] and "PATCH /api/tenant" not in staff_member["may"]
    assert "POST /api/desk/openings" not in staff_member["may"], "that is the auditor's"
    assert "GET /api/me/sessions" not in [*ada["may"], *staff_member["may"]], "that is everybody's who is signed in"
    assert set(staff_member["purposes"]) == STAFF_PURPOSES["operator"]


@pytest.mark.parametrize("counts", [*get_args(Counts), None])
async def test_only_a_model_that_is_paid_by_tokens_takes_a_price_of_them(
    house: House, operator: httpx.AsyncClient, counts: Counts | None
) -> None:
    seal, now = Seal.of(house.needs.ring), house.clock.now()
    old = Price(uuid7(), PAINTS, "USD", 0, 0, 0, now, image_nano=10_000_000 * PER, counts=counts)
    async with house.databases.keeper.begin() as c:
        await c.execute(insert(model), {"id": PAINTS, "context_tokens": 10, "output_tokens_max": 10})
        await prices.put(c, old, seal)
    house.clock.move(timedelta(seconds=1))
    answer = await operator.post("/api/desk/prices", json={"model": PAINTS, "input": "0.15", "output": "0.60"})
    versions = (await operator.get("/api/desk/prices", params={"model": PAINTS})).json()
    if counts is not None:
        assert (answer.status_code, answer.json()["code"]) == (409, "price_not_by_tokens")
        assert [each["input"] for each in versions] == ["0.000000000"], "nothing was changed"
        return
    new, before = versions
    assert (new["input"], new["output"], before["input"]) == ("0.150000000", "0.600000000", "0.000000000")
    assert new["image"] == before["image"] == "10000.000000000", "what is not named stays as it is"


async def test_an_upstream_is_changed_by_one_operator_at_a_time_and_its_key_is_in_no_answer(
    house: House, operator: httpx.AsyncClient
) -> None:
    async with house.databases.keeper.begin() as c:
        await offers.put_upstream(c, house.needs.vault, "a/b", "http://127.0.0.1:9/v1", "sk-before", Handling(None))
        await offers.put_engine(c, "engine")

    async def change(browser: httpx.AsyncClient = operator, **wanted: Any) -> httpx.Response:
        return await browser.patch("/api/desk/upstreams", json={"name": "a/b", **wanted})

    async def seen() -> dict[str, Any]:
        page = (await operator.get("/api/desk/upstreams")).json()["upstreams"]
        assert "sk-" not in str(page)
        return next(each for each in page if each["name"] == "a/b")

    second, before = await house.hired("operator"), await seen()
    assert (before["revision"], before["has_credential"], before["leaving"]) == (1, True, "estimate")
    done = await change(revision=1, base_url="http://127.0.0.1:10/v1", credential="sk-after", leaving="drain")
    assert (done.status_code, done.json()) == (200, {"refused": None})
    late = await change(second, revision=1, leaving="unbilled")
    assert (late.status_code, late.json()["code"]) == (409, "upstream_moved")
    after = await seen()
    assert after == before | {"base_url": "http://127.0.0.1:10/v1", "leaving": "drain", "revision": 2}
    for wanted, code in (
        ({"base_url": "http://127.0.0.1:11/v1"}, "credential_stays"),
        ({"processor": "nobody"}, "handling_below_policy"),
        ({"name": "engine", "revision": 1, "leaving": "drain"}, "upstream_is_engine"),
        ({"name": "nobody", "leaving": "drain"}, "not_found"),
        ({"leaving": "soon"}, "invalid_request"),
        ({"retention_h": -1}, "invalid_request"),
        ({"price": 1}, "invalid_request"),
    ):
        refused = await change(**{"revision": 2, **wanted})
        assert refused.json()["code"] == code, (wanted, refused.text)
        assert "sk-" not in refused.text
    auditor = await house.hired("auditor")
    assert (await change(auditor, revision=2, leaving="drain")).json()["code"] == "not_permitted"
    assert await seen() == after
    for browser in (second, auditor):
        await browser.aclose()


async def test_a_route_is_changed_by_one_operator_at_a_time(house: House, operator: httpx.AsyncClient) -> None:
    async with house.databases.keeper.begin() as c:
        await offers.put_upstream(c, house.needs.vault, "at/home", "http://127.0.0.1:9/v1", None, Handling(None))
        offer = Offer("a/routed", "at/home", "theirs", 10, 10, 1, 1)
        await offers.put_model(c, offer, house.clock.now(), Seal.of(house.needs.ring))

    async def change(browser: httpx.AsyncClient = operator, **wanted: Any) -> httpx.Response:
        named = {"model": "a/routed", "upstream": "at/home", "revision": 2, **wanted}
        return await browser.patch("/api/desk/models/routes", json=named)

    async def seen() -> list[dict[str, Any]]:
        page = (await operator.get("/api/desk/models")).json()["models"]
        return next(each["routes"] for each in page if each["id"] == "a/routed")

    [before] = await seen()
    terms = {"their_name": "theirs", "rank": 0, "weight": 1, "cost": "0.000000000", "revision": 1}
    assert before == {"upstream": "at/home", **terms}
    assert (await change(revision=1, rank=2, cost="0.15")).status_code == 204
    after = [before | {"rank": 2, "cost": "0.150000000", "revision": 2}]
    assert await seen() == after
    for wanted, code in (
        ({"revision": 1, "weight": 2}, "route_moved"),
        ({"model": "nobody", "weight": 2}, "not_found"),
        ({"upstream": "nobody", "weight": 2}, "not_found"),
        ({"weight": 0}, "invalid_request"),
        ({"rank": 2**31}, "invalid_request"),
        ({"cost": "1" * 41}, "invalid_request"),
        ({"cost": "soon"}, "invalid_request"),
        ({"cost_nano": 1}, "invalid_request"),
    ):
        assert (await change(**wanted)).json()["code"] == code, wanted
    for role in ("auditor", "billing"):
        other = await house.hired(role)
        assert (await change(other, weight=2)).json()["code"] == "not_permitted"
        await other.aclose()
    assert await seen() == after


async def test_the_database_gives_no_credit_for_who_is_no_staff(house: House) -> None:
    """Whatever the product's process asks for: a route that was turned is no way to money."""
    ada = await house.signed_in()
    me = (await ada.get("/api/me")).json()
    wallet = await wallet_of(house, me)
    given = {"wallet_id": wallet, "subject_id": UUID(me["id"]), "amount": 1, "kind": "promotion", "key": "x"}
    with pytest.raises(ProgrammingError, match="no credit"):
        async with house.databases.app.tenant(UUID(me["tenant_id"])) as c:
            await credit.grant(c, staff_id=UUID(me["id"]), **given, at=house.clock.now(), policy_version=1)


async def test_documents_are_paged_by_their_end_and_bad_ones_are_refused(
    house: House, operator: httpx.AsyncClient
) -> None:
    now = house.clock.now()

    def body(days: float, **more: Any) -> dict[str, Any]:
        dates = {"valid_from": now.isoformat(), "valid_until": (now + timedelta(days=days)).isoformat()}
        return {"names": ["audits"], "content": "YQ==", "issuer": f"In {days} days", **dates, **more}

    for wrong, code in (
        (body(1, content="not base 64!"), "invalid_request"),
        (body(1, names=["../up"]), "document_refused"),
        (body(1, issuer="<script>"), "document_refused"),
        (body(-1), "document_refused"),
    ):
        assert (await operator.post("/api/desk/evidence", json=wrong)).json()["code"] == code, wrong
    for days in (3, 1, 2):
        assert (await operator.post("/api/desk/evidence", json=body(days))).status_code == 201
    first = (await operator.get("/api/desk/evidence", params={"limit": 2})).json()
    rest = (await operator.get("/api/desk/evidence", params={"limit": 2, "after": first["after"]})).json()
    assert [each["issuer"] for page in (first, rest) for each in page["documents"]] == [
        f"In {n} days" for n in (1, 2, 3)
    ]
    assert rest["after"] is None
    unsaid = await operator.post("/api/desk/evidence/withdraw", json={"name": "audits", "reason": " "})
    assert (unsaid.status_code, unsaid.json()["code"]) == (400, "reason_missing")
    gone = await operator.post("/api/desk/evidence/withdraw", json={"name": "audits", "reason": "wrong"})
    again = await operator.post("/api/desk/evidence/withdraw", json={"name": "audits", "reason": "wrong"})
    assert gone.status_code == 204 and again.json()["code"] == "document_unknown"


async def test_a_text_is_checked_line_by_line_and_nothing_is_kept_of_it(
    house: House, operator: httpx.AsyncClient
) -> None:
    checked = (
        await operator.post("/api/desk/policy/check", json={"source": 'version = 1\nname = "x"\nkeeep = 3\n'})
    ).json()
    assert checked["hash"] is None and (3, "keeep") in [(each["line"], each["path"]) for each in checked["remarks"]]
    assert await house.rows("policy_wish") == await house.rows("policy_plan") == 0


async def test_only_a_failed_job_is_tried_anew(house: House, operator: httpx.AsyncClient) -> None:
    async with house.databases.keeper.begin() as c:
        await jobs.put(c, "waiting", uuid7())
        waits = await c.scalar(text("SELECT id FROM jobs.pgqueuer WHERE entrypoint = 'waiting'"))
    for id in (waits, waits + 99):
        refused = await operator.post("/api/desk/jobs/retry", json={"id": id})
        assert (refused.status_code, refused.json()["code"]) == (404, "job_unknown")
    for state, status in (("picked", 404), ("failed", 202)):
        async with house.databases.keeper.begin() as c:
            await c.execute(text(f"UPDATE jobs.pgqueuer SET status = '{state}' WHERE id = :id"), {"id": waits})
        assert (await operator.post("/api/desk/jobs/retry", json={"id": waits})).status_code == status


async def test_the_oldest_fact_of_each_category_that_is_kept_for_a_period(house: House) -> None:
    await house.signed_in()
    # Ids are made in the order of time; the clock that facts carry may have been moved by other tests.
    [first] = await house.query("SELECT since FROM audit WHERE ends_at IS NOT NULL ORDER BY id LIMIT 1")
    async with house.databases.keeper.begin() as c:
        oldest = await figures.oldest(c, house.needs.policy)
    assert oldest["audit"] == first.since
    assert "account" not in oldest, "it lives as long as its person"


async def test_an_entry_about_a_person_stands_where_they_see_it(house: House) -> None:
    """One that names another organisation would let their data go and show them nothing of it."""
    ada, bob = await house.signed_in("ada@example.org"), await house.signed_in("bob@example.org")
    hers, his = [(await each.get("/api/me")).json() for each in (ada, bob)]
    entry = {"to": "stub", "recipient": "A stub", "purpose": "security", "region": "DE", "basis": "protection"}
    entry |= {"fields": {"account": ["email"]}}
    staff = await house.hired("privacy")
    for number, tenant in enumerate((his["tenant_id"], str(uuid4()), hers["tenant_id"])):
        about = {"entry": {**entry, "name": f"e{number}"}, "reason": "asked", "subject": hers["id"], "tenant": tenant}
        answer = await staff.post("/api/desk/register", json=about)
        assert (answer.status_code == 404) == (tenant != hers["tenant_id"]), answer.text
    rows = await house.query("SELECT DISTINCT tenant_id, subject_id FROM register_entry")
    assert [(str(row.tenant_id), str(row.subject_id)) for row in rows] == [(hers["tenant_id"], hers["id"])]
