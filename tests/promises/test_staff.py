"""Who may do what: people, keys and the operator's staff, each within a role, and staff on record with a reason."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pyotp
import pytest

from avow.accounts import permissions
from tests.platform import Platform, complete, policy_text
from tests.upstream import scripted_platform

POLICY = policy_text(
    ('purposes = ["service", "history"]', 'purposes = ["debugging", "enforce", "legal"]\nstaff = ["operator"]'),
    ("ask = true\n", ""),
)
REASON = "A court asked for it, case 17."
DAY = 86400.0


@dataclass
class Office:
    """A customer with kept content, and two members of staff: one with a second factor and one without."""

    platform: Platform
    customer: httpx.Client
    me: dict[str, Any]
    key: str
    words: str
    staff: httpx.Client
    weak: httpx.Client
    entry: dict[str, str]

    def open(self, client: httpx.Client, **changed: Any) -> httpx.Response:
        """Ask to see the customer's content."""
        wanted = {"subject": self.me["id"], "category": "api_content", "purpose": "legal", "reason": REASON}
        return client.post("/api/desk/open", json=wanted | changed)

    def record(self) -> list[dict[str, Any]]:
        """Who opened the customer's data, as the customer sees it."""
        lines: list[dict[str, Any]] = self.customer.get("/api/me/openings").json()["openings"]
        return [line for line in lines if line["who"] == "staff"]


def appoint(platform: Platform, **changed: str) -> dict[str, str]:
    """Make somebody staff as the operator does; returns address and password."""
    entry = {"email": f"s-{secrets.token_hex(6)}@example.org", "password": secrets.token_hex(12)}
    tomorrow = f"{datetime.now(UTC) + timedelta(days=2):%Y-%m-%d}"
    terms = {"--role": "operator", "--email": entry["email"], "--trained-until": tomorrow, "--agreement": "C-1"}
    words = [word for pair in {**terms, **changed}.items() for word in pair if pair[1]]
    done = platform.cli("user", "create", *words, stdin=entry["password"] + "\n", check=not changed)
    return entry if done.returncode == 0 else {"refused": done.stderr}


def set_up_factor(client: httpx.Client, password: str) -> str:
    """Give the signed-in person a second factor; returns its secret."""
    assert client.post("/api/auth/step-up", json={"password": password}).is_success
    made: str = client.post("/api/me/second-factor").json()["secret"]
    assert client.post("/api/me/second-factor/confirm", json={"code": pyotp.TOTP(made).now()}).is_success
    return made


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    with (
        scripted_platform(POLICY) as (platform, _),
        platform.http() as customer,
        platform.http() as strong,
        platform.http() as weak,
    ):
        me = platform.sign_up(customer)
        key, words = platform.key(customer)["secret"], f"words{secrets.token_hex(8)}"
        assert complete(customer, key, words).headers["avow-stored"] == "trace"
        entry = appoint(platform)
        platform.sign_in(strong, entry["email"], entry["password"])
        entry["secret"] = set_up_factor(strong, entry["password"])
        other = appoint(platform)
        platform.sign_in(weak, other["email"], other["password"])
        yield Office(platform, customer, me, key, words, strong, weak, entry)


def call(client: httpx.Client, route: str, **headers: str) -> int:
    """Call a route of the table with ids that are nobody's; returns the status."""
    method, _, path = route.partition(" ")
    while "{" in path:
        path = path[: path.index("{")] + str(uuid4()) + path[path.index("}") + 1 :]
    body = {} if method in ("GET", "DELETE") else {"json": {}}
    return client.request(method, path, headers=headers, **body).status_code


@pytest.mark.promise("INF-5.5")
@pytest.mark.promise("LAB-5.4")
def test_whatever_the_table_of_roles_does_not_name_is_refused(office: Office) -> None:
    with office.platform.http() as http:
        served = {
            f"{method.upper()} {path}"
            for path, methods in http.get("/api/openapi.json").json()["paths"].items()
            for method in methods
            if path.startswith("/api/")
        }
        roles: dict[str, tuple[httpx.Client, dict[str, str]]] = {
            "public": (http, {}),
            "key": (http, {"authorization": f"Bearer {office.key}"}),
            "owner": (office.customer, {}),
            "operator": (office.staff, {}),
        }
        checked = 0
        for route in sorted(served):
            allowed = permissions.ROUTES[route]
            for role, (client, headers) in roles.items():
                if role not in allowed and "public" not in allowed:
                    assert call(client, route, **headers) == (401 if role == "public" else 403), (role, route)
                    checked += 1
    assert checked > 80
    assert office.customer.get("/api/me").is_success, "the control: sessions were not ended by the calls above"


@pytest.mark.promise("INF-5.5")
@pytest.mark.promise("LAB-5.4")
def test_staff_need_a_second_factor(office: Office) -> None:
    refused = office.open(office.weak)
    assert (refused.status_code, refused.json()["code"]) == (403, "second_factor_missing")
    assert office.open(office.staff).status_code == 200


@pytest.mark.promise("INF-5.5")
@pytest.mark.promise("LAB-5.4")
def test_what_staff_open_is_on_the_record_of_the_person_with_its_reason(office: Office) -> None:
    before = len(office.record())
    assert office.words in office.open(office.staff).text
    line = office.record()[0]
    assert len(office.record()) == before + 1
    assert (line["role"], line["category"], line["purpose"]) == ("operator", "api_content", "legal")
    assert REASON in str(line)


@pytest.mark.promise("TRO-3.7")
@pytest.mark.promise("LAB-2.7")
@pytest.mark.parametrize("purpose", ["legal", "enforce"])
def test_reading_for_the_law_or_the_terms_needs_a_reason(office: Office, purpose: str) -> None:
    for reason in ("", "   "):
        refused = office.open(office.staff, purpose=purpose, reason=reason)
        assert (refused.status_code, refused.json()["code"]) == (400, "reason_missing")
        assert office.words not in refused.text
    assert office.words in office.open(office.staff, purpose=purpose).text
    assert office.record()[0]["purpose"] == purpose


@pytest.mark.promise("TRO-3.7")
@pytest.mark.promise("LAB-2.7")
def test_reading_for_anything_else_is_refused_and_on_the_record(office: Office) -> None:
    refused = office.open(office.staff, purpose="marketing")
    assert refused.status_code == 403
    assert office.words not in refused.text
    assert (office.record()[0]["purpose"], office.record()[0]["outcome"]) == ("marketing", "refused")


@pytest.mark.promise("LAB-5.5")
def test_nobody_is_staff_without_training_and_a_signed_agreement(office: Office) -> None:
    yesterday = f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"
    assert "agreement" in appoint(office.platform, **{"--agreement": ""})["refused"]
    assert "trained-until" in appoint(office.platform, **{"--trained-until": ""})["refused"]
    assert "run out" in appoint(office.platform, **{"--trained-until": yesterday})["refused"]


@pytest.mark.promise("TRO-4.4")
def test_staff_whose_training_has_run_out_see_nothing_more(office: Office) -> None:
    """Last in this file: the clock of the platform goes past the training."""
    office.platform.move_clock(3 * DAY)
    later = datetime.now(UTC) + timedelta(days=3)
    entry = {"email": office.entry["email"], "password": office.entry["password"]}
    code = pyotp.TOTP(office.entry["secret"]).at(later)
    assert office.staff.post("/api/auth/login", json={**entry, "code": code}).is_success
    refused = office.open(office.staff)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")
