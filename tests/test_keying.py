"""Keys and shared limits as the operator says them at a terminal: the same functions as the routes, and the same record."""

from __future__ import annotations

import json
import secrets
from typing import Any

import httpx

from tests.platform import MODEL, Platform, complete, wait_until


def told(platform: Platform, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(platform.cli(*words, "--json").stdout)
    return found


def test_a_key_is_made_with_its_limits_listed_with_them_and_revoked(platform: Platform) -> None:
    why, model = f"why{secrets.token_hex(6)}", "no/such"
    with platform.http() as http:
        me = platform.sign_up(http)
        limits = ("--budget-day", "1.5", "--budget-total", "0", "--requests-per-min", "3", "--parallel", "2")
        more = ("--expires", "2100-01-31T12:00", "--model", MODEL, "--model", model, "--reason", why)
        made = told(platform, "key", "create", me["id"], "--name", "ci", *limits, *more)
        (own,) = http.get("/api/keys").json()["keys"]
        assert (own["id"], own["name"], own["models"]) == (made["id"], "ci", [MODEL, model])
        assert own["expires_at"] == "2100-01-31T12:00:00Z"
        assert {name: value for name, value in own["limits"].items() if value is not None} == {
            **{"requests_per_min": 3, "parallel": 2, "budget_day_nano": 1_500_000_000, "budget_total_nano": 0}
        }
        (row,) = told(platform, "key", "list", me["id"])["rows"]
        assert row["limits"] == {
            **{"requests_per_min": 3, "parallel": 2, "budget_day": "1.500000000", "budget_total": "0.000000000"}
        }
        assert (row["state"], row["models"], "ci" in json.dumps(row)) == ("active", [MODEL, model], False)
        assert complete(http, made["secret"], "Hello").status_code == 402, "a budget of nothing"
        assert told(platform, "key", "revoke", made["id"], "--reason", why) == {"id": made["id"], "state": "revoked"}
        wait_until(lambda: complete(http, made["secret"], "Hello").status_code == 401)
        lines = http.get("/api/me/openings").json()["openings"]
    said = [(line["act"], line["who"]) for line in lines if line["reason"] == why]
    assert said == [("revoke key", "staff"), ("create key", "staff")]
    assert told(platform, "key", "list", me["id"])["rows"][0]["state"] == "revoked"
    nobody = platform.cli("key", "revoke", me["id"], check=False)
    assert nobody.returncode == 1 and "There is no such key." in nobody.stderr and "avow key list" in nobody.stderr


def test_what_no_key_can_hold_is_refused_by_its_name(platform: Platform) -> None:
    with platform.http() as http:
        me = platform.sign_up(http)
        for wrong, says in (
            (("--budget-day", "-1"), "-1 is negative"),
            (("--budget-month", "1e9"), "A budget is at most"),
            (("--expires", "2001-01-01"), "lies in the future"),
        ):
            refused = platform.cli("key", "create", me["id"], *wrong, check=False)
            assert refused.returncode in (1, 2) and says in refused.stderr, refused.stderr
        assert http.get("/api/keys").json()["keys"] == []


def test_limits_that_keys_share_are_shown_as_they_were_set(platform: Platform) -> None:
    with platform.http() as http:
        tenant = platform.sign_up(http)["tenant_id"]
        platform.cli("limit", "organisation", tenant, "--budget-month", "20", "--parallel", "5")
        assert _binding(http) == {"budget_month_nano": 20_000_000_000, "parallel": 5}
    rows = told(platform, "limits")["rows"]
    (row,) = [each for each in rows if each["id"] == tenant]
    assert row == {
        **{"id": tenant, "kind": "organisation", "model": None},
        "limits": {"parallel": 5, "budget_month": "20.000000000"},
    }
    platform.cli("limit", "organisation", tenant)
    assert tenant not in [each["id"] for each in told(platform, "limits")["rows"]]


def _binding(http: httpx.Client) -> dict[str, int]:
    (found,) = http.get("/api/limits").json()["limits"]
    return {name: value for name, value in found["limits"].items() if value is not None}
