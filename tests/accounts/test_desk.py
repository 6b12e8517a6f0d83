"""What staff do at the desk about accounts, documents, prices and jobs: within their role, on record, and once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pyotp
import pytest
from sqlalchemy.exc import ProgrammingError
from tests.accounts.conftest import PASSWORD, House

from avow.accounts import staff
from avow.base.ids import uuid7
from avow.billing import credit
from avow.privacy import figures


async def hired(house: House, role: str) -> httpx.AsyncClient:
    """Somebody of the staff, signed in with a second factor."""
    email, until = f"{role}@avow.example", house.clock.now() + timedelta(days=30)
    browser = house.browser()
    await staff.appoint(house.needs, house.databases.keeper, {"email": email}, PASSWORD, role, until, "NDA")
    await browser.post("/api/auth/login", json={"email": email, "password": PASSWORD})
    secret = (await browser.post("/api/me/second-factor")).json()["secret"]
    code = {"code": pyotp.TOTP(secret).at(house.clock.now())}
    assert (await browser.post("/api/me/second-factor/confirm", json=code)).is_success
    return browser


@pytest.fixture
async def operator(house: House) -> AsyncIterator[httpx.AsyncClient]:
    browser = await hired(house, "operator")
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
    assert (await operator.post("/api/desk/credit", json=body)).json() == {"new": True}
    assert (await operator.post("/api/desk/credit", json=body)).json() == {"new": False}
    assert (await operator.post("/api/desk/credit", json=body | {"amount": "3"})).json()[
        "code"
    ] == "idempotency_mismatch"
    async with house.databases.keeper.begin() as c:
        assert await credit.balance(c, wallet) == (2_500_000_000, 0)
    lines = (await ada.get("/api/me/openings")).json()["openings"]
    assert ("grant credit", "ticket 9") in [(line["act"], line["reason"]) for line in lines]


async def test_the_database_gives_no_credit_for_who_is_no_staff(house: House) -> None:
    """Whatever the product's process asks for: a route that was turned is no way to money."""
    ada = await house.signed_in()
    me = (await ada.get("/api/me")).json()
    wallet = await wallet_of(house, me)
    given = {"wallet_id": wallet, "subject_id": UUID(me["id"]), "amount": 1, "kind": "promotion", "key": "x"}
    with pytest.raises(ProgrammingError, match="no credit"):
        async with house.databases.app.tenant(UUID(me["tenant_id"])) as c:
            await credit.give(c, UUID(me["id"]), **given, at=house.clock.now(), policy_version=1)


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


async def test_only_a_failed_job_is_tried_anew(operator: httpx.AsyncClient) -> None:
    assert (await operator.post("/api/desk/jobs/retry", json={"id": 99})).json()["code"] == "job_unknown"


async def test_the_oldest_fact_of_each_category_that_is_kept_for_a_period(house: House) -> None:
    await house.signed_in()
    [first] = await house.query("SELECT min(since) AS since FROM audit")
    async with house.databases.keeper.begin() as c:
        oldest = await figures.oldest(c, house.needs.policy)
    assert oldest["audit"] == first.since
    assert "account" not in oldest, "it lives as long as its person"
