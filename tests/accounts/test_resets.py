"""Another password: by mail for the owner of an address, by step-up for who is signed in; and one's own sessions."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import delete
from tests.accounts.conftest import PASSWORD, House
from tests.accounts.keeping import desk

from avow.accounts.tables import credential
from avow.privacy import renewal

ADA = "ada@example.org"
NEW = "another horse, another staple"


async def ask(house: House, email: str = ADA) -> httpx.Response:
    return await house.browser().post("/api/auth/reset", json={"email": email})


async def finish(house: House, token: str, password: str = NEW) -> httpx.Response:
    return await house.browser().post("/api/auth/reset/finish", json={"token": token, "password": password})


async def login(house: House, password: str, email: str = ADA) -> int:
    return (await house.browser().post("/api/auth/login", json={"email": email, "password": password})).status_code


async def test_a_reset_sets_the_password_once_and_ends_all_sessions(house: House) -> None:
    known = await house.signed_in(ADA)
    await ask(house)
    token = await house.token(ADA, "reset")
    assert (await finish(house, token)).status_code == 204
    assert (await login(house, PASSWORD), await login(house, NEW)) == (401, 200)
    assert (await known.get("/api/me")).status_code == 401
    again = await finish(house, token, PASSWORD)
    assert (again.status_code, again.json()["code"]) == (400, "reset_refused")
    assert "changed" in (await house.mail())[-1][1]


async def test_two_tabs_with_one_reset_set_one_password(house: House) -> None:
    await house.signed_in(ADA)
    await ask(house)
    token = await house.token(ADA, "reset")
    answers = await asyncio.gather(*(finish(house, token, NEW + str(tab)) for tab in range(4)))
    assert sorted(answer.status_code for answer in answers) == [204, 400, 400, 400]
    winner = [answer.status_code for answer in answers].index(204)
    assert await login(house, NEW + str(winner)) == 200


async def test_a_reset_is_too_old_after_an_hour(house: House) -> None:
    await house.signed_in(ADA)
    await ask(house)
    token = await house.token(ADA, "reset")
    house.clock.move(timedelta(hours=1))
    assert (await finish(house, token)).status_code == 400
    assert await login(house, PASSWORD) == 200


async def test_a_weak_password_does_not_use_the_reset_up(house: House) -> None:
    await house.signed_in(ADA)
    await ask(house)
    token = await house.token(ADA, "reset")
    assert (await finish(house, token, "short")).json()["code"] == "password_refused"
    assert (await finish(house, token)).status_code == 204


@pytest.mark.parametrize("token", ["", "A" * 43, "é" * 43, "x" * 10_000])
async def test_a_made_up_reset_is_refused_without_hashing(house: House, token: str) -> None:
    assert (await finish(house, token)).json()["code"] == "reset_refused"
    assert house.hasher.hashed == 0


async def test_a_confirmation_is_no_reset(house: House) -> None:
    await house.signed_in(ADA)
    assert (await finish(house, await house.token(ADA))).status_code == 400


async def test_known_and_unknown_addresses_read_the_same_and_only_the_owner_gets_mail(house: House) -> None:
    await house.signed_in(ADA)
    before = len(await house.mail())
    answers = [await ask(house, email) for email in (ADA, "nobody@example.org", "no address", "x" * 5000)]
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.content for answer in answers}) == 1
    assert [to for to, _, _ in (await house.mail())[before:]] == [ADA]


async def test_resets_do_not_fill_a_mailbox_and_one_that_works_is_always_near(house: House) -> None:
    await house.signed_in(ADA)
    before = len(await house.mail())
    for _ in range(8):
        await ask(house)
    assert len(await house.mail()) - before == 4
    for _ in range(10):
        house.clock.move(timedelta(hours=1))
        await ask(house)
        assert len(await house.mail()) > before
        before = len(await house.mail())


async def test_a_look_alike_of_an_address_gets_no_reset(house: House) -> None:
    await house.signed_in(ADA)
    await ask(house, "ada@ｅxample.org")
    assert {to for to, _, _ in await house.mail()} == {ADA}


async def test_the_owner_takes_an_account_that_a_stranger_made_with_their_address(house: House) -> None:
    stranger = await house.signed_in(ADA)
    assert (await stranger.post("/api/keys", json={})).status_code == 201
    assert (await stranger.patch("/api/tenant", json={"keep_h": 24})).is_success
    theirs = {"email": "eve@example.org", "role": "owner"}
    assert (await stranger.post("/api/tenant/invitations", json=theirs)).is_success
    invited = await house.token("eve@example.org", "invitation")
    await ask(house)
    assert (await finish(house, await house.token(ADA, "reset"))).status_code == 204
    assert [row.keep_h for row in await house.query("SELECT keep_h FROM tenant")] == [None]
    accepted = await house.browser().post("/api/invitations/accept", json={"token": invited, "password": PASSWORD})
    assert accepted.json()["code"] == "invitation_refused"
    assert (await stranger.get("/api/me")).status_code == 401
    assert await login(house, PASSWORD) == 401
    assert [row.state for row in await house.query("SELECT state FROM api_key")] == ["revoked"]
    owner = house.browser()
    await owner.post("/api/auth/login", json={"email": ADA, "password": NEW})
    assert (await owner.get("/api/me")).json()["confirmed"] is True


async def test_a_reset_of_a_confirmed_account_leaves_its_keys(house: House) -> None:
    browser = await house.signed_in(ADA)
    await browser.post("/api/auth/confirm", json={"token": await house.token(ADA)})
    await browser.post("/api/keys", json={})
    await ask(house)
    assert (await finish(house, await house.token(ADA, "reset"))).status_code == 204
    assert [row.state for row in await house.query("SELECT state FROM api_key")] == ["active"]


async def test_a_new_password_needs_a_fresh_session(house: House) -> None:
    browser, other = await house.signed_in(ADA), house.browser()
    await other.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
    house.clock.move(timedelta(minutes=10, seconds=1))
    refused = await browser.post("/api/me/password", json={"password": NEW})
    assert (refused.status_code, refused.json()["code"]) == (403, "step_up_needed")
    stale = browser.cookies["avow"]
    assert (await browser.post("/api/auth/step-up", json={"password": PASSWORD})).status_code == 200
    assert browser.cookies["avow"] != stale
    assert (await browser.post("/api/me/password", json={"password": NEW})).status_code == 204
    assert (await browser.get("/api/me")).status_code == 200
    assert (await other.get("/api/me")).status_code == 401
    assert (await login(house, PASSWORD), await login(house, NEW)) == (401, 200)
    thief = house.browser()
    thief.cookies.set("avow", stale)
    assert (await thief.get("/api/me")).status_code == 401


async def test_a_step_up_wants_the_right_password_and_is_slowed_down(house: House) -> None:
    browser = await house.signed_in(ADA)
    wrong = [await browser.post("/api/auth/step-up", json={"password": "wrong"}) for _ in range(7)]
    assert [answer.status_code for answer in wrong] == [403] * 6 + [429]
    assert (await browser.get("/api/me")).status_code == 200
    assert (await house.browser().post("/api/auth/step-up", json={"password": PASSWORD})).status_code == 401


async def test_people_see_and_end_their_own_sessions_only(house: House) -> None:
    here, there = await house.signed_in(ADA), house.browser()
    await there.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
    stranger = await house.signed_in("eve@example.org")
    seen = (await here.get("/api/me/sessions")).json()
    assert [each["current"] for each in seen] == [True, False]
    assert set(seen[0]) == {"id", "current", "since", "last_seen_at", "ends_at", "absolute_ends_at", "seen"}
    path = f"/api/me/sessions/{seen[1]['id']}"
    assert (await stranger.delete(path)).status_code == 404
    assert (await there.get("/api/me")).status_code == 200
    assert (await here.delete(path)).status_code == 204
    assert (await there.get("/api/me")).status_code == 401
    assert (await here.delete(path)).status_code == 404


async def test_all_other_sessions_end_at_once(house: House) -> None:
    here, there = await house.signed_in(ADA), house.browser()
    await there.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
    assert (await there.delete("/api/me/sessions")).status_code == 204
    assert ((await here.get("/api/me")).status_code, (await there.get("/api/me")).status_code) == (401, 200)


@pytest.mark.parametrize("way", ["reset", "change"])
async def test_a_restored_backup_does_not_bring_an_old_password_back(house: House, way: str) -> None:
    known = await house.signed_in(ADA)
    (old,) = await house.query("SELECT * FROM credential")
    if way == "reset":
        await ask(house)
        await finish(house, await house.token(ADA, "reset"))
    else:
        assert (await known.post("/api/me/password", json={"password": NEW})).status_code == 204
    assert await login(house, NEW) == 200
    async with house.databases.keeper.begin() as c:  # what a dump of the time before brings
        await c.execute(delete(credential))
        await c.execute(credential.insert().values(old._mapping))
    assert await login(house, PASSWORD) == 200, "the control: without a replay it would"
    await renewal.replay(desk(house).privacy)
    assert (await login(house, PASSWORD), await login(house, NEW)) == (401, 401)
    house.clock.move(timedelta(hours=2))
    await ask(house)
    assert (await finish(house, await house.token(ADA, "reset"), "a third horse, a third staple")).status_code == 204
    assert await login(house, "a third horse, a third staple") == 200
