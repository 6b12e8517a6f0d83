"""The rules that an entry of the register must stand; each broken alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow import app
from avow.policy import Policy, parse, terms
from avow.registers import entries
from avow.registers.entries import REFUSALS, Entry, Known, Process, Scope
from tests.policy.test_profiles import POLICIES

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DAY = timedelta(days=1)
PROCESS = Process("0" * 64, "A court", NOW - DAY, NOW + DAY)
SCOPE = Scope(NOW - 30 * DAY, NOW)
TWO, ONE = frozenset(("staff:a", "staff:b")), frozenset(("staff:a",))
INF, MESH, LAB, TRO = (POLICIES[name] for name in ("infiner", "infer-mesh", "deepailab", "imagine-trooper"))


def entry(basis: str, **changed: Any) -> Entry:
    said: dict[str, Any] = {"name": "one", "to": "hosting", "recipient": "One", "purpose": "legal", "region": "US"}
    said |= {"fields": {"account": ("email",)}, "basis": basis}
    if basis == "provider":
        said |= {"contract": "dpa-hosting", "purpose": "service"}
    if basis == "legal":
        said |= {"process": PROCESS, "scope": SCOPE}
    if basis == "corporate":
        said |= {"notice": 2}
    return Entry(**said | changed)


def known(basis: str, **changed: Any) -> Known:
    said: dict[str, Any] = {
        "person": basis in entries.NEEDS_PERSON,
        "reasoned": True,
        "approvers": TWO,
        "told": frozenset((2,)),
    }
    return Known(NOW, **said | {"consented": frozenset(("sharing:hosting",))} | changed)


SOUND: tuple[tuple[Policy, str], ...] = (
    *((INF, basis) for basis in ("provider", "legal", "corporate", "protection", "consent", "own")),
    (LAB, "interest"),
)


def test_a_legal_process_keeps_it_from_the_person_as_long_as_it_is_valid() -> None:
    silent = entry("legal", silent_until=NOW + DAY)
    assert entries.judge(INF, silent, known("legal")) is None
    assert entries.silent_until(silent) == NOW + DAY


@pytest.mark.parametrize(("policy", "basis"), SOUND)
def test_an_entry_that_breaks_no_rule_may_be_used(policy: Policy, basis: str) -> None:
    assert entries.judge(policy, entry(basis), known(basis)) is None


CASES: tuple[tuple[Policy, str, dict[str, Any], dict[str, Any], str], ...] = (
    *((INF, basis, {}, {"person": False}, "basis") for basis in ("sale", "rent", "trade", "marketing", "", "Legal")),
    (MESH, "consent", {"region": "DE"}, {}, "basis"),
    (MESH, "protection", {"region": "DE"}, {}, "basis"),
    (INF, "interest", {}, {}, "basis"),
    (TRO, "corporate", {"region": "DE"}, {}, "basis"),
    (INF, "provider", {"fields": {"horoscope": ("sign",)}}, {}, "category"),
    (INF, "provider", {"fields": {"account": ("shoe_size",)}}, {}, "field"),
    (INF, "provider", {"fields": {"account": ()}}, {}, "field"),
    (INF, "provider", {"fields": {}}, {}, "nothing"),
    (INF, "provider", {"purpose": "fun"}, {}, "purpose"),
    (INF, "provider", {"contract": ""}, {}, "no_contract"),
    (INF, "provider", {"contract": "another"}, {}, "no_contract"),
    (INF, "provider", {"contract_on": date(2027, 1, 1)}, {}, "contract_in_future"),
    (INF, "provider", {"to": "stranger"}, {}, "processor"),
    (INF, "provider", {"fields": {"api_content": ("request",)}}, {}, "more_than_promised"),
    (INF, "provider", {"region": "SG"}, {}, "no_instrument"),
    (TRO, "provider", {"region": "US"}, {}, "region"),
    (INF, "legal", {"process": None}, {}, "no_process"),
    (INF, "legal", {}, {"attached": False}, "no_process"),
    (INF, "legal", {"process": Process("0" * 64, "A court", NOW - 2 * DAY, NOW - DAY)}, {}, "no_process"),
    (INF, "legal", {"process": Process("0" * 64, "A court", NOW + DAY, NOW + 2 * DAY)}, {}, "no_process"),
    (INF, "legal", {"scope": None}, {}, "no_scope"),
    (INF, "legal", {"scope": Scope(NOW, NOW)}, {}, "no_scope"),
    (INF, "legal", {}, {"approvers": ONE}, "not_approved"),
    (INF, "legal", {}, {"reasoned": False}, "no_reason"),
    (INF, "legal", {}, {"person": False}, "person"),
    (INF, "legal", {"process": Process("0" * 64, "A court", NOW.replace(tzinfo=None), NOW + DAY)}, {}, "no_process"),
    (INF, "legal", {"scope": Scope(NOW.replace(tzinfo=None), NOW)}, {}, "no_scope"),
    (INF, "legal", {"silent_until": NOW + 2 * DAY}, {}, "silence"),
    (INF, "legal", {"silent_until": NOW.replace(tzinfo=None)}, {}, "silence"),
    (INF, "legal", {"silent_until": NOW, "process": None}, {}, "silence"),
    *((INF, basis, {"silent_until": NOW + DAY, "process": PROCESS}, {}, "silence")
      for basis in ("provider", "corporate", "protection", "consent", "own")),
    (INF, "protection", {}, {"reasoned": False}, "no_reason"),
    (INF, "protection", {}, {"approvers": frozenset()}, "not_approved"),
    (LAB, "interest", {}, {"reasoned": False}, "no_balancing"),
    (LAB, "interest", {}, {"restricted": True}, "person_objects"),
    (LAB, "interest", {}, {"objected": frozenset(("legal",))}, "person_objects"),
    (INF, "consent", {}, {"consented": frozenset(("sharing:another", "sharing"))}, "no_consent"),
    (INF, "corporate", {"notice": None}, {}, "no_notice"),
    (INF, "corporate", {"notice": 3}, {}, "no_notice"),
)  # fmt: skip


@pytest.mark.parametrize(("policy", "basis", "changed", "knows", "why"), CASES)
def test_an_entry_that_breaks_one_rule_is_refused_by_its_name(
    policy: Policy, basis: str, changed: dict[str, Any], knows: dict[str, Any], why: str
) -> None:
    assert entries.judge(policy, entry(basis, **changed), known(basis, **knows)) == why
    assert all(REFUSALS[why])


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('vetted = "2026-03-01"', "", "not_vetted"),
        ('vetted = "2026-03-01"', 'vetted = "2027-03-01"', "not_vetted"),
    ],
)
def test_a_processor_that_was_not_vetted_gets_nothing(old: str, new: str, why: str) -> None:
    text = _text("infiner").replace(old, new)
    assert entries.judge(parse(text), entry("provider"), known("provider")) == why


def test_one_that_sees_content_and_may_train_gets_none() -> None:
    text = (
        _text("deepailab")
        .replace("trains = false", "trains = true")
        .replace('contract = "dpa-cloud"', 'contract = "dpa-hosting"')
    )
    text = text.replace("[processor.cloud]", "[processor.hosting]")
    content = {"fields": {"conversation": ("title",)}}
    assert entries.judge(parse(text), entry("provider", **content), known("provider")) == "may_train"


def test_a_transfer_rests_on_an_instrument_whose_document_is_valid() -> None:
    there = {"region": "SG", "instrument": "scc"}
    told = known("legal", documents=frozenset(("scc",)))
    assert entries.judge(INF, entry("legal", **there), told) is None
    assert entries.judge(INF, entry("legal", **there), known("legal")) == "no_instrument"
    assert entries.judge(INF, entry("legal", region="SG", instrument="dpa"), told) == "no_instrument"


@given(
    basis=st.text(max_size=20) | st.sampled_from(sorted({*terms.NEVER, *terms.SHARES})),
    policy=st.sampled_from([INF, LAB]),
)
def test_no_word_beside_the_grounds_of_the_policy_ever_holds(basis: str, policy: Policy) -> None:
    allowed = {part.name for part in policy.named("share")} & {*entries.GROUNDS} | {entries.OWN}
    if basis not in allowed:
        assert entries.judge(policy, entry(basis), known(basis)) == "basis"


def _text(name: str) -> str:
    return app.policy_text(name)
