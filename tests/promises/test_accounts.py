"""What sign-up takes: exactly the fields of the policy, and of the password nothing but a slow hash."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from avow.vault import Ref, box
from tests.platform import Platform, new_platform, policy_text

ALL_FIELDS = ("email", "username", "name", "company", "address", "phone")


def policy_with(*fields: str) -> str:
    """The default policy whose account has other fields, of which only the e-mail address must be given."""
    listed = ", ".join(f'"{field}"' for field in fields)
    return policy_text(
        ('fields = ["email", "name"]', f"fields = [{listed}]"),
        ('fields = ["email", "name", "email_index"', f'fields = [{listed}, "email_index"'),
    )


def check_fields(platform: Platform, *fields: str) -> None:
    """All fields of the policy are taken and shown again, every other is refused by name and stored nowhere."""
    given = {field: f"{field[:4]}{secrets.token_hex(8)}" for field in fields} | {"email": address()}
    password, refused = secrets.token_hex(12), secrets.token_hex(12)
    with platform.http() as http:
        me = platform.sign_up(http, password=password, **given)
        assert me["facts"] == given
        for field in {*ALL_FIELDS, "birth_date", "card_number"} - {*fields}:
            body = {"email": f"{refused}@example.org", "password": password, field: refused}
            answer = http.post("/api/auth/signup", json=body)
            assert (answer.status_code, answer.json()["param"]) == (400, field)
            assert refused not in answer.text
        assert platform.scan([password, refused, *given.values()]) == {}
        assert password_hash(platform, me["id"]).startswith("$argon2id$")


def password_hash(platform: Platform, subject_id: str) -> str:
    """What is stored of a password, opened with the keyring."""
    [row] = platform.sql("SELECT * FROM credential WHERE subject_id = $1", UUID(subject_id))
    ref = Ref(row["tenant_id"], "credential", "credential", row["id"], row["subject_id"])
    with platform.ring() as ring:
        opened: Any = box.unseal(ring.key(ref.subject_id, "credential", box.slot(row["box"])), ref, row["box"])
    return str(box.unpack(opened)["password_hash"])


def address() -> str:
    return f"p-{secrets.token_hex(6)}@example.org"


def refused(http: httpx.Client, **fields: Any) -> str:
    """The answer to a sign-up that is refused for its form, never by accident."""
    answer = http.post("/api/auth/signup", json=fields)
    assert answer.status_code == 400, answer.text
    text: str = answer.json()["detail"]
    return text


@pytest.mark.promise("IMG-1.2")
def test_an_account_of_an_address_alone_or_with_a_name(platform: Platform) -> None:
    with platform.http() as http:
        me = platform.sign_up(http)
        assert me["facts"] == {"email": me["email"]}
    check_fields(platform, "email", "name")


@pytest.mark.promise("LAB-1.1")
def test_an_account_of_name_address_and_user_name() -> None:
    with new_platform(policy_with("email", "username", "name"), engine="0") as platform:
        check_fields(platform.start(), "email", "username", "name")


@pytest.fixture(scope="module")
def generous() -> Iterator[Platform]:
    """A policy that may ask for much and needs little."""
    with new_platform(policy_with("email", "name", "company", "address", "phone"), engine="0") as made:
        yield made.start()


@pytest.mark.promise("TRO-2.3")
def test_an_account_may_tell_much_and_needs_an_address_only(generous: Platform) -> None:
    check_fields(generous, "email", "name", "company", "address", "phone")
    with generous.http() as http:
        me = generous.sign_up(http)
        assert me["facts"] == {"email": me["email"]}


@pytest.mark.promise("TRO-2.10")
def test_who_refuses_to_tell_something_is_told_what_needs_it_and_the_public_pages_work(generous: Platform) -> None:
    with generous.http() as http:
        assert "'email'" in refused(http, password=secrets.token_hex(12), name="Somebody")
        assert "'password'" in refused(http, email=address())
        assert "e-mail" in refused(http, email="none", password=secrets.token_hex(12))
        assert "'name'" in refused(http, email=address(), password=secrets.token_hex(12), name=7)
        for page in ("/", "/privacy", "/proof", "/status"):
            assert http.get(page).status_code == 200
        me = generous.sign_up(http)
        assert generous.key(http)["secret"]
        assert http.get("/api/wallet").is_success
        assert me["facts"].keys() == {"email"}
