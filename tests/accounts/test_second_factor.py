"""A second factor: enrolled after a step-up, asked for at sign-in, each code once."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pyotp
import pytest
from tests.accounts.conftest import PASSWORD, House

from avow.accounts.throttle import Throttle

ADA = "ada@example.org"
SHORT = "8 chars!"


def code(house: House, secret: str, steps: int = 0) -> str:
    """What an app shows `steps` times 30 s from now."""
    return pyotp.TOTP(secret).at(house.clock.now() + timedelta(seconds=30 * steps))


async def enrol(house: House, browser: httpx.AsyncClient) -> tuple[str, list[str]]:
    """Add a second factor; gives its secret and the recovery codes. The next code is a step later."""
    secret = (await browser.post("/api/me/second-factor")).json()["secret"]
    confirmed = await browser.post("/api/me/second-factor/confirm", json={"code": code(house, secret)})
    assert confirmed.status_code == 200, confirmed.text
    house.clock.move(timedelta(seconds=60))
    return secret, confirmed.json()["recovery_codes"]


async def login(house: House, password: str = PASSWORD, **more: Any) -> tuple[int, str]:
    answer = await house.browser().post("/api/auth/login", json={"email": ADA, "password": password, **more})
    return answer.status_code, answer.json().get("code", "")


async def test_enrolment_is_shown_once_and_asked_for_from_then_on(house: House) -> None:
    browser = await house.signed_in(ADA)
    other = house.browser()
    await other.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
    proposed = (await browser.post("/api/me/second-factor")).json()
    assert proposed["uri"].startswith("otpauth://totp/") and proposed["secret"] in proposed["uri"]
    assert await login(house) == (200, "")
    assert (await browser.get("/api/me/second-factor")).json()["enabled"] is False
    confirmed = await browser.post("/api/me/second-factor/confirm", json={"code": code(house, proposed["secret"])})
    assert len(set(confirmed.json()["recovery_codes"])) == 10
    assert (await other.get("/api/me")).status_code == 401
    assert (await browser.get("/api/me/second-factor")).json()["recovery_codes_left"] == 10
    assert await login(house) == (401, "second_factor_needed")
    assert await login(house, "wrong password here") == (401, "sign_in_refused")
    assert await login(house, code=code(house, proposed["secret"], 1)) == (200, "")
    assert "second factor was added" in (await house.mail())[-1][2]


async def test_a_code_works_once_and_no_older_one_after_it(house: House) -> None:
    secret, _ = await enrol(house, await house.signed_in(ADA))
    now, before = code(house, secret), code(house, secret, -1)
    both = await asyncio.gather(*(login(house, code=now) for _ in range(3)))
    assert sorted(status for status, _ in both) == [200, 401, 401]
    assert await login(house, code=before) == (401, "second_factor_refused")


async def test_the_code_of_the_enrolment_is_used_up(house: House) -> None:
    browser = await house.signed_in(ADA)
    secret = (await browser.post("/api/me/second-factor")).json()["secret"]
    used = code(house, secret)
    await browser.post("/api/me/second-factor/confirm", json={"code": used})
    assert await login(house, code=used) == (401, "second_factor_refused")


@pytest.mark.parametrize(("steps", "status"), [(-2, 401), (-1, 200), (0, 200), (1, 200), (2, 401)])
async def test_a_clock_may_be_one_step_off(house: House, steps: int, status: int) -> None:
    secret, _ = await enrol(house, await house.signed_in(ADA))
    house.clock.move(timedelta(seconds=90))
    assert (await login(house, code=code(house, secret, steps)))[0] == status


@pytest.mark.parametrize("odd", ["000000", "１２３４５６", "12345", "é" * 6, "x" * 25, "' OR 1=1", "9" * 5000])
async def test_odd_codes_are_refused(house: House, odd: str) -> None:
    await enrol(house, await house.signed_in(ADA))
    assert await login(house, code=odd) == (401, "second_factor_refused")


async def test_guessed_codes_are_slowed_down_though_the_password_is_right(house: House) -> None:
    await enrol(house, await house.signed_in(ADA))
    statuses = []
    for number in range(7):
        await login(house)
        statuses.append((await login(house, code=f"00000{number}"))[0])
    assert statuses[-1] == 429


async def test_a_recovery_code_works_once_and_is_told(house: House) -> None:
    _, recovery = await enrol(house, await house.signed_in(ADA))
    assert await login(house, code=recovery[0].lower().replace("-", " ")) == (200, "")
    assert "recovery code was used" in (await house.mail())[-1][2]
    assert await login(house, code=recovery[0]) == (401, "second_factor_refused")
    assert await login(house, code=recovery[1]) == (200, "")


async def test_another_persons_recovery_code_is_nothing(house: House) -> None:
    await enrol(house, await house.signed_in(ADA))
    _, others = await enrol(house, await house.signed_in("eve@example.org"))
    assert await login(house, code=others[0]) == (401, "second_factor_refused")


async def test_enrolment_needs_a_fresh_session_and_ends_after_ten_minutes(house: House) -> None:
    browser = await house.signed_in(ADA)
    secret = (await browser.post("/api/me/second-factor")).json()["secret"]
    house.clock.move(timedelta(minutes=10, seconds=1))
    for path, body in (
        ("", None),
        ("/confirm", {"code": "1"}),
        ("/recovery-codes", None),
        ("/remove", {"password": ""}),
    ):
        refused = await browser.post(f"/api/me/second-factor{path}", json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, "step_up_needed")
    await browser.post("/api/auth/step-up", json={"password": PASSWORD})
    late = await browser.post("/api/me/second-factor/confirm", json={"code": code(house, secret)})
    assert (late.status_code, late.json()["code"]) == (400, "code_refused")
    assert await login(house) == (200, "")


async def test_a_second_proposal_replaces_the_first_but_not_one_in_force(house: House) -> None:
    browser = await house.signed_in(ADA)
    first = (await browser.post("/api/me/second-factor")).json()["secret"]
    secret, _ = await enrol(house, browser)
    assert secret != first
    refused = await browser.post("/api/me/second-factor")
    assert (refused.status_code, refused.json()["code"]) == (409, "second_factor_present")


async def test_a_code_is_a_step_up(house: House) -> None:
    browser = await house.signed_in(ADA)
    secret, _ = await enrol(house, browser)
    house.clock.move(timedelta(minutes=11))
    assert (await browser.post("/api/me/second-factor/recovery-codes")).status_code == 403
    assert (await browser.post("/api/auth/step-up", json={"code": code(house, secret, 5)})).status_code == 403
    assert (await browser.post("/api/auth/step-up", json={"code": code(house, secret)})).status_code == 200
    assert (await browser.post("/api/me/second-factor/recovery-codes")).status_code == 200


async def test_new_recovery_codes_void_the_old_ones(house: House) -> None:
    browser = await house.signed_in(ADA)
    _, old = await enrol(house, browser)
    new = (await browser.post("/api/me/second-factor/recovery-codes")).json()["recovery_codes"]
    assert await login(house, code=old[0]) == (401, "second_factor_refused")
    assert await login(house, code=new[0]) == (200, "")


async def test_beside_a_second_factor_eight_characters_are_enough_and_not_without(house: House) -> None:
    browser = await house.signed_in(ADA)
    assert (await browser.post("/api/me/password", json={"password": SHORT})).status_code == 400
    secret, _ = await enrol(house, browser)
    assert (await browser.post("/api/me/password", json={"password": "7 chars"})).status_code == 400
    assert (await browser.post("/api/me/password", json={"password": SHORT})).status_code == 204
    assert await login(house, SHORT, code=code(house, secret)) == (200, "")
    refused = await browser.post("/api/me/second-factor/remove", json={"password": SHORT})
    assert (refused.status_code, refused.json()["code"]) == (400, "password_refused")
    await browser.post("/api/me/password", json={"password": PASSWORD})
    wrong = await browser.post("/api/me/second-factor/remove", json={"password": PASSWORD + "!"})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "step_up_refused")
    assert (await browser.post("/api/me/second-factor/remove", json={"password": PASSWORD})).status_code == 204
    assert await login(house) == (200, "")
    assert await house.rows("second_factor") == await house.rows("recovery_code") == 0


async def test_a_reset_is_no_way_around_it(house: House) -> None:
    browser = await house.signed_in(ADA)
    await browser.post("/api/auth/confirm", json={"token": await house.token(ADA)})
    await enrol(house, browser)
    await browser.post("/api/auth/reset", json={"email": ADA})
    finished = {"token": await house.token(ADA, "reset"), "password": SHORT}
    assert (await browser.post("/api/auth/reset/finish", json=finished)).status_code == 204
    assert await login(house, SHORT) == (401, "second_factor_needed")


async def test_a_strangers_second_factor_does_not_keep_the_owner_out(house: House) -> None:
    await enrol(house, await house.signed_in(ADA))
    await house.browser().post("/api/auth/reset", json={"email": ADA})
    finished = {"token": await house.token(ADA, "reset"), "password": PASSWORD}
    await house.browser().post("/api/auth/reset/finish", json=finished)
    assert await login(house) == (200, "")


async def test_neither_secret_nor_codes_are_readable_in_the_database(house: House) -> None:
    secret, recovery = await enrol(house, await house.signed_in(ADA))
    words = [secret, *recovery, *(each.replace("-", "") for each in recovery)]
    for table in ("second_factor", "recovery_code", "outbox", "audit"):
        for word in words:
            assert not await house.query(
                f"SELECT 1 FROM {table} t WHERE t::text LIKE '%' || :a || '%' OR t::text LIKE '%' || :b || '%'",
                a=word,
                b=word.encode().hex(),
            )


async def test_a_right_password_elsewhere_begins_no_count_of_wrong_codes_anew(house: House) -> None:
    """Else a thief of the cookie who knows the password guesses codes at a step-up without end."""
    browser = await house.signed_in(ADA)
    await enrol(house, browser)
    statuses = []
    for _ in range(7):
        statuses.append((await browser.post("/api/auth/step-up", json={"code": "000000"})).status_code)
        await browser.post("/api/privacy/requests", json={"kind": "complain", "password": PASSWORD})
    assert statuses[-1] == 429, statuses


async def test_recovery_codes_made_very_often_are_slowed_down_and_the_last_ones_go_on_working(house: House) -> None:
    """Each set buries the ten of the one before, and tombstones stay."""
    object.__setattr__(house.needs, "recovery_codes", Throttle(3, timedelta(hours=1), timedelta(hours=24)))
    browser = await house.signed_in(ADA)
    await enrol(house, browser)
    answers = [await browser.post("/api/me/second-factor/recovery-codes") for _ in range(4)]
    assert [each.status_code for each in answers] == [200] * 3 + [429]
    assert answers[-1].json()["code"] == "recovery_codes_slowed" and int(answers[-1].headers["retry-after"]) > 0
    assert len(house.needs.tombstones.read()) == 30
    assert await login(house, code=answers[2].json()["recovery_codes"][0]) == (200, "")
    assert (await browser.post("/api/me/second-factor/remove", json={"password": PASSWORD})).status_code == 204
    buried = len(house.needs.tombstones.read())
    secret = (await browser.post("/api/me/second-factor")).json()["secret"]
    again = await browser.post("/api/me/second-factor/confirm", json={"code": code(house, secret)})
    assert (again.status_code, again.json()["code"]) == (429, "recovery_codes_slowed"), "a new factor is no way around"
    assert len(house.needs.tombstones.read()) == buried and await login(house) == (200, "")
    house.clock.move(timedelta(hours=1))
    assert (await browser.post("/api/auth/step-up", json={"password": PASSWORD})).status_code == 200
    await enrol(house, browser)
