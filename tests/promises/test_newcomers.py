"""Who may come in: the age of one's country, affirmed and never dated, and a click where the policy asks for one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.policy import default
from typing import Any
from uuid import UUID

import pytest

from tests.platform import Platform, new_platform, wait_until

OPERATOR = "operator@example.org"
TABLES = """
    SELECT DISTINCT c.table_name FROM information_schema.columns c
    WHERE c.table_schema = 'public' AND c.column_name IN ('subject_id', 'tenant_id')
"""


@contextmanager
def running(profile: str, **settings: str) -> Iterator[Platform]:
    """A platform under a profile of the package."""
    with new_platform(engine="0", **settings) as platform:
        platform.settings["policy"] = profile
        yield platform.start()


def newcomer(platform: Platform, **other: Any) -> dict[str, Any]:
    """A whole sign-up as the form says, for somebody old enough who agrees, with other values."""
    word = f"w{secrets.token_hex(10)}"
    with platform.http() as http:
        form = http.get("/api/auth/signup").json()
    whole = {
        **dict.fromkeys(form["required"], word),
        **{"email": f"{word}@example.org", "password": secrets.token_hex(12)},
        **{"country": "US", "of_age": True, "agreed": form["agree_to"]},
    }
    return {name: value for name, value in (whole | other).items() if value is not None}


def rows(platform: Platform) -> dict[str, int]:
    names = [row[0] for row in platform.sql(TABLES)]
    return {name: platform.sql(f"SELECT count(*) FROM {name}")[0][0] for name in names}


def check_refused(platform: Platform, code: str, says: str, **other: Any) -> None:
    """A newcomer is refused, and nothing of them is in any table or file."""
    given, before = newcomer(platform, **other), rows(platform)
    with platform.http() as http:
        refused = http.post("/api/auth/signup", json=given)
        assert (refused.json()["code"], says in refused.json()["detail"]) == (code, True), refused.text
        entered = http.post("/api/auth/login", json={name: given[name] for name in ("email", "password")})
        assert entered.status_code == 401
    assert rows(platform) == before
    assert platform.scan([given["email"], given["password"]]) == {}


def check_taken(platform: Platform, **other: Any) -> dict[str, Any]:
    """A newcomer is taken; returns what they see of themselves."""
    given = newcomer(platform, **other)
    with platform.http() as http:
        assert http.post("/api/auth/signup", json=given).status_code == 202
        return platform.sign_in(http, given["email"], given["password"])


@pytest.mark.promise("INF-10.1")
def test_the_age_of_ones_country_is_affirmed_and_no_date_of_birth_is_taken() -> None:
    with running("infiner") as platform:
        check_refused(platform, "too_young", "13 years", country="US", of_age=False)
        check_refused(platform, "too_young", "16 years", country="DE", of_age=False)
        check_refused(platform, "field_refused", "'birth_date'", birth_date="2001-01-01")
        check_refused(platform, "field_refused", "'of_age'", of_age=None)
        assert check_taken(platform, country="DE")["country"] == "DE"


@pytest.mark.promise("MESH-9.1")
def test_adults_only() -> None:
    with running("infer-mesh") as platform:
        check_refused(platform, "too_young", "18 years", of_age=False)
        assert check_taken(platform)["country"] == "US"


ACCEPTED = "SELECT accepted_how, accepted_version, accepted_terms FROM acceptance WHERE subject_id = $1"


def accepted(platform: Platform, me: dict[str, Any]) -> list[tuple[str, int, int | None]]:
    """What is on record of a person's acceptance; no consent came with it."""
    assert platform.sql("SELECT FROM standing WHERE subject_id = $1", UUID(me["id"])) == []
    return [tuple(row) for row in platform.sql(ACCEPTED, UUID(me["id"]))]


@pytest.mark.promise("LAB-10.1")
@pytest.mark.promise("LAB-0.3")
def test_nobody_under_sixteen_and_use_is_acceptance_and_no_consent() -> None:
    with running("deepailab") as platform:
        check_refused(platform, "too_young", "16 years", of_age=False)
        me = check_taken(platform)
        assert me["country"] == "US"
        assert accepted(platform, me) == [("use", 1, None)]


@pytest.fixture(scope="module")
def trooper() -> Iterator[Platform]:
    with running("imagine-trooper", operator_mail=OPERATOR) as made:
        yield made


@pytest.mark.promise("TRO-1.4")
@pytest.mark.promise("TRO-1.5")
def test_nobody_comes_in_without_the_click_and_the_click_is_on_record(trooper: Platform) -> None:
    check_refused(trooper, "not_agreed", "agreeing", agreed=None)
    check_refused(trooper, "agreed_to_another", "[1, 1]", agreed=[1, 2])
    assert accepted(trooper, check_taken(trooper)) == [("explicit", 1, 1)]


def letters(platform: Platform, address: str) -> str:
    """All that was mailed to an address."""
    messages = [
        message_from_bytes(each.read_bytes(), policy=default) for each in (platform.home / "mail").glob("*.eml")
    ]
    return "".join(each.get_content() for each in messages if each["to"] == address)


@pytest.mark.promise("TRO-3.3")
@pytest.mark.promise("TRO-4.2")
def test_who_guesses_is_slowed_and_told_of_and_changed_data_is_not_believed(trooper: Platform) -> None:
    """Last in this file: the clock moves past the waits."""
    given = newcomer(trooper)
    with trooper.http() as known, trooper.http() as stranger:
        assert known.post("/api/auth/signup", json=given).status_code == 202
        me = trooper.sign_in(known, given["email"], given["password"])
        refused = 0
        while refused < 10:
            wrong = {"email": given["email"], "password": f"wrong {secrets.token_hex(8)}"}
            answer = stranger.post("/api/auth/login", json=wrong)
            refused += answer.status_code == 401
            if answer.status_code == 429:
                trooper.move_clock(int(answer.headers["retry-after"]) + 1)
        wait_until(lambda: "Ten attempts in a row" in letters(trooper, given["email"]))
        wait_until(lambda: me["id"] in letters(trooper, OPERATOR))
        assert known.get("/api/me").json()["facts"] == me["facts"], "who is signed in goes on"
        # What somebody changed in the database is refused, not shown.
        whole = "UPDATE person SET box = set_byte(box, 40, get_byte(box, 40) # 1) WHERE id = $1"
        trooper.sql(whole, UUID(me["id"]))
        assert known.get("/api/me").status_code == 500
        trooper.sql(whole, UUID(me["id"]))
        assert known.get("/api/me").json()["facts"] == me["facts"]
