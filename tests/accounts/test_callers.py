"""Who may call which route: told by its signature, and kept for every one."""

import re
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from tests.accounts.conftest import House

from avow.accounts.api import ROUTES

PUBLIC = {
    "/api/auth/signup",
    "/api/auth/confirm",
    "/api/auth/login",
    "/api/auth/logout",
    "/api/auth/reset",
    "/api/auth/reset/finish",
    "/api/auth/passkey",
    "/api/auth/passkey/begin",
    "/api/auth/provider",
    "/api/auth/provider/start",
    "/api/auth/provider/callback",
    "/api/keys/leaked",
}
FRESH = {
    ("POST", "/api/me/password"),
    ("POST", "/api/me/second-factor"),
    ("POST", "/api/me/second-factor/confirm"),
    ("POST", "/api/me/second-factor/recovery-codes"),
    ("POST", "/api/me/second-factor/remove"),
    ("POST", "/api/me/passkeys"),
    ("POST", "/api/me/passkeys/begin"),
    ("DELETE", "/api/me/passkeys/{passkey_id:uuid}"),
    ("POST", "/api/keys"),
    ("PATCH", "/api/keys/{key_id:uuid}"),
    ("POST", "/api/keys/{key_id:uuid}/rotate"),
    ("POST", "/api/me/identities"),
    ("DELETE", "/api/me/identities/{identity_id:uuid}"),
}


def calls() -> list[tuple[str, str]]:
    """Every method and path of accounts."""
    handlers: list[Any] = list(ROUTES)
    return sorted((method, path) for each in handlers for method in each.http_methods for path in each.paths)


def bodies(path: str) -> dict[str, Any]:
    """A body of the right form, so that only the caller is wrong."""
    return {
        "/api/me/password": {"password": ""},
        "/api/me/second-factor/confirm": {"code": ""},
        "/api/me/second-factor/remove": {"password": ""},
        "/api/me/passkeys": {"credential": {}},
        "/api/tenant": {"keep_h": None},
    }.get(path, {})


async def test_only_the_listed_routes_are_public(house: House) -> None:
    for method, path in calls():
        if path not in PUBLIC:
            called = re.sub(r"{.*?}", str(uuid4()), path)
            json = bodies(path) if method in ("POST", "PATCH") else None
            refused = await house.browser().request(method, called, json=json)
            assert (refused.status_code, refused.json()["code"]) == (401, "not_signed_in"), (method, path)


async def test_what_a_stolen_cookie_must_not_do_needs_a_fresh_session(house: House) -> None:
    assert set(calls()) >= FRESH
    browser = await house.signed_in("ada@example.org")
    house.clock.move(timedelta(minutes=10, seconds=1))
    for method, path in FRESH:
        called = re.sub(r"{.*?}", str(uuid4()), path)
        refused = await browser.request(method, called, json=bodies(path) if method != "DELETE" else None)
        assert (refused.status_code, refused.json()["code"]) == (403, "step_up_needed"), (method, path)


@pytest.mark.parametrize("handler", list(ROUTES), ids=lambda handler: handler.handler_name)
def test_every_route_says_what_it_does(handler: Any) -> None:
    assert handler.fn.__doc__
