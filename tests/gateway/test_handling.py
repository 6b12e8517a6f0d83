"""Who may see content: what is declared of an upstream against what the policy promises. Unknown and out of date is the worst."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.gateway.handling import Handling, is_here, judge
from avow.policy import parse

from .house import DECLARED, POLICY, TEXT

NOW = datetime(2026, 11, 22, tzinfo=UTC)
GOOD = Handling(**DECLARED, evidence_until=NOW + timedelta(days=1))


def test_what_stays_in_the_house_may_be_seen():
    assert judge(POLICY, Handling(None)).holds(NOW)


def test_a_good_declaration_holds_until_its_evidence_ends():
    admission = judge(POLICY, GOOD)
    assert admission.holds(NOW) and not admission.holds(NOW + timedelta(days=1))
    assert "run out" in admission.reason


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"processor": "stranger"}, "names no processor stranger"),
        ({"region": "US"}, "work in DE"),
        ({"region": None}, "work in DE"),
        ({"trains": True}, "train"),
        ({"trains": None}, "train"),
        ({"retention_h": 1}, "longer"),
        ({"retention_h": None}, "longer"),
        ({"contract": None}, "dpa-acme"),
        ({"evidence_until": None}, "no valid evidence"),
    ],
)
def test_what_falls_short_may_see_nothing_and_it_is_said_why(changed, reason):
    admission = judge(POLICY, replace(GOOD, **changed))
    assert not admission.holds(NOW) and reason in admission.reason


def test_a_party_that_the_policy_gives_no_content_gets_none():
    other = parse(TEXT.replace('["tls"', '["tls", "processors"').replace('["api_content"]', '["usage"]'))
    assert "gives acme no api_content" in judge(other, GOOD).reason


MAYBE = st.none() | st.booleans()


@given(
    trains=MAYBE, region=st.sampled_from([None, "DE", "US"]), hours=st.none() | st.integers(0, 3), known=st.booleans()
)
def test_p25_knowing_less_never_admits_more(trains, region, hours, known):
    declared = replace(GOOD, trains=trains, region=region, retention_h=hours)
    stale = replace(declared, evidence_until=NOW - timedelta(days=1) if known else None)
    assert judge(POLICY, declared).holds(NOW) >= judge(POLICY, stale).holds(NOW)
    for name in ("trains", "region", "retention_h", "contract"):
        assert judge(POLICY, declared).holds(NOW) >= judge(POLICY, replace(declared, **{name: None})).holds(NOW)


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:9/v1", True),
        ("http://[::1]/v1", True),
        ("http://localhost:1/v1", True),
        ("http://10.0.0.1/v1", False),
        ("http:///v1", False),
        ("https://localhost.example.org/v1", False),
        ("https://api.example.org/v1", False),
    ],
)
def test_this_machine_is_known_by_its_address(url, here):
    assert is_here(url) is here
