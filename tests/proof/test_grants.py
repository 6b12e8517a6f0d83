"""The probe of what the role that makes sums may do: one grant more is seen, whatever it is on."""

from __future__ import annotations

import pytest

from tests.platform import Platform
from tests.proof.test_hygiene import verdicts


def test_the_role_of_a_sound_platform_has_its_grants_and_no_more(platform: Platform) -> None:
    found = verdicts(platform, "grants", "part_improvement")
    assert {name: verdict for name, (verdict, _) in found.items()} == {"grants": "proved", "part_improvement": "proved"}


@pytest.mark.parametrize(
    ("fault", "mended", "words"),
    [
        ("GRANT SELECT ON trace TO avow_analyst", "REVOKE SELECT ON trace FROM avow_analyst", "SELECT on public.trace"),
        (
            "GRANT SELECT (model) ON usage TO avow_analyst",
            "REVOKE SELECT (model) ON usage FROM avow_analyst",
            "SELECT on public.usage",
        ),
        (
            "GRANT SELECT ON for_improve.usage TO PUBLIC",
            "REVOKE SELECT ON for_improve.usage FROM PUBLIC",
            "SELECT on for_improve.usage",
        ),
        ("GRANT avow_keeper TO avow_analyst", "REVOKE avow_keeper FROM avow_analyst", "it may do more"),
        ("ALTER ROLE avow_analyst BYPASSRLS", "ALTER ROLE avow_analyst NOBYPASSRLS", "BYPASSRLS on cluster"),
        (
            "REVOKE SELECT ON usage_sum FROM avow_analyst",
            "GRANT SELECT ON usage_sum TO avow_analyst",
            "may not do its work",
        ),
    ],
)
def test_a_grant_more_or_fewer_is_seen(platform: Platform, fault: str, mended: str, words: str) -> None:
    platform.sql(fault)
    try:
        verdict, figure = verdicts(platform, "grants")["grants"]
    finally:
        platform.sql(mended)
    assert verdict == "failed" and words in figure, figure


def test_rules_that_are_not_those_of_the_policy_are_seen(platform: Platform) -> None:
    wrong = {"category": "usage", "purpose": "improve"}
    platform.sql("INSERT INTO purpose_rule (category, purpose, consent) VALUES ($1, $2, false)", *wrong.values())
    try:
        verdict, figure = verdicts(platform, "part_improvement")["part_improvement"]
    finally:
        platform.sql("DELETE FROM purpose_rule WHERE category = $1 AND purpose = $2", *wrong.values())
    assert verdict == "failed" and "does not know the purposes" in figure
