"""What the policy pages are made from: headings, differences, the data map, the register, the signed document."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow import app, catalog, settings
from avow.policy import Policy, parse, published
from avow.policy.words import CATEGORIES
from avow.proof import receipts
from avow.proof.evidence import Evidence
from avow.proof.receipts import Receipts
from avow.site import registers, signed_policy
from avow.site.differences import marked
from avow.site.sentences import assess
from avow.site.words import WORDS
from avow.vault import Ring

NONE: frozenset[str] = frozenset()
NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)
EACH = pytest.mark.parametrize("name", sorted(settings.profiles()))


def policy_of(name: str) -> Policy:
    return parse(app.policy_text(name), name)


@EACH
def test_each_sentence_stands_below_exactly_one_heading(name: str) -> None:
    ids = [clause.id for clause in policy_of(name).clauses]
    grouped = [id for group in registers.groups(ids) for id in group.clauses]
    assert sorted(grouped) == sorted(ids)
    for group in registers.groups(ids):
        assert f"section_{group.name}" in WORDS
        assert group.category is None or f"category_{group.category}" in WORDS


def test_every_category_has_a_title_in_both_languages() -> None:
    assert {f"category_{name}" for name in CATEGORIES} <= WORDS.keys()


@pytest.mark.parametrize(
    ("old", "new", "locale", "gone", "came"),
    [
        ("It is kept for 30 days, then deleted.", "It is kept for 20 days, then deleted.", "en", ["30"], ["20"]),
        ("自请求之时起最多保留 30 天。", "自请求之时起最多保留 20 天。", "zh", ["30"], ["20"]),
        ("Nothing is stored.", "Everything that you write stays for a year here.", "en", ["Nothing is stored."], None),
        ("", "There is no advertising.", "en", [], ["There is no advertising."]),
    ],
)
def test_a_difference_shows_what_went_and_what_came(
    old: str, new: str, locale: str, gone: list[str], came: list[str] | None
) -> None:
    pieces = marked(old, new, locale)
    assert [piece.text for piece in pieces if piece.kind == "old"] == gone
    assert [piece.text for piece in pieces if piece.kind == "new"] == ([new] if came is None else came)


@given(st.text(), st.text(), st.sampled_from(["en", "zh"]))
def test_both_texts_can_be_read_out_of_their_difference(old: str, new: str, locale: str) -> None:
    pieces = marked(old, new, locale)
    assert "".join(piece.text for piece in pieces if piece.kind != "new") == old
    assert "".join(piece.text for piece in pieces if piece.kind != "old") == new


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_the_register_says_who_is_connected_and_who_is_an_example(locale: str) -> None:
    rows = registers.processors(policy_of("infiner"), {"hosting": ()}, locale)
    states = {row.id: dict(row.values)["state"] for row in rows}
    assert states["processor.hosting"] == WORDS["connected"][locale == "zh"]
    assert states["processor.payment"] == WORDS["not_connected"][locale == "zh"]
    assert all(row.example for row in rows)


def test_the_data_map_says_what_is_kept_where_and_who_gets_it() -> None:
    policy = policy_of("infiner")
    installed = frozenset({"processors", "regions"})
    [row] = [row for row in registers.data_map(policy, installed, "en") if row.id == "data.usage"]
    said = dict(row.values)
    assert said["keep"] == "at most 30 days, counted from the request"
    assert said["lies_in"] == ["the United States"]
    assert said["gets_it"] == ["Example Hosting (example)", "Example Analytics (example)"]
    assert said["fields"][:2] == ["which API key", "model"] and "key_id" not in said["fields"]
    bare = dict(registers.data_map(policy, frozenset(), "en")[0].values)
    assert (bare["lies_in"], bare["gets_it"]) == ("not said by this policy", "nobody outside")


def test_a_sentence_waits_for_its_first_check_only_in_the_first_minutes() -> None:
    [clause] = [each for each in policy_of("default").clauses if each.id == "keep.usage"]
    assert assess(clause, {}, is_first=True).verdict == "awaited"
    assert assess(clause, {}, is_first=False).verdict == "unproved"
    failed = {"slots": Evidence("slots", "failed", "late", NOW, 1)}
    assert assess(clause, failed, is_first=True).verdict == "failed"


def test_a_sentence_about_all_categories_is_as_good_as_the_worst_of_them() -> None:
    [clause] = [each for each in policy_of("default").clauses if each.id == "use.usage"]
    [everywhere] = [each for each in policy_of("infiner").clauses if each.id == "practice.marketing"]
    seen = {f"purposes.{name}": Evidence("", verdict, "", NOW, 1) for name, verdict in
            (("usage", "proved"), ("mail", "unproved"))}  # fmt: skip
    assert assess(clause, seen, is_first=False).verdict == "proved"
    assert assess(everywhere, seen, is_first=False).verdict == "unproved"


def test_the_signed_document_holds_the_policy_its_texts_and_the_code_of_its_parts(tmp_path: Path) -> None:
    ring = Ring(tmp_path / "ring.db")
    signer, policy = Receipts(ring), policy_of("infiner")
    installed = frozenset(catalog.parts())
    try:
        found = receipts.verify(signed_policy.of(policy, installed, NONE, signer, "http://x", NOW), signer.public_key)
        later = signed_policy.of(policy, installed, NONE, signer, "http://x", NOW + timedelta(hours=2))
    finally:
        ring.close()
    assert {clause["id"] for clause in found["clauses"]} == {clause.id for clause in published(policy, installed)}
    assert found["hash"] == policy.hash and found["at"] == NOW.isoformat()
    assert found["text"]["en"]["hash"] != found["text"]["zh"]["hash"]
    assert found["parts"]["api"]["controls"] == ["gateway.completion", "accounts.keys"]
    assert receipts.verify(later, signer.public_key)["at"] > found["at"]
