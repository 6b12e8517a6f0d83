"""The record of sign-ins: who came in how and what was refused, sealed, for its person only, and where the policy keeps it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.accounts.authenticator import Authenticator
from tests.accounts.conftest import PASSWORD, House
from tests.accounts.test_passkeys import add, enter
from tests.accounts.test_second_factor import code, enrol

from avow.app import policy_text
from avow.policy import parse

ADA, BOB, NOBODY = "ada@example.org", "bob@example.org", "nobody-here@example.org"
WRONG = "not the password at all"


@pytest.fixture
def kept(house: House) -> House:
    """Under a policy that keeps a record of sign-ins for twelve months, and of where they come from the browser."""
    lab, own = parse(policy_text("deepailab"), "deepailab"), house.needs.policy
    technical = replace(lab.categories["technical"], fields=("browser",))
    held = {**own.categories, "security_log": lab.categories["security_log"], "technical": technical}
    house.needs.vault.policy = replace(own, categories=held, features=own.features | {"security_log", "technical_log"})
    return house


async def login(house: House, password: str = PASSWORD, email: str = ADA, **more: str) -> httpx.AsyncClient:
    browser = house.browser(**{"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0"})
    await browser.post("/api/auth/login", json={"email": email, "password": password, **more})
    return browser


async def lines(browser: httpx.AsyncClient, **query: Any) -> list[dict[str, Any]]:
    answer = await browser.get("/api/me/sign-ins", params=query)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["sign_ins"]
    return found


async def told(browser: httpx.AsyncClient) -> list[tuple[str, str]]:
    return [(each["event"], each["outcome"]) for each in await lines(browser)]


async def test_each_way_in_and_each_refusal_is_a_line_for_its_person(kept: House) -> None:
    ada = await kept.signed_in(ADA)
    await login(kept, WRONG)
    secret, _ = await enrol(kept, ada)
    await login(kept)
    await login(kept, code="000000")
    here = await login(kept, code=code(kept, secret))
    await here.post("/api/auth/step-up", json={"code": "000000"})
    assert await told(here) == [
        ("step_up", "factor_refused"),
        ("password", "entered_with_factor"),
        ("password", "factor_refused"),
        ("password", "factor_missing"),
        ("password", "refused"),
        ("password", "entered"),
    ]
    assert [each["seen"] for each in await lines(here, limit=2)] == [{}, {"browser": "Firefox 128"}]
    times = [each["at"] for each in await lines(here)]
    assert times == sorted(times, reverse=True)


async def test_a_passkey_is_a_way_in(kept: House) -> None:
    ada, device = await kept.signed_in(ADA), Authenticator(kept.needs.base_url)
    await add(kept, ada, device)
    entered = kept.browser()
    assert (await enter(kept, device, entered)).status_code == 200
    assert (await told(entered))[0] == ("passkey", "entered_with_factor")


async def test_what_was_typed_stands_nowhere_and_the_rest_is_sealed(kept: House) -> None:
    await kept.signed_in(ADA)
    await login(kept, WRONG)
    before = await kept.rows("sign_in")
    await login(kept, WRONG, NOBODY)
    assert (before, await kept.rows("sign_in")) == (2, 2), "who has no account has no line"
    rows = await kept.query("SELECT row_to_json(s)::text AS line, box, since, ends_at FROM sign_in s ORDER BY id")
    for word in (WRONG, PASSWORD, NOBODY, "refused", "entered"):
        assert not any(word in row.line or word.encode() in row.box for row in rows)
    keep = kept.needs.policy.categories["security_log"].keep
    assert [row.ends_at for row in rows] == [keep.end(row.since) for row in rows]


async def test_pages_end_and_nobody_reads_those_of_another(kept: House) -> None:
    ada, bob = await kept.signed_in(ADA), await kept.signed_in(BOB)
    for _ in range(3):
        await login(kept, WRONG)
    first = (await ada.get("/api/me/sign-ins", params={"limit": 2})).json()
    second = (await ada.get("/api/me/sign-ins", params={"limit": 2, "after": first["after"]})).json()
    third = (await ada.get("/api/me/sign-ins", params={"limit": 2, "after": second["after"]})).json()
    assert [each["outcome"] for each in first["sign_ins"] + second["sign_ins"]] == [*["refused"] * 3, "entered"]
    assert (third["sign_ins"], third["after"], third["kept"]) == ([], None, True)
    assert await told(bob) == [("password", "entered")]
    assert (await ada.get("/api/me/sign-ins", params={"limit": 101})).status_code == 400
    assert (await kept.browser().get("/api/me/sign-ins")).status_code == 401


async def test_a_line_is_not_shown_after_its_end(kept: House) -> None:
    ada = await kept.signed_in(ADA)
    kept.clock.move(timedelta(hours=20))
    later = await login(kept)
    log = kept.needs.policy.categories["security_log"]
    assert len(await lines(later)) == 2
    kept.clock.move(log.keep.end(kept.clock.now()) - kept.clock.now() - timedelta(hours=1))  # type: ignore[operator]
    newest = await login(kept)
    assert len(await lines(newest)) == 2, "the newest, and the one of twenty hours later"
    assert (await ada.get("/api/me")).status_code == 401


async def test_a_policy_that_keeps_none_stores_none(house: House) -> None:
    ada = await house.signed_in(ADA)
    await login(house, WRONG)
    assert (await ada.get("/api/me/sign-ins")).json() == {"sign_ins": [], "after": None, "kept": False}
    assert await house.rows("sign_in") == 0
