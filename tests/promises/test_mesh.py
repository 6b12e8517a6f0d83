"""A policy of five purposes and an account of address and user name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from avow.accounts import permissions
from tests.platform import Platform, complete, policy_text
from tests.promises.test_accounts import check_fields
from tests.upstream import CREDENTIAL, scripted_platform

POLICY = policy_text(
    ('fields = ["email", "name"]', 'fields = ["email", "username"]'),
    ('fields = ["email", "name", "email_index"', 'fields = ["email", "username", "email_index"'),
    ('purposes = ["service", "history"]', 'purposes = ["service"]'),
    ('purposes = ["service", "proof", "legal"]', 'purposes = ["service", "legal"]'),
    ('purposes = ["security", "proof"]', 'purposes = ["security", "legal"]'),
    ('purposes = ["service", "proof"]', 'purposes = ["service", "legal"]'),
    ('purposes = ["abuse", "security"]', 'purposes = ["security"]'),
)
FIVE = {"service", "billing", "security", "legal", "notices"}


@pytest.fixture(scope="module")
def mesh() -> Iterator[Platform]:
    with scripted_platform(POLICY) as (platform, _):
        yield platform


@pytest.mark.promise("MESH-2.1")
def test_an_account_of_address_user_name_and_password_hash(mesh: Platform) -> None:
    check_fields(mesh, "email", "username")


@pytest.mark.promise("MESH-3.0")
def test_data_is_used_for_the_five_published_purposes_and_opened_for_no_other(mesh: Platform, tmp_path: Path) -> None:
    with mesh.http() as http:
        clauses = http.get("/.well-known/avow-policy.json").json()["clauses"]
    assert {purpose for each in clauses if each["kind"] == "use" for purpose in each["says"]["purposes"]} == FIVE
    found = mesh.cli("verify", "purposes", check=False)
    lines = {line.split()[1].partition(".")[2]: line.split()[0] for line in found.stdout.splitlines()}
    sealed = {"account", "credential", "api_content", "audit", "rights", "mail"}
    assert {lines[category] for category in sealed} == {"proved"}
    assert "failed" not in lines.values()
    other = tmp_path / "other.toml"
    other.write_text(POLICY.replace('purposes = ["billing", "legal"]', 'purposes = ["billing", "advertising"]'))
    refused = mesh.cli("policy", "check", str(other), check=False)
    assert refused.returncode == 1
    assert "advertising" in refused.stdout + refused.stderr


@pytest.mark.promise("MESH-5.3")
def test_a_key_is_shown_once_and_a_providers_key_to_nobody(mesh: Platform) -> None:
    """Keys lie nowhere in the clear: not in tables, log, files or answers, to whomever they are given."""
    with mesh.http() as http:
        mesh.sign_up(http)
        key = mesh.key(http, name="shown once")
        shown = [http.get(route.partition(" ")[2]) for route in permissions.ROUTES if route.startswith("GET /api/")]
        assert sum(answer.is_success for answer in shown) > 10
        assert not [answer.url for answer in shown if key["secret"] in answer.text or CREDENTIAL in answer.text]
        assert http.get(f"/api/keys/{key['id']}").status_code in (404, 405), "a key is not read a second time"
        assert complete(http, key["secret"], "Hello").is_success, "the gateway alone uses the provider's key"
    assert mesh.scan([key["secret"], CREDENTIAL]) == {}
