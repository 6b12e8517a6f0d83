"""Limits that keys share, over the routes: who may set which, who sees which, and that the ledger goes by them."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from tests.accounts.conftest import PROFILE, House
from tests.accounts.test_projects import ADA, EVE, join, make, refusal
from tests.accounts.test_staff import with_staff

from avow.billing import allowances
from avow.policy import Policy, parse

NONE = dict.fromkeys(
    (
        *("requests_per_min", "tokens_per_min", "parallel"),
        *("budget_day_nano", "budget_month_nano", "budget_total_nano"),
    )
)


@pytest.fixture
def policy() -> Policy:
    return parse(with_staff(PROFILE.read_text()))


async def test_owners_and_admins_limit_their_projects_and_everybody_there_sees_it(house: House) -> None:
    owner = await house.signed_in(ADA)
    project = await make(owner)
    where = f"/api/projects/{project['id']}/limits"
    set_ = await owner.put(where, json={"parallel": 3, "budget_day_nano": 500})
    wanted = {"id": project["id"], "kind": "project", "model": None}
    assert set_.json() == {**wanted, "limits": {**NONE, "parallel": 3, "budget_day_nano": 500}}
    member = await join(house, owner, "member")
    assert (await member.get("/api/limits")).json() == {"limits": [set_.json()], "currency": "USD", "after": None}
    assert refusal(await member.put(where, json={})) == (403, "not_permitted")
    assert (await owner.put(where, json={"parallel": 4})).json()["limits"] == {**NONE, "parallel": 4}
    for wrong in ({"parallel": 0}, {"parallel": 2**40}, {"budget": 5}, {"budget_day_nano": -1}, []):
        assert (await owner.put(where, json=wrong)).status_code == 400, wrong
    [row] = await house.query("SELECT kind, parallel, budget_day_nano FROM allowance")
    assert tuple(row) == ("project", 4, None)
    assert (await owner.put(where, json={})).json()["limits"] == NONE
    assert (await owner.get("/api/limits")).json()["limits"] == []


async def test_a_project_of_others_is_not_there_and_no_other_limit_is_theirs_to_set(house: House) -> None:
    owner, other = await house.signed_in(ADA), await house.signed_in(EVE)
    project, mine = await make(owner), await make(other)
    assert (await owner.put(f"/api/projects/{project['id']}/limits", json={"parallel": 3})).is_success
    for path in (f"/api/projects/{project['id']}/limits", f"/api/projects/{UUID(int=7)}/limits"):
        assert refusal(await other.put(path, json={})) == (404, "not_found")
    assert (await other.get("/api/limits", params={"after": mine["id"]})).json()["limits"] == []
    asked = {"kind": "organisation", "id": project["id"]}
    assert refusal(await other.post("/api/desk/limits", json=asked)) == (403, "not_permitted")
    assert refusal(await other.get("/api/desk/limits")) == (403, "not_permitted")


async def test_a_limit_needs_a_step_up(house: House) -> None:
    owner = await house.signed_in(ADA)
    project = await make(owner)
    house.clock.move(timedelta(minutes=10, seconds=1))
    assert refusal(await owner.put(f"/api/projects/{project['id']}/limits", json={})) == (403, "step_up_needed")


async def test_the_operator_limits_organisations_and_models_and_sees_all(house: House) -> None:
    owner = await house.signed_in(ADA)
    project = await make(owner)
    await owner.put(f"/api/projects/{project['id']}/limits", json={"parallel": 1})
    tenant_id = (await owner.get("/api/me")).json()["tenant_id"]
    staff = await house.hired("operator")
    await house.query("INSERT INTO model (id, context_tokens, output_tokens_max) VALUES ('a/b', 9, 9) RETURNING id")
    for asked in (
        {"kind": "organisation", "id": tenant_id, "limits": {"requests_per_min": 9}},
        {"kind": "model", "model": "a/b", "limits": {"tokens_per_min": 9}},
    ):
        assert (await staff.post("/api/desk/limits", json=asked)).status_code == 200
    pages, after = [], None
    for _ in range(3):
        page = (await staff.get("/api/desk/limits", params={"limit": 1} | ({"after": after} if after else {}))).json()
        pages, after = [*pages, *page["limits"]], page["after"]
        assert page["currency"] == "USD", "what a budget is said in"
    assert {each["id"] for each in pages} == {project["id"], tenant_id, str(allowances.of_model("a/b"))}
    seen = (await owner.get("/api/limits")).json()["limits"]
    assert {each["kind"] for each in seen} == {"organisation", "project"}, "a model's is nobody's own"
    for wrong in (
        {"kind": "model", "id": tenant_id},
        {"kind": "organisation", "model": "a/b"},
        {"kind": "project", "id": tenant_id, "model": "a/b"},
        {"kind": "wallet", "id": tenant_id},
    ):
        assert (await staff.post("/api/desk/limits", json=wrong)).status_code == 400, wrong
    for nothing in ({"kind": "organisation", "id": str(UUID(int=7))}, {"kind": "model", "model": "a/B"}):
        asked = {**nothing, "limits": {"parallel": 1}}
        assert refusal(await staff.post("/api/desk/limits", json=asked)) == (404, "not_found")
        assert (await staff.post("/api/desk/limits", json=nothing)).is_success, "what is no more can lose its limit"
