"""Periods of two profiles on running platforms: what has come to its end goes, before that it stays, and an erasure does not
wait for it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from avow import app
from tests.platform import Platform, complete
from tests.upstream import scripted_platform

MINUTE = 60.0


def move_to(platform: Platform, moment: datetime, off_s: float) -> None:
    """Set the platform's clock to so many seconds from a moment, and sweep."""
    shift = float((platform.folder / "clock").read_text())
    platform.move_clock((moment - datetime.now(UTC)).total_seconds() - shift + off_s)
    platform.cli("sweep", "--confirm-clock")


def count(platform: Platform, table: str, person: str) -> int:
    found: int = platform.sql(f"SELECT count(*) FROM {table} WHERE subject_id = $1", UUID(person))[0][0]
    return found


def end_of(platform: Platform, table: str, person: str) -> datetime:
    found: datetime = platform.sql(f"SELECT max(ends_at) FROM {table} WHERE subject_id = $1", UUID(person))[0][0]
    return found


@pytest.mark.promise("LAB-6.4")
def test_logs_of_calls_stay_twelve_calendar_months_unless_their_person_goes() -> None:
    with (
        scripted_platform(app.policy_text("deepailab")) as (platform, _),
        platform.http() as http,
        platform.http() as gone,
    ):
        stays, leaves = (
            platform.sign_up(each, name="Somebody", username=name, country="DE", of_age=True)
            for each, name in ((http, "stays"), (gone, "leaves"))
        )
        for each in (http, gone):
            assert complete(each, platform.key(each)["secret"], "Hello.").is_success
        clauses = {each["id"]: each for each in http.get("/.well-known/avow-policy.json").json()["clauses"]}
        assert clauses["keep.usage"]["says"]["keep"]["unit"] == "months"
        assert {"security", "analytics"} <= {*clauses["use.usage"]["says"]["purposes"]}
        platform.erase(gone, leaves["password"])
        assert count(platform, "usage", leaves["id"]) == 0
        [row] = platform.sql("SELECT since, ends_at FROM usage WHERE subject_id = $1", UUID(stays["id"]))
        assert row["ends_at"] == row["since"].replace(year=row["since"].year + 1)
        move_to(platform, row["ends_at"], -5 * MINUTE)
        assert count(platform, "usage", stays["id"]) == 1
        move_to(platform, row["ends_at"], 1)
        assert count(platform, "usage", stays["id"]) == 0
        assert count(platform, "charge", stays["id"]) == 1, "the books have a period of their own"


@pytest.mark.promise("MESH-6.1")
def test_billing_has_its_archival_period_and_a_policy_without_one_does_not_load(tmp_path: Path) -> None:
    text = app.policy_text("infer-mesh")
    with scripted_platform(text) as (platform, _), platform.http() as http:
        silent = tmp_path / "silent.toml"
        silent.write_text(text.replace('keep = "7 years"\n', "", 1))
        refused = platform.cli("policy", "check", str(silent), check=False)
        assert refused.returncode == 1 and "category.payment" in refused.stdout + refused.stderr
        agreed = http.get("/api/auth/signup").json()["agree_to"]
        me = platform.sign_up(http, username="somebody", country="DE", of_age=True, agreed=agreed)
        assert complete(http, platform.key(http)["secret"], "Hello.").is_success
        end = end_of(platform, "charge", me["id"])
        move_to(platform, end, -5 * MINUTE)
        assert (count(platform, "charge", me["id"]), count(platform, "person", me["id"])) == (1, 1)
        move_to(platform, end, 1)
        assert (count(platform, "charge", me["id"]), count(platform, "person", me["id"])) == (0, 1)
