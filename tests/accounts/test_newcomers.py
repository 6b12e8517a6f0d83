"""What newcomers affirm under each profile: country, age and agreement; who cannot is refused and leaves nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.accounts.conftest import PASSWORD, House

from avow.accounts import affirmations, sign_up
from avow.catalog import metadata
from avow.policy import Policy, parse

PROFILES = Path(__file__).parents[2] / "profiles"
NAMES = ("deepailab", "imagine-trooper", "imaginprompt", "infer-mesh", "infiner")
ADA = "ada@example.org"

pytestmark = pytest.mark.parametrize("profile", NAMES)


@pytest.fixture
def policy(profile: str) -> Policy:
    return parse((PROFILES / f"{profile}.toml").read_text())


def given(policy: Policy, **other: Any) -> dict[str, Any]:
    """A whole sign-up under a policy, with other values; None leaves a field out."""
    whole = {**sign_up.example(policy, ADA, PASSWORD, tells=False), **other}
    return {name: value for name, value in whole.items() if value is not None}


async def send(house: House, **other: Any) -> httpx.Response:
    async with house.browser() as browser:
        return await browser.post("/api/auth/signup", json=given(house.needs.policy, **other))


async def everything(house: House) -> dict[str, int]:
    """How many rows each table has."""
    return {table.name: await house.rows(table.name) for table in metadata.sorted_tables}


async def test_a_form_learns_what_to_ask_and_what_was_affirmed_is_kept_apart(house: House, policy: Policy) -> None:
    async with house.browser() as browser:
        form = (await browser.get("/api/auth/signup")).json()
        assert form["required"] == list(policy.account.required)
        assert form["age"]["minimum"] == policy.parts["age"].values["minimum"]
        assert (form["agree_to"] is None) is (policy.parts["acceptance"].values["how"] == "use")
        assert (await browser.post("/api/auth/signup", json=given(policy, agreed=form["agree_to"]))).status_code == 202
        await browser.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
        me = (await browser.get("/api/me")).json()
        assert set(me["facts"]) == {*policy.account.required}
        assert me["country"] == "DE"
        assert (await browser.get("/api/tenant/members")).json()["members"][0]["facts"] == me["facts"]
    (row,) = await house.query("SELECT accepted_how, accepted_version, accepted_terms FROM acceptance")
    terms = policy.version if policy.parts["acceptance"].values.get("terms") else None
    assert tuple(row) == (policy.parts["acceptance"].values["how"], policy.version, terms)
    assert await house.rows("standing") == 0, "no consent came with it"


async def test_who_is_too_young_or_does_not_agree_leaves_no_row_anywhere(house: House, policy: Policy) -> None:
    before = await everything(house)
    for country in ("DE", "US", "JP"):
        refused = await send(house, country=country, of_age=False)
        age = policy.parts["age"].values.get("by_country", {}).get(country, policy.parts["age"].values["minimum"])
        assert (refused.status_code, refused.json()["code"]) == (403, "too_young")
        assert f"{age} years" in refused.json()["detail"]
    if policy.parts["acceptance"].values["how"] == "explicit":
        for agreed in (None, [], False):
            refused = await send(house, agreed=agreed)
            assert (refused.status_code, refused.json()["code"]) == (403, "not_agreed")
        stale = await send(house, agreed=[version + 1 for version in affirmations.versions(policy)])
        assert (stale.status_code, stale.json()["code"]) == (409, "agreed_to_another")
    assert await everything(house) == before
    assert await house.mail() == []


HALF_SAID: tuple[tuple[str, Any], ...] = (
    *(("country", None), ("country", "de"), ("country", "XX"), ("country", "D\u0415"), ("country", ["DE"])),
    *(("of_age", None), ("of_age", "true"), ("of_age", 1), ("birth_date", "2001-01-01"), ("age", 30)),
)


async def test_nothing_half_said_is_taken(house: House, policy: Policy) -> None:
    explicit = policy.parts["acceptance"].values["how"] == "explicit"
    agreed = [("agreed", value) for value in (([True], ["1"], 1) if explicit else ([1], True))]
    for field, value in (*HALF_SAID, *agreed):
        refused = await send(house, **{field: value})
        assert (refused.status_code, refused.json()["code"]) == (400, "field_refused"), (field, value)
        assert refused.json()["param"] == field
    assert await house.rows("person") == 0


async def test_another_country_is_affirmed_anew(house: House) -> None:
    async with house.browser() as browser:
        await browser.post("/api/auth/signup", json=given(house.needs.policy))
        await browser.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
        before = (await browser.get("/api/me")).json()
        assert (await browser.patch("/api/me", json={"country": "AT"})).json()["param"] == "of_age"
        refused = await browser.patch("/api/me", json={"country": "AT", "of_age": False})
        assert refused.json()["code"] == "too_young"
        assert (await browser.get("/api/me")).json() == before
        moved = await browser.patch("/api/me", json={"country": "AT", "of_age": True})
        assert moved.json() == {**before, "country": "AT"}
        name = "username" if "username" in house.needs.policy.account.fields else "name"
        renamed = await browser.patch("/api/me", json={name: "Ada L."})
        assert (renamed.json()["country"], renamed.json()["facts"][name]) == ("AT", "Ada L.")


async def test_who_is_invited_affirms_the_same(house: House, policy: Policy) -> None:
    async with house.browser() as owner, house.browser() as bob:
        await owner.post("/api/auth/signup", json=given(policy))
        await owner.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
        await owner.post("/api/tenant/invitations", json={"email": "bob@example.org"})
        token = await house.token("bob@example.org", "invitation")
        told = {**given(policy, email=None), "token": token}
        refused = await bob.post("/api/invitations/accept", json={**told, "of_age": False})
        assert refused.json()["code"] == "too_young"
        assert (await bob.post("/api/invitations/accept", json=told)).status_code == 201
        await bob.post("/api/auth/login", json={"email": "bob@example.org", "password": PASSWORD})
        assert (await bob.get("/api/me")).json()["country"] == "DE"
