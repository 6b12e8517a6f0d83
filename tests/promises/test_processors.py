"""Providers: one that the policy names, with its contract and evidence, gets what its task needs; any other gets nothing."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.gateway.house import ACME
from tests.platform import Platform, complete, policy_text, wait_until
from tests.upstream import CREDENTIAL, PRICES, Upstream, scripted_platform

POLICY = policy_text(('features = ["tls"', 'features = ["tls", "processors"')) + ACME
VETTED = ("--region", "DE", "--trains-not", "--retention-h", "0", "--contract", "dpa-acme", "--evidence-until")
DAY = 86400.0
NEEDED = {"model", "messages", "max_tokens", "store", "safety_identifier"}
"""What the answer needs, that nothing is to be stored, and which of our customers' users it is, in an opaque form."""


@pytest.fixture(scope="module")
def ground() -> Iterator[tuple[Platform, Upstream]]:
    with scripted_platform(POLICY) as made:
        yield made


def provide(ground: tuple[Platform, Upstream], name: str, *declared: str) -> str:
    """Add a provider at the scripted upstream, and a model there; returns what the operator is told."""
    platform, upstream = ground
    added = platform.cli("upstream", "add", name, upstream.url, *declared, "--key", stdin=CREDENTIAL + "\n")
    platform.cli("model", "add", f"{name}/model", "--upstream", name, *PRICES)
    return added.stderr


def ask(http: httpx.Client, key: str, name: str, **fields: object) -> httpx.Response:
    """A completion of the provider's model, as soon as the platform knows of it."""
    answers: list[httpx.Response] = []

    def is_known() -> bool:
        answers.append(complete(http, key, "Say something.", model=f"{name}/model", **fields))
        return answers[-1].status_code != 404

    wait_until(is_known)
    return answers[-1]


@pytest.mark.promise("INF-4.3")
@pytest.mark.promise("LAB-4.3")
@pytest.mark.promise("TRO-4.6")
@pytest.mark.promise("INF-8.4")
@pytest.mark.promise("MESH-4.6")
@pytest.mark.promise("TRO-4.7")
def test_a_provider_gets_nothing_until_it_is_vetted_and_bound_and_then_what_its_task_needs(
    ground: tuple[Platform, Upstream],
) -> None:
    platform, upstream = ground
    tomorrow = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}"
    told = [f"mark{secrets.token_hex(8)}" for _ in range(4)]
    with platform.http() as http:
        register = http.get("/privacy/processors", params={"locale": "en"}).text
        assert 'id="processor.acme"' in register and "dpa-acme" in register and "Germany" in register
        me = platform.sign_up(http, name=told[0])
        key = platform.key(http, name=told[1])["secret"]
        calls = upstream.calls
        unvetted = (
            ("stranger", ("--processor", "stranger", *VETTED, tomorrow), "names no processor stranger"),
            ("silent", ("--processor", "acme"), "not known to work in DE"),
            ("unbound", ("--processor", "acme", *VETTED[:-3], "--evidence-until", tomorrow), "not bound by dpa-acme"),
            ("unproved", ("--processor", "acme", *VETTED[:-1]), "no valid evidence"),
        )
        for name, declared, why in unvetted:
            assert why in provide(ground, name, *declared)
            refused = ask(http, key, name)
            assert (refused.status_code, why in refused.text) == (451, True), refused.text
        assert upstream.calls == calls, "an outside party was sent something"
        assert provide(ground, "acme", "--processor", "acme", *VETTED, tomorrow) == ""
        about = {"user": told[2], "metadata": {"about": told[3]}}
        assert ask(http, key, "acme", **about).status_code == 200
        sent = upstream.scripted.requests[-1]
        assert sent.keys() <= NEEDED and sent["store"] is False
        assert sent["messages"] == [{"role": "user", "content": "Say something."}]
        for word in (*told, me["email"], me["id"], me["tenant_id"], key):
            assert word not in json.dumps(upstream.scripted.requests[calls:])
        platform.move_clock(3 * DAY)
        wait_until(lambda: ask(http, key, "acme").status_code == 451)
        assert "has run out" in ask(http, key, "acme").text
