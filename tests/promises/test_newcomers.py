"""Who may come in: the age of one's country, affirmed and never dated, and a click where the policy asks for one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.platform import Platform, new_platform

TABLES = """
    SELECT DISTINCT c.table_name FROM information_schema.columns c
    WHERE c.table_schema = 'public' AND c.column_name IN ('subject_id', 'tenant_id')
"""


@contextmanager
def running(profile: str) -> Iterator[Platform]:
    """A platform under a profile of the package."""
    with new_platform(engine="0") as platform:
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


@pytest.mark.promise("LAB-10.1")
def test_nobody_under_sixteen() -> None:
    with running("deepailab") as platform:
        check_refused(platform, "too_young", "16 years", of_age=False)
        assert check_taken(platform)["country"] == "US"
