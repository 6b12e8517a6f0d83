"""What arrives may be anything: it is refused with a named problem, and nothing of it is kept."""

import asyncio
import json
import time
from collections import Counter
from typing import Any
from uuid import uuid4

import pytest
from tests.accounts.conftest import PASSWORD, House

from avow.accounts import surface
from avow.accounts.permissions import ROUTES

SIGN_UP = {"email": "ada@example.org", "password": PASSWORD}
JSON = {"content-type": "application/json"}


async def test_a_field_outside_the_policy_is_named_and_nothing_is_stored(house: House) -> None:
    for extra in ("phone", "company", "kind", "tenant_id", "confirmed_at", "", "é" * 40):
        refused = await house.browser().post("/api/auth/signup", json={**SIGN_UP, extra: "+49 30 1234567"})
        assert refused.status_code == 400
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["code"] == "field_refused" and refused.json().get("param", "") == extra
        assert "1234567" not in refused.text
    for table in ("person", "tenant", "credential", "confirmation", "outbox", "audit"):
        assert await house.rows(table) == 0
    assert house.hasher.hashed == 0


WRONG_VALUES: list[tuple[dict[str, Any], str]] = [
    ({"email": None}, "email"),
    ({"email": 7}, "email"),
    ({"email": ["a@example.org"]}, "email"),
    ({"email": "a" * 300 + "@example.org"}, "email"),
    ({"email": "nobody"}, "email"),
    ({"email": "a@b@c"}, "email"),
    ({"email": "a@example.org\r\nBcc: b@example.org"}, "email"),
    ({"email": "Ada <a@example.org>"}, "email"),
    ({"email": "a@exa\u202emple.org\x07"}, "email"),
    ({"password": None}, "password"),
    ({"password": 123456789012345}, "password"),
    ({"password": "fourteen chars"}, "password"),
    ({"password": "x" * 2000}, "password"),
    ({"name": {"$ne": ""}}, "name"),
    ({"name": "n" * 201}, "name"),
    ({"name": "a\nb"}, "name"),
]


async def test_a_wrong_value_is_named_and_never_repeated(house: House) -> None:
    for change, param in WRONG_VALUES:
        refused = await house.browser().post("/api/auth/signup", json={**SIGN_UP, **change})
        assert (refused.status_code, refused.json()["param"]) == (400, param), change
        value = str(change[param])
        assert len(value) < 3 or value not in refused.json()["detail"]
    assert await house.rows("person") == 0


STRANGE_BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"NaN",
    b'{"email": "a@example.org", "email": "b@example.org", "password": "correct horse battery staple"}',
    b'{"email": "a@example.org", "password": "correct horse\\u0000 battery staple"}',
    b'{"email": "a@example.org", "password": "correct horse \\ud800 battery staple"}',
    b'{"email": "a@example.org", "password": "correct horse \xff battery staple"}',
    b'{"email": "a@example.org", "pass\\u0000word": "x"}',
    b'{"email": ' + b"[" * 900 + b"]" * 900 + b"}",
    b"[" * 60_000,
    b'{"email": ' + b"9" * 5000 + b"}",
    b'{"email": 1e400}',
    b"\xef\xbb\xbf{}",
]


@pytest.mark.parametrize("route", ["signup", "login", "confirm"])
async def test_no_body_is_too_strange_for_a_clear_answer(house: House, route: str) -> None:
    for body in STRANGE_BODIES:
        refused = await house.browser().post(f"/api/auth/{route}", content=body, headers=JSON)
        assert refused.status_code == 400, (body[:40], refused.text)
        assert refused.json()["status"] == 400 and refused.json()["detail"]


async def test_a_body_of_a_megabyte_is_refused_before_it_is_read(house: House) -> None:
    body = json.dumps({**SIGN_UP, "name": "n" * 1_000_000})
    refused = await house.browser().post("/api/auth/signup", content=body, headers=JSON)
    assert refused.status_code == 413 and refused.json()["status"] == 413


@pytest.mark.parametrize("route", ["/api/auth/login", "/api/auth/confirm"])
async def test_an_unknown_field_is_named(house: House, route: str) -> None:
    whole = {"/api/auth/login": {"email": "a", "password": "b"}, "/api/auth/confirm": {"token": "t"}}[route]
    refused = await house.browser().post(route, json={**whole, "phone": "1234567"})
    assert (refused.status_code, refused.json()["param"]) == (400, "phone")
    assert "1234567" not in refused.text


async def test_any_wrong_password_is_only_wrong(house: House) -> None:
    await house.signed_in("ada@example.org")
    for password in ("x" * 50_000, "🦊" * 15, "' OR 1=1 --", ""):
        refused = await house.browser().post("/api/auth/login", json={"email": "ada@example.org", "password": password})
        assert (refused.status_code, refused.json()["code"]) == (401, "sign_in_refused")


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}])
async def test_another_site_cannot_act_with_a_visitors_cookie(house: House, headers: dict[str, str]) -> None:
    browser = await house.signed_in("ada@example.org")
    if "origin" in headers:
        del browser.headers["sec-fetch-site"]
    for method, path in (("POST", "/api/keys"), ("PATCH", "/api/me"), ("POST", "/api/auth/logout")):
        refused = await browser.request(method, path, json={}, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (403, "cross_site")
    assert await house.rows("api_key") == 0
    assert (await browser.get("/api/me")).status_code == 200


async def test_a_made_up_cookie_is_nobody(house: House) -> None:
    for token in ("", "x", "A" * 43, "é" * 43, "'; DROP TABLE session; --", "A" * 5000):
        refused = await house.browser().get("/api/me", headers=[(b"cookie", f"avow={token}".encode())])
        assert (refused.status_code, refused.json()["code"]) == (401, "not_signed_in")


async def test_unknown_routes_and_methods_are_problems_too(house: House) -> None:
    browser = house.browser()
    for method, path, status in (("GET", "/api/keys/x", 405), ("GET", "/api/auth/login", 405), ("PUT", "/api/me", 405)):
        refused = await browser.request(method, path)
        assert (refused.status_code, refused.headers["content-type"]) == (status, "application/problem+json")
        assert refused.headers["cache-control"] == "no-store"


async def test_a_failure_of_ours_tells_and_logs_nothing_personal(
    house: House, marker: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError(marker)

    object.__setattr__(house.needs, "first_credit", broken)
    failed = await house.browser().post("/api/auth/signup", json=SIGN_UP)
    assert failed.status_code == 500 and failed.json()["code"] == "internal_error"
    assert marker not in failed.text and marker not in caplog.text
    assert await house.rows("person") == await house.rows("tenant") == await house.rows("outbox") == 0


async def test_a_value_that_no_database_can_hold_is_refused_by_name(house: House) -> None:
    early, late = "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"
    entry = {"name": "e", "to": "e", "recipient": "e", "basis": "corporate", "purpose": "legal", "fields": {}}
    entry |= {"region": "DE", "notice": 2**40}
    ada, staff = await house.signed_in(), {role: await house.hired(role) for role in ("operator", "auditor", "privacy")}
    answers = [
        await ada.delete("/api/requests", params={"since": early}),
        await staff["operator"].get("/api/desk/models?after=%00"),
        await staff["operator"].post("/api/desk/register", json={"entry": entry, "reason": "asked"}),
        await staff["auditor"].post("/api/desk/openings", json={"since": early, "reason": "asked"}),
        await staff["auditor"].post("/api/desk/openings", json={"until": late, "reason": "asked"}),
        await staff["privacy"].post("/api/desk/requests", json={"after": {"due_at": late, "id": str(uuid4())}}),
    ]
    assert [(each.status_code, each.json()["code"]) for each in answers] == [(400, "invalid_request")] * len(answers)


async def test_a_parameter_that_comes_twice_is_refused(house: House) -> None:
    browser = await house.signed_in("ada@example.org")
    for query in ("limit=1&limit=100", "after=&after=", "limit=1&%6cimit=2", "&".join(f"a{n}=" for n in range(200))):
        for path in ("/api/keys", "/api/me/openings", "/api/requests"):
            refused = await browser.get(f"{path}?{query}")
            assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request"), query
    assert (await browser.get("/api/keys?limit=1")).status_code == 200


NOT_THEIRS = {
    "role": "owner",
    "tenant_id": str(uuid4()),
    "confirmed_at": "2026-01-01",
    "kind": "internal",
    "state": "x",
}


async def test_no_route_takes_what_nobody_asked_for(house: House) -> None:
    """Mass assignment: each route with a body, with each column that somebody would like to set."""
    browser = await house.signed_in("ada@example.org")
    key = (await browser.post("/api/keys", json={})).json()["id"]
    before = await house.query("SELECT p.role, p.tenant_id, p.confirmed_at, k.state FROM person p, api_key k")
    takes = {"POST /api/tenant/invitations": {"role"}, "PATCH /api/tenant/members/{member_id}": {"role"}}
    takes |= {"POST /api/privacy/requests": {"kind"}}
    refused = 0
    for route in sorted(ROUTES):
        method, _, path = route.partition(" ")
        if method not in ("POST", "PATCH") or route in ("POST /api/auth/logout", "POST /api/tenant/leave"):
            continue
        for name in set(NOT_THEIRS) - takes.get(route, set()):
            where = path.replace("{key_id}", key).replace("{member_id}", str(uuid4()))
            answer = await browser.request(method, where, json={name: NOT_THEIRS[name]})
            told = answer.json() if answer.content else {}
            if answer.status_code == 400 and (told.get("param") == name or name in told.get("detail", "")):
                refused += 1
            assert answer.status_code < 500, (route, answer.text)
    assert refused > 60
    assert await house.query("SELECT p.role, p.tenant_id, p.confirmed_at, k.state FROM person p, api_key k") == before


async def test_a_password_of_ten_thousand_characters_is_refused_before_it_is_hashed(house: House) -> None:
    browser = await house.signed_in("ada@example.org")
    hashed, long = house.hasher.hashed, "long" * 2500
    for path, body in (
        ("/api/auth/signup", {"email": "bob@example.org", "password": long}),
        ("/api/me/password", {"password": long}),
    ):
        refused = await browser.post(path, json=body)
        assert (refused.status_code, refused.json()["code"]) == (400, "password_refused"), path
        assert long not in refused.text
    assert house.hasher.hashed == hashed and await house.rows("person") == 1


@pytest.mark.parametrize("name", ["𠮷田 太郎", "Zoë 🦊 O’Brien", "𝓐𝓭𝓪", "نور", "Å"])
async def test_names_of_any_script_come_back_as_they_were_given(house: House, name: str) -> None:
    browser = await house.signed_in("ada@example.org", name=name)
    assert (await browser.get("/api/me")).json()["facts"]["name"] == name


@pytest.mark.parametrize("alike", ["аda@example.org", "ada@exаmple.org", "ada@example.org​", "ádа@example.org"])
async def test_a_look_alike_of_an_address_is_nobody_and_gets_nothing_of_anybody(house: House, alike: str) -> None:
    """Cyrillic letters in the place of Latin ones, and what nobody sees: another account, or a refusal, never this one."""
    await house.signed_in("ada@example.org")
    browser, rows = house.browser(), await house.rows("person")
    entered = await browser.post("/api/auth/login", json={"email": alike, "password": PASSWORD})
    assert entered.status_code == 401
    made = await browser.post("/api/auth/signup", json={"email": alike, "password": PASSWORD})
    assert made.status_code in (202, 400)
    assert await house.rows("person") == rows + (made.status_code == 202)
    assert all(to != "ada@example.org" or "already" not in subject for to, subject, _ in await house.mail())


async def test_two_tabs_that_rectify_at_once_leave_one_whole_state(house: House) -> None:
    browser = await house.signed_in("ada@example.org")
    names = [f"Ada {number}" for number in range(8)]
    answers = await asyncio.gather(*(browser.patch("/api/me", json={"name": name}) for name in names))
    assert {answer.status_code for answer in answers} == {200}
    assert (await browser.get("/api/me")).json()["facts"]["name"] in names


def test_quotes_without_end_cost_no_more_than_their_length() -> None:
    begun = time.process_time()
    assert surface.depth(b'\\"' * (surface.SIZE_MAX // 2)) == 0
    assert time.process_time() - begun < 1
    assert surface.depth(b'{"a": ["]}", "\\"[[[", {}]}') == 3


async def test_guesses_sent_at_once_are_slowed_like_guesses_one_by_one(house: House) -> None:
    await house.signed_in(SIGN_UP["email"])
    wrong = [{"email": SIGN_UP["email"], "password": f"a wrong password {number}"} for number in range(20)]
    browser = house.browser()
    answers = await asyncio.gather(*(browser.post("/api/auth/login", json=each) for each in wrong))
    assert Counter(answer.status_code for answer in answers) == {401: 5, 429: 15}
