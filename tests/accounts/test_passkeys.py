"""Passkeys with a software authenticator: added, used, and nothing replayed, moved or copied."""

import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from tests.accounts.authenticator import Authenticator
from tests.accounts.conftest import PASSWORD, House

from avow.accounts import ceremonies
from avow.accounts.networks import Networks

ADA = "ada@example.org"


async def add(house: House, browser: httpx.AsyncClient, device: Authenticator, name: str = "key") -> httpx.Response:
    options = await browser.post("/api/me/passkeys/begin")
    assert options.status_code == 200, options.text
    return await browser.post("/api/me/passkeys", json={"credential": device.create(options.json()), "name": name})


async def enter(house: House, device: Authenticator, browser: httpx.AsyncClient | None = None) -> httpx.Response:
    browser = browser or house.browser()
    options = (await browser.post("/api/auth/passkey/begin")).json()
    return await browser.post("/api/auth/passkey", json={"credential": device.get(options)})


@pytest.fixture
def device(house: House) -> Authenticator:
    return Authenticator(house.needs.base_url)


async def test_a_passkey_signs_in_without_a_name(house: House, device: Authenticator) -> None:
    browser = await house.signed_in(ADA)
    options = (await browser.post("/api/me/passkeys/begin")).json()
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert (await add(house, browser, device, "laptop")).status_code == 201
    assert "passkey was added" in (await house.mail())[-1][2]
    other = house.browser()
    entered = await enter(house, device, other)
    me = (await browser.get("/api/me")).json()
    assert (entered.status_code, entered.json()["id"]) == (200, me["id"])
    assert (await other.get("/api/me")).json() == me
    listed = (await other.get("/api/me/passkeys")).json()
    assert [(each["name"], each["last_used_at"] is not None) for each in listed] == [("laptop", True)]


async def test_an_answer_counts_once(house: House, device: Authenticator) -> None:
    await add(house, await house.signed_in(ADA), device)
    browser = house.browser()
    options = (await browser.post("/api/auth/passkey/begin")).json()
    cookie = browser.cookies["avow-ceremony"]
    answer = device.get(options)
    assert (await browser.post("/api/auth/passkey", json={"credential": answer})).status_code == 200
    thief = house.browser()
    thief.cookies.set("avow-ceremony", cookie)
    replayed = await thief.post("/api/auth/passkey", json={"credential": answer})
    assert (replayed.status_code, replayed.json()["code"]) == (400, "ceremony_refused")
    await thief.post("/api/auth/passkey/begin")
    replayed = await thief.post("/api/auth/passkey", json={"credential": answer})
    assert (replayed.status_code, replayed.json()["code"]) == (401, "passkey_refused")


async def test_an_answer_belongs_to_the_browser_that_asked(house: House, device: Authenticator) -> None:
    await add(house, await house.signed_in(ADA), device)
    asked, other = house.browser(), house.browser()
    options = (await asked.post("/api/auth/passkey/begin")).json()
    assert (await other.post("/api/auth/passkey", json={"credential": device.get(options)})).status_code == 400
    await other.post("/api/auth/passkey/begin")
    assert (await other.post("/api/auth/passkey", json={"credential": device.get(options)})).status_code == 401


async def test_an_answer_is_too_late_after_ten_minutes_and_leaves_nothing(house: House, device: Authenticator) -> None:
    await add(house, await house.signed_in(ADA), device)
    browser = house.browser()
    options = (await browser.post("/api/auth/passkey/begin")).json()
    house.clock.move(timedelta(minutes=10))
    assert (await browser.post("/api/auth/passkey", json={"credential": device.get(options)})).status_code == 400
    await browser.post("/api/auth/passkey/begin")
    assert await house.rows("ceremony") == 1


async def test_a_copied_key_is_found_by_its_counter(house: House, device: Authenticator) -> None:
    await add(house, await house.signed_in(ADA), device)
    copied = replace(device)
    assert (await enter(house, device)).status_code == 200
    refused = await enter(house, copied)
    assert (refused.status_code, refused.json()["code"]) == (401, "passkey_refused")
    assert (await enter(house, device)).status_code == 200


async def test_a_device_that_does_not_count_is_taken(house: House) -> None:
    device = Authenticator(house.needs.base_url, counts=False)
    await add(house, await house.signed_in(ADA), device)
    for _ in range(2):
        assert (await enter(house, device)).status_code == 200


async def test_whoever_is_not_verified_by_the_device_is_refused(house: House, device: Authenticator) -> None:
    browser = await house.signed_in(ADA)
    careless = Authenticator(house.needs.base_url, verifies=False)
    refused = await add(house, browser, careless)
    assert (refused.status_code, refused.json()["code"]) == (400, "passkey_unfit")
    await add(house, browser, device)
    assert (await enter(house, replace(device, verifies=False))).status_code == 401
    assert (await enter(house, device)).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost", "null"])
async def test_another_sites_answer_is_refused(house: House, device: Authenticator, origin: str) -> None:
    browser = await house.signed_in(ADA)
    assert (await add(house, browser, Authenticator(origin))).status_code == 400
    await add(house, browser, device)
    assert (await enter(house, replace(device, origin=origin))).status_code == 401
    assert (await enter(house, replace(device, rp_id="evil.example"))).status_code == 401


async def test_another_persons_handle_or_another_key_is_refused(house: House, device: Authenticator) -> None:
    await add(house, await house.signed_in(ADA), device)
    eves = Authenticator(house.needs.base_url)
    await add(house, await house.signed_in("eve@example.org"), eves)
    for false in (
        replace(device, user=eves.user),
        replace(device, key=eves.key),
        replace(eves, credential_id=device.credential_id),
        replace(device, credential_id=b"x" * 32),
    ):
        assert (await enter(house, false)).json()["code"] == "passkey_refused"


async def test_a_registration_belongs_to_the_person_who_began_it(house: House, device: Authenticator) -> None:
    ada, eve = await house.signed_in(ADA), await house.signed_in("eve@example.org")
    options = (await ada.post("/api/me/passkeys/begin")).json()
    eve.cookies.set("avow-ceremony", ada.cookies["avow-ceremony"])
    refused = await eve.post("/api/me/passkeys", json={"credential": device.create(options)})
    assert (refused.status_code, refused.json()["code"]) == (400, "passkey_unfit")
    assert await house.rows("passkey") == 0


async def test_one_passkey_is_added_once(house: House, device: Authenticator) -> None:
    browser = await house.signed_in(ADA)
    await add(house, browser, device)
    options = (await browser.post("/api/me/passkeys/begin")).json()
    assert [each["id"] for each in options["excludeCredentials"]] == [device.create(options)["id"]]
    for again in (browser, await house.signed_in("eve@example.org")):
        refused = await add(house, again, device)
        assert (refused.status_code, refused.json()["code"]) == (400, "passkey_unfit")


async def test_a_removed_passkey_opens_nothing_and_only_its_person_removes_it(
    house: House, device: Authenticator
) -> None:
    browser, eve = await house.signed_in(ADA), await house.signed_in("eve@example.org")
    path = f"/api/me/passkeys/{(await add(house, browser, device)).json()['id']}"
    assert (await eve.delete(path)).status_code == 404
    assert (await enter(house, device)).status_code == 200
    assert (await browser.delete(path)).status_code == 204
    assert (await enter(house, device)).status_code == 401


async def test_a_passkey_is_a_step_up_and_adding_one_needs_it(house: House, device: Authenticator) -> None:
    browser = await house.signed_in(ADA)
    await add(house, browser, device)
    house.clock.move(timedelta(minutes=11))
    refused = await browser.post("/api/me/passkeys/begin")
    assert (refused.status_code, refused.json()["code"]) == (403, "step_up_needed")
    assert (await enter(house, device, browser)).status_code == 200
    assert (await browser.post("/api/me/passkeys/begin")).status_code == 200
    assert await house.rows("session") == 1


async def test_the_owner_who_takes_an_account_over_ends_a_strangers_passkeys(
    house: House, device: Authenticator
) -> None:
    await add(house, await house.signed_in(ADA), device)
    await house.browser().post("/api/auth/reset", json={"email": ADA})
    finished = {"token": await house.token(ADA, "reset"), "password": PASSWORD}
    assert (await house.browser().post("/api/auth/reset/finish", json=finished)).status_code == 204
    assert (await enter(house, device)).status_code == 401


async def test_a_place_without_a_name_says_so(house: House) -> None:
    object.__setattr__(house.needs, "base_url", "http://127.0.0.1:8080")
    for browser, path in ((house.browser(), "auth/passkey"), (await house.signed_in(ADA), "me/passkeys")):
        refused = await browser.post(f"/api/{path}/begin")
        assert (refused.status_code, refused.json()["code"]) == (409, "passkeys_need_a_name")


def distorted(credential: dict[str, Any]) -> list[dict[str, Any]]:
    """An answer with each of its parts gone or replaced by something odd."""
    made: list[dict[str, Any]] = [{}]
    for odd in (None, 7, "", "é", "A", "A" * 1000, [], {"x": {}}, "o2NmbXRkbm9uZQ", "gICAgA", "_____w"):
        made += [{**credential, name: odd} for name in ("id", "rawId", "type", "response")]
        for name in credential["response"]:
            other = copy.deepcopy(credential)
            other["response"][name] = odd
            made.append(other)
    return made


async def test_no_answer_is_too_strange_for_a_clear_refusal(house: House, device: Authenticator) -> None:
    browser = await house.signed_in(ADA)
    await add(house, browser, device)
    options = (await browser.post("/api/auth/passkey/begin")).json()
    for credential in distorted(device.get(options)):
        await browser.post("/api/auth/passkey/begin")
        refused = await browser.post("/api/auth/passkey", json={"credential": credential})
        assert (refused.status_code, refused.json()["code"]) == (401, "passkey_refused"), credential
    made = Authenticator(house.needs.base_url).create((await browser.post("/api/me/passkeys/begin")).json())
    for credential in distorted(made):
        await browser.post("/api/me/passkeys/begin")
        refused = await browser.post("/api/me/passkeys", json={"credential": credential})
        assert (refused.status_code, refused.json()["code"]) == (400, "passkey_unfit"), credential
    assert await house.rows("passkey") == 1


async def begun(house: House, count: int) -> None:
    """So many passkey sign-ins that strangers begin now."""
    ends_at = house.clock.now() + ceremonies.WITHIN
    row = "gen_random_uuid(), 'passkey_use', decode(md5(n::text), 'hex'), :ends_at"
    async with house.databases.keeper.begin() as c:
        query = f"INSERT INTO ceremony (id, kind, token_hmac, ends_at) SELECT {row} FROM generate_series(1, :count) n"
        await c.execute(text(query), {"ends_at": ends_at, "count": count})


async def test_what_strangers_begin_is_bounded_and_only_what_is_not_young_gives_way(
    house: House, device: Authenticator
) -> None:
    ada = await house.signed_in(ADA)
    await add(house, ada, device)
    await begun(house, ceremonies.OPEN_MAX)
    refused = await house.browser().post("/api/auth/passkey/begin")
    assert (refused.status_code, refused.json()["code"]) == (503, "too_many_ceremonies")
    assert int(refused.headers["retry-after"]) > 0
    assert (await ada.post("/api/me/passkeys/begin")).status_code == 200, "who is signed in is counted apart"
    house.clock.move(ceremonies.YOUNG)
    assert (await enter(house, device)).status_code == 200
    for _ in range(3):
        assert (await house.browser().post("/api/auth/passkey/begin")).status_code == 200
    mine = "SELECT count(*) AS n FROM ceremony WHERE kind = 'passkey_use'"
    assert (await house.query(mine))[0].n <= ceremonies.OPEN_MAX


async def test_a_network_that_begins_very_many_waits_and_leaves_no_rows(house: House, device: Authenticator) -> None:
    await add(house, await house.signed_in(ADA), device)
    object.__setattr__(house.needs, "beginnings", Networks(free=3))
    stranger = house.visitor("8.8.8.8")
    for _ in range(4):
        assert (await stranger.post("/api/auth/passkey/begin")).status_code == 200
    rows = await house.rows("ceremony")
    slowed = await stranger.post("/api/auth/passkey/begin")
    assert (slowed.status_code, slowed.json()["code"]) == (429, "network_slowed")
    assert int(slowed.headers["retry-after"]) > 0 and await house.rows("ceremony") == rows
    assert (await enter(house, device, house.visitor("8.8.4.4"))).status_code == 200
