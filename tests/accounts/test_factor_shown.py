"""A second factor that somebody has is nothing that they showed: each session shows it, and the desk asks for that."""

from datetime import timedelta

import httpx
import pyotp
import pytest
from tests.accounts.authenticator import Authenticator
from tests.accounts.conftest import PASSWORD, House
from tests.accounts.provider import LocalProvider, Person

from avow.accounts import staff
from avow.accounts.oidc import CALLBACK

OPERATOR = "operator@avow.example"
ADA = "ada@example.org"
DESK = "/api/desk/evidence"
WAYS_AROUND = ("/api/me/second-factor", "/api/me/second-factor/recovery-codes", "/api/me/passkeys/begin")
"""What makes another second factor, with which somebody could then show one."""


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def appointed(house: House) -> httpx.AsyncClient:
    """Somebody of the staff without a second factor, signed in with their password."""
    until = house.clock.now() + timedelta(days=30)
    await staff.appoint(house.needs, house.databases.keeper, {"email": OPERATOR}, PASSWORD, "operator", until, "NDA")
    return await entered(house)


async def entered(house: House) -> httpx.AsyncClient:
    browser = house.browser()
    answer = await browser.post("/api/auth/login", json={"email": OPERATOR, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return browser


async def enrol(house: House, browser: httpx.AsyncClient) -> list[str]:
    """Give somebody an app that makes codes; gives their recovery codes, which count as much."""
    secret = (await browser.post("/api/me/second-factor")).json()["secret"]
    code = {"code": pyotp.TOTP(secret).at(house.clock.now())}
    codes: list[str] = (await browser.post("/api/me/second-factor/confirm", json=code)).json()["recovery_codes"]
    return codes


async def add_passkey(house: House, browser: httpx.AsyncClient) -> Authenticator:
    device = Authenticator(house.needs.base_url)
    options = (await browser.post("/api/me/passkeys/begin")).json()
    made = await browser.post("/api/me/passkeys", json={"credential": device.create(options), "name": "key"})
    assert made.status_code == 201, made.text
    return device


async def show_passkey(device: Authenticator, browser: httpx.AsyncClient) -> None:
    options = (await browser.post("/api/auth/passkey/begin")).json()
    shown = await browser.post("/api/auth/passkey", json={"credential": device.get(options)})
    assert shown.status_code == 200, shown.text


async def assert_is_kept_out(browser: httpx.AsyncClient) -> None:
    """Signed in, and neither at the desk nor able to make a second factor that would lead there."""
    assert (await browser.get("/api/me")).status_code == 200
    assert refusal(await browser.get(DESK)) == (403, "step_up_needed")
    for path in WAYS_AROUND:
        assert refusal(await browser.post(path)) == (403, "step_up_needed"), path


async def test_a_stolen_cookie_and_the_password_do_not_open_the_desk(house: House) -> None:
    operator = await appointed(house)
    codes = await enrol(house, operator)
    assert (await operator.get(DESK)).status_code == 200, "the code that put it in force was one"
    house.clock.move(timedelta(minutes=11))
    thief = house.browser()
    thief.cookies.set("avow", operator.cookies["avow"])
    for body, answer in (
        ({"password": PASSWORD}, (401, "second_factor_needed")),
        ({"password": "another one"}, (401, "second_factor_needed")),
        ({"password": PASSWORD, "code": "000000"}, (403, "step_up_refused")),
    ):
        assert refusal(await thief.post("/api/auth/step-up", json=body)) == answer
        await assert_is_kept_out(thief)
    shown = await operator.post("/api/auth/step-up", json={"password": PASSWORD, "code": codes[0]})
    assert shown.status_code == 200
    assert (await operator.get(DESK)).status_code == 200
    house.clock.move(timedelta(minutes=11))
    await assert_is_kept_out(operator)


async def test_a_right_password_does_not_free_the_guessing_of_codes(house: House) -> None:
    operator = await appointed(house)
    await enrol(house, operator)
    statuses = []
    for number in range(7):
        await operator.post("/api/auth/step-up", json={"password": PASSWORD})
        guess = {"password": PASSWORD, "code": f"00000{number}"}
        statuses.append((await operator.post("/api/auth/step-up", json=guess)).status_code)
    assert statuses[-1] == 429


async def test_who_comes_from_a_provider_shows_their_factor_before_the_desk_opens(
    house: House, provider: LocalProvider
) -> None:
    provider.person = Person(email=OPERATOR)
    operator = await appointed(house)
    url = (await operator.post("/api/me/identities")).json()["url"]
    assert (await operator.get(CALLBACK, params=provider.agree(url))).status_code == 303
    codes = await enrol(house, operator)
    browser = house.browser()
    begun = (await browser.get("/api/auth/provider/start")).headers["location"]
    assert (await browser.get(CALLBACK, params=provider.agree(begun))).status_code == 303
    await assert_is_kept_out(browser)
    assert (await browser.post("/api/auth/step-up", json={"code": codes[0]})).status_code == 200
    assert (await browser.get(DESK)).status_code == 200


async def test_beside_a_passkey_the_password_does_not_open_the_desk(house: House) -> None:
    device = await add_passkey(house, await appointed(house))
    browser = await entered(house)
    await assert_is_kept_out(browser)
    refused = await browser.post("/api/auth/step-up", json={"password": PASSWORD})
    assert refusal(refused) == (401, "second_factor_needed")
    await assert_is_kept_out(browser)
    await show_passkey(device, browser)
    assert (await browser.get(DESK)).status_code == 200


@pytest.mark.parametrize("has_passkey", [False, True])
async def test_people_go_on_with_their_password_and_may_use_a_passkey_beside_it(
    house: House, has_passkey: bool
) -> None:
    browser = await house.signed_in(ADA)
    if has_passkey:
        await add_passkey(house, browser)
    assert (await browser.post("/api/me/passkeys/begin")).status_code == 200
    house.clock.move(timedelta(minutes=11))
    assert refusal(await browser.post("/api/me/passkeys/begin")) == (403, "step_up_needed")
    assert (await browser.post("/api/auth/step-up", json={"password": PASSWORD})).status_code == 200
    assert (await browser.post("/api/me/passkeys/begin")).status_code == 200


async def test_who_comes_from_a_provider_and_has_no_factor_is_fresh(house: House, provider: LocalProvider) -> None:
    browser = house.browser()
    begun = (await browser.get("/api/auth/provider/start")).headers["location"]
    assert (await browser.get(CALLBACK, params=provider.agree(begun))).status_code == 303
    assert (await browser.post("/api/me/second-factor")).status_code == 201
