"""What the code that keeps a promise asks the policy: ages, due dates, ways of telling, consents, fields."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from avow.policy import Overrides, age, asked, channels, compile, deadline, parse
from tests.policy.texts import GOOD, changed, toml

PROFILES = Path(__file__).parents[2] / "profiles"
INF, MESH, LAB, TRO = (
    parse((PROFILES / f"{name}.toml").read_text()) for name in ("infiner", "infer-mesh", "deepailab", "imagine-trooper")
)
SILENT = parse(toml(GOOD))


@pytest.mark.parametrize(("country", "years"), [("US", 13), ("DE", 16), ("SE", 13), ("JP", 13), ("ZZ", 13)])
def test_the_age_is_the_countrys(country: str, years: int) -> None:
    assert age(INF, country) == years
    assert age(MESH, country) == 18 and age(LAB, country) == 16 and age(SILENT, country) is None


@pytest.mark.parametrize(
    ("place", "due"), [("DE", "2026-02-28"), ("US-CA", "2026-03-17"), ("US-NY", "2026-02-28"), ("JP", "2026-02-28")]
)
def test_a_request_is_due_by_the_law_of_its_place(place: str, due: str) -> None:
    found = deadline(INF, place)
    assert found is not None
    assert found.end(datetime(2026, 1, 31, 9, tzinfo=UTC)) == datetime.fromisoformat(f"{due}T09:00+00:00")
    assert deadline(SILENT, place) is None


def test_ways_of_telling() -> None:
    assert channels(INF, "policy_material") == (("page", "email", "banner"), False)
    assert channels(MESH, "policy_material") == (("banner", "email"), True)
    assert channels(SILENT, "policy_material") == ((), False)


def test_consents_are_asked_one_by_one() -> None:
    assert set(asked(INF)) == {"training", "analytics", "preference", "sharing"}
    assert asked(SILENT) == ()


def test_a_field_that_is_left_out_is_not_stored_at_any_level() -> None:
    plan = compile(TRO, Overrides({"api_content": 24}))
    assert plan.stores("api_content", "request") and not plan.stores("api_content", "response")
    assert not compile(TRO, Overrides({"api_content": 0})).stores("api_content", "request")
    assert not plan.stores("api_content", "colour") and not plan.stores("conversation", "title")
    without = parse(toml(changed(category__usage__without=["tokens"])))
    assert compile(without).stores("usage", "model") and not compile(without).stores("usage", "tokens")
