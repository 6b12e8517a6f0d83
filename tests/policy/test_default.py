"""The default profile: loads, and is as strict as it says."""

from datetime import UTC, datetime
from pathlib import Path

from avow.policy import NEVER, Overrides, compile, parse, words

TEXT = (Path(__file__).parents[2] / "profiles" / "default.toml").read_text()
POLICY = parse(TEXT, "default.toml")
SINCE = datetime(2026, 11, 22, tzinfo=UTC)


def test_no_content_is_kept_unless_asked_and_then_30_days() -> None:
    assert compile(POLICY).end("api_content", SINCE) is NEVER
    assert compile(POLICY).end("cache", SINCE) is NEVER
    asked = compile(POLICY, Overrides({"api_content": 10_000}))
    assert asked.end("api_content", SINCE) == datetime(2026, 12, 22, tzinfo=UTC)


def test_sign_up_needs_an_address_only_and_stores_no_device() -> None:
    assert POLICY.account.required == ("email",) and set(POLICY.account.fields) == {"email", "name"}
    kept = [category for category in POLICY.categories.values() if category.keep.kind != "never"]
    stored = {field for category in kept for field in category.fields}
    assert not stored & {"ip", "ip_address", "address", "user_agent", "browser", "device", "referrer", "language"}


def test_only_what_the_law_asks_for_outlives_an_erasure() -> None:
    held = {name for name, category in POLICY.categories.items() if category.on_erasure != "delete"}
    assert held == {"payment", "rights"}
    assert all(POLICY.categories[name].basis == "law" for name in held)


def test_staff_open_nothing_but_what_people_ask_to_be_answered() -> None:
    opened = {name: category.staff for name, category in POLICY.categories.items() if category.staff}
    assert opened == {"rights": ("privacy",)}


def test_every_claim_stands_with_a_probe() -> None:
    assert POLICY.claims == set(words.CLAIMS)
    assert all(claim.probes for claim in words.CLAIMS.values())
