"""The probes of hygiene: green on a whole running platform, red as soon as one thing is not as it should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import httpx

from avow.proof import hygiene
from avow.proof.probes import Ground
from tests.platform import Platform

NAMES = ("headers", "cookies", "modes", "listening", "cards")
STRICT = {
    "content-security-policy": "; ".join((*hygiene.STRICT, hygiene.FORMS[0])),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
COOKIE = "__Host-avow=x; HttpOnly; Path=/; SameSite=lax; Secure"


def verdicts(platform: Platform, *names: str) -> dict[str, tuple[str, str]]:
    """What `avow verify` says of these probes."""
    done = platform.cli("verify", "--json", *names, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["probe"]: (row["verdict"], row["figure"]) for row in rows}


def test_a_running_platform_is_clean(platform: Platform) -> None:
    found = verdicts(platform, *NAMES)
    assert {name: verdict for name, (verdict, _) in found.items()} == dict.fromkeys(NAMES, "proved"), found


def test_a_file_that_others_can_read_is_seen(platform: Platform) -> None:
    note = platform.home / "demo.json"
    note.chmod(0o604)
    try:
        assert verdicts(platform, "modes")["modes"] == ("failed", "1 open to others, the first is demo.json")
    finally:
        note.chmod(0o600)


@dataclass
class Answers:
    """A site that answers everything with the same headers."""

    headers: dict[str, str]
    tls: bool = True
    base_url: str = "https://example.org"
    asked: list[str] = field(default_factory=list)

    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer), base_url=self.base_url)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        return httpx.Response(200, headers=self.headers)


async def verdict(probe: Callable[[Ground], Any], **headers: str) -> str:
    found = await probe(cast(Ground, Answers(headers)))
    return str(found.verdict)


async def test_headers_that_are_missing_or_too_many_are_seen() -> None:
    assert await verdict(hygiene.headers, **STRICT) == "proved"
    for name in STRICT:
        assert await verdict(hygiene.headers, **{k: v for k, v in STRICT.items() if k != name}) == "failed"
    for rule in (*hygiene.STRICT, hygiene.FORMS[0]):
        weaker = {**STRICT, "content-security-policy": STRICT["content-security-policy"].replace(rule, "")}
        assert await verdict(hygiene.headers, **weaker) == "failed"
    assert await verdict(hygiene.headers, **STRICT, server="uvicorn") == "failed"


async def test_a_cookie_without_a_flag_is_seen() -> None:
    assert await verdict(hygiene.cookies, **{"set-cookie": COOKIE}) == "proved"
    weaker = [COOKIE.replace(flag, "") for flag in ("; HttpOnly", "; Path=/", "; SameSite=lax", "; Secure", "__Host-")]
    for cookie in (*weaker, COOKIE.replace("lax", "none"), COOKIE + "; Domain=example.org"):
        assert await verdict(hygiene.cookies, **{"set-cookie": cookie}) == "failed"
    assert await verdict(hygiene.cookies) == "failed"
