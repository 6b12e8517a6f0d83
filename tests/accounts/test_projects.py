"""Projects: who makes them, what they do to the keys that belong to them, and that archiving stops those."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.accounts.conftest import PASSWORD, House

from avow.accounts.directory import KeyArchived, KeyRevoked
from avow.billing.prices import Prices
from avow.gateway.rules import Rules

ADA, BOB, EVE = "ada@example.org", "bob@example.org", "eve@example.org"


async def make(browser: httpx.AsyncClient, name: str = "Zürich", **other: Any) -> dict[str, Any]:
    made = await browser.post("/api/projects", json={"name": name, **other})
    assert made.status_code == 201, made.text
    project: dict[str, Any] = made.json()
    return project


async def join(house: House, owner: httpx.AsyncClient, role: str) -> httpx.AsyncClient:
    """A browser of Bob, who accepted an invitation to the owner's organisation."""
    await owner.post("/api/tenant/invitations", json={"email": BOB, "role": role})
    token, browser = await house.token(BOB, "invitation"), house.browser()
    assert (await browser.post("/api/invitations/accept", json={"token": token, "password": PASSWORD})).is_success
    assert (await browser.post("/api/auth/login", json={"email": BOB, "password": PASSWORD})).is_success
    return browser


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_a_project_is_made_renamed_listed_and_its_name_lies_sealed(house: House) -> None:
    owner = await house.signed_in(ADA)
    await owner.patch("/api/tenant", json={"keep_h": 48})
    first, second = await make(owner, "Sesame", keep_h=24), await make(owner)
    renamed = await owner.patch(f"/api/projects/{first['id']}", json={"name": "  Poppy "})
    assert renamed.json() == {**first, "name": "Poppy"}
    page = (await owner.get("/api/projects", params={"limit": 1})).json()
    assert page == {"projects": [renamed.json()], "after": first["id"]}
    assert (await owner.get("/api/projects", params={"after": first["id"]})).json() == {
        "projects": [second],
        "after": None,
    }
    (row, _) = await house.query("SELECT t::text AS told FROM project t ORDER BY id")
    assert all(word not in row.told and word.encode().hex() not in row.told for word in ("Sesame", "Poppy"))


async def test_members_see_projects_and_use_them_and_only_managers_change_them(house: House) -> None:
    owner = await house.signed_in(ADA)
    project = await make(owner)
    member = await join(house, owner, "member")
    assert (await member.get("/api/projects")).json()["projects"] == [project]
    assert (await member.post("/api/keys", json={"project_id": project["id"]})).status_code == 201
    assert refusal(await member.post("/api/projects", json={"name": "x"})) == (403, "not_permitted")
    change = await member.patch(f"/api/projects/{project['id']}", json={"archived": True})
    assert refusal(change) == (403, "not_permitted")


async def test_a_project_of_another_organisation_is_not_there(house: House) -> None:
    owner, other = await house.signed_in(ADA), await house.signed_in(EVE)
    project, key = await make(owner), (await other.post("/api/keys", json={})).json()
    assert (await other.get("/api/projects")).json()["projects"] == []
    for answer in (
        await other.patch(f"/api/projects/{project['id']}", json={"archived": True}),
        await other.post("/api/keys", json={"project_id": project["id"]}),
        await other.patch(f"/api/keys/{key['id']}", json={"project_id": project["id"]}),
    ):
        assert refusal(answer) == (404, "not_found")
    assert (await owner.get("/api/projects")).json()["projects"] == [project]


async def test_archiving_stops_the_keys_of_a_project_and_no_others(house: House) -> None:
    owner = await house.signed_in(ADA)
    project = await make(owner)
    of_it, apart, revoked = [
        (await owner.post("/api/keys", json={"project_id": id})).json() for id in (project["id"], None, project["id"])
    ]
    await owner.delete(f"/api/keys/{revoked['id']}")
    find = house.needs.directory.find
    assert (await find(of_it["secret"])).key_id
    archived = await owner.patch(f"/api/projects/{project['id']}", json={"archived": True})
    assert archived.json()["archived_at"] is not None
    with pytest.raises(KeyArchived):
        await find(of_it["secret"])
    with pytest.raises(KeyRevoked):
        await find(revoked["secret"])
    assert await find(apart["secret"])
    async with house.browser(authorization=f"Bearer {of_it['secret']}") as program:
        assert refusal(await program.get("/api/me")) == (403, "key_archived")
    # The ledger, which decides about money, looks at nothing but the key's own state.
    states = {str(row.id): row.state for row in await house.query("SELECT id, state FROM api_key")}
    assert states == {of_it["id"]: "archived", apart["id"]: "active", revoked["id"]: "revoked"}
    for refused in (
        await owner.post("/api/keys", json={"project_id": project["id"]}),
        await owner.patch(f"/api/keys/{apart['id']}", json={"project_id": project["id"]}),
        await owner.patch(f"/api/keys/{of_it['id']}", json={"name": "x"}),
        await owner.post(f"/api/keys/{of_it['id']}/rotate", json={}),
    ):
        assert refusal(refused) == (409, "project_archived")
    await owner.patch(f"/api/projects/{project['id']}", json={"archived": False})
    assert await find(of_it["secret"])
    with pytest.raises(KeyRevoked):
        await find(revoked["secret"])


async def test_a_key_that_is_revoked_while_its_project_is_archived_never_works_again(house: House) -> None:
    owner = await house.signed_in(ADA)
    project = await make(owner)
    key = (await owner.post("/api/keys", json={"project_id": project["id"]})).json()
    await owner.patch(f"/api/projects/{project['id']}", json={"archived": True})
    assert (await owner.delete(f"/api/keys/{key['id']}")).status_code == 204
    await owner.patch(f"/api/projects/{project['id']}", json={"archived": False})
    with pytest.raises(KeyRevoked):
        await house.needs.directory.find(key["secret"])


async def test_what_collects_more_or_lets_keys_work_again_needs_a_step_up(house: House) -> None:
    """A thief of the cookie may shorten and archive; whoever lengthens has just shown who they are."""
    owner = await house.signed_in(ADA)
    await owner.patch("/api/tenant", json={"keep_h": 24})
    project = await make(owner, keep_h=12)
    where = f"/api/projects/{project['id']}"
    house.clock.move(timedelta(minutes=10, seconds=1))
    for path, less in (("/api/tenant", {"keep_h": 12}), (where, {"keep_h": 6}), (where, {"archived": True})):
        assert (await owner.patch(path, json=less)).is_success
    more: list[tuple[str, dict[str, Any]]] = [
        ("/api/tenant", {"keep_h": 13}),
        (where, {"keep_h": 7}),
        (where, {"keep_h": None}),
        (where, {"archived": False}),
    ]
    for path, change in more:
        assert refusal(await owner.patch(path, json=change)) == (403, "step_up_needed")
    await owner.patch("/api/tenant", json={"keep_h": None})
    assert refusal(await owner.patch("/api/tenant", json={"keep_h": 1})) == (403, "step_up_needed"), "to ask is more"
    shown = (await owner.get("/api/projects")).json()["projects"][0]
    assert shown["keep_h"] == 6 and shown["archived_at"] is not None
    assert (await owner.post("/api/auth/step-up", json={"password": PASSWORD})).status_code == 200
    for path, change in more:
        assert (await owner.patch(path, json=change)).is_success


@pytest.mark.parametrize(
    ("tenant_h", "project_h", "key_h", "kept_h"),
    [(48, 24, None, 24), (48, 24, 12, 12), (48, 24, 36, 24), (24, 48, None, 24), (None, 24, None, 0), (48, 0, None, 0)],
)
async def test_a_project_shortens_what_its_keys_keep_and_never_lengthens_it(
    house: House, tenant_h: int | None, project_h: int, key_h: int | None, kept_h: int
) -> None:
    owner = await house.signed_in(ADA)
    await owner.patch("/api/tenant", json={"keep_h": tenant_h})
    project = await make(owner, keep_h=project_h)
    key = (await owner.post("/api/keys", json={"project_id": project["id"], "keep_h": key_h})).json()
    found = await house.needs.directory.find(key["secret"])
    assert Rules(0, house.needs.policy, {}, Prices()).plan(found).keep_h("api_content") == kept_h
    await owner.patch(f"/api/projects/{project['id']}", json={"keep_h": 0})
    found = await house.needs.directory.find(key["secret"])
    assert Rules(0, house.needs.policy, {}, Prices()).plan(found).keep_h("api_content") == 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": " \n"}, None),
        ({"name": "x" * 201}, None),
        ({"name": "\x07"}, None),
        ({"name": 7}, None),
        ({"name": "x", "keep_h": -1}, "keep_h"),
        ({"name": "x", "keep_h": 721}, "keep_h"),
        ({"name": "x", "tenant_id": "x"}, "tenant_id"),
        ({"name": "x", "archived": True}, "archived"),
    ],
)
async def test_what_is_no_project_is_refused(house: House, body: Any, param: str | None) -> None:
    owner = await house.signed_in(ADA)
    refused = await owner.post("/api/projects", json=body)
    assert refused.status_code == 400
    assert param is None or refused.json()["param"] == param
    assert await house.rows("project") == 0


async def test_two_tabs_archive_and_make_a_key_and_no_working_key_is_left(house: House) -> None:
    owner = await house.signed_in(ADA)
    project = await make(owner)
    made, archived = await asyncio.gather(
        owner.post("/api/keys", json={"project_id": project["id"]}),
        owner.patch(f"/api/projects/{project['id']}", json={"archived": True}),
    )
    assert archived.is_success
    assert made.status_code in (201, 409)
    assert [row.state for row in await house.query("SELECT state FROM api_key WHERE state = 'active'")] == []
