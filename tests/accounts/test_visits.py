"""From where somebody signed in: what the policy lists of it, each field in its form, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.accounts.conftest import PASSWORD, House

from avow.accounts import visits
from avow.accounts.visits import Visitor
from avow.app import policy_text
from avow.policy import parse
from avow.policy.words import TECHNICAL_FIELDS

ADA = "ada@example.org"
ALL = frozenset(TECHNICAL_FIELDS)
FORMS = {
    "ip": r"[0-9a-f:.]{2,45}",
    "browser": r"other|(Edge|Opera|Samsung Internet|Firefox|Chrome|Safari) [0-9]{1,4}",
    "system": r"Android|iOS|iPadOS|ChromeOS|Windows|macOS|Linux",
    "device": r"computer|phone or tablet",
    "language": r"[A-Za-z]{2,3}(-[A-Za-z]{2})?",
    "referrer": r"[a-z0-9._:\-]{1,253}",
}
HEADERS = st.dictionaries(st.sampled_from(["user-agent", "accept-language", "referer", "x-forwarded-for"]), st.text())


@pytest.mark.parametrize(
    ("agent", "browser", "system", "device"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "Firefox 128", "Linux", "computer"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 "
            "Safari/537.36 Edg/150.0.0.0",
            *("Edge 150", "Windows", "computer"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Mobile "
            "Safari/537.36",
            *("Chrome 150", "Android", "phone or tablet"),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/18.5 Mobile/15E148 Safari/604.1",
            *("Safari 18", "iOS", "phone or tablet"),
        ),
        ("curl/8.5.0", "other", None, "computer"),
    ],
)
def test_a_browser_is_told_by_what_it_says(agent: str, browser: str, system: str | None, device: str) -> None:
    told = visits.seen(Visitor(headers={"user-agent": agent}), ALL)
    assert (told["browser"], told.get("system"), told["device"]) == (browser, system, device)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("de-CH,de;q=0.9", {"language": "de-CH"}),
        ("zh-Hant-TW", {"language": "zh"}),
        ("en-annlee1990", {"language": "en"}),
        ("de-CHann", {"language": "de"}),
        ("ann.lee@example.org", {"language": "ann"}),
        ("english", {}),
        ("", {}),
    ],
)
def test_of_a_language_no_more_is_kept_than_it_and_its_country(said: str, kept: dict[str, str]) -> None:
    assert visits.seen(Visitor(headers={"accept-language": said}), ALL) == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("https://user:word@Example.org:8443/ann?q=lee#x", {"referrer": "example.org"}),
        ("https://[2001:db8::1]/", {"referrer": "2001:db8::1"}),
        ("https://ann lee/", {}),
        ("https://" + "a" * 254, {}),
        ("ann", {}),
    ],
)
def test_of_a_page_that_referred_only_its_host_is_kept(said: str, kept: dict[str, str]) -> None:
    assert visits.seen(Visitor(headers={"referer": said}), ALL) == kept


@given(
    headers=HEADERS,
    address=st.none() | st.text() | st.ip_addresses().map(str),
    fields=st.sets(st.sampled_from(TECHNICAL_FIELDS)),
)
def test_nothing_that_was_not_listed_or_has_no_known_form_is_stored(
    headers: dict[str, str], address: str | None, fields: set[str]
) -> None:
    told = visits.seen(Visitor("old", address, headers), frozenset(fields))
    assert set(told) <= fields
    for name, said in told.items():
        assert re.fullmatch(FORMS[name], said), (name, said)


def test_what_a_policy_leaves_out_of_its_fields_is_not_listed() -> None:
    policy = parse(policy_text("deepailab"), "deepailab")
    category = replace(policy.categories["technical"], without=("ip",))
    without = replace(policy, categories={**policy.categories, "technical": category})
    assert "ip" in visits.listed(policy)
    assert visits.listed(without) == visits.listed(policy) - {"ip"}


async def test_a_policy_that_lists_nothing_stores_nothing(house: House) -> None:
    here = await house.signed_in(ADA)
    assert [each["seen"] for each in (await here.get("/api/me/sessions")).json()] == [{}]
    assert await house.query("SELECT * FROM visit") == []


async def test_what_is_listed_is_sealed_shown_to_its_person_and_ends(house: House) -> None:
    policy = parse(policy_text("imaginprompt"), "imaginprompt")
    mixed = replace(
        house.needs.policy,
        categories={**house.needs.policy.categories, "technical": policy.categories["technical"]},
        features=house.needs.policy.features | {"technical_log"},
    )
    house.needs.vault.policy = mixed
    here = await house.signed_in(ADA)
    there = house.browser()
    said = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0 planted", "accept-language": "de"}
    await there.post("/api/auth/login", json={"email": ADA, "password": PASSWORD}, headers=said)
    (mine,) = [each for each in (await here.get("/api/me/sessions")).json() if not each["current"]]
    assert mine["seen"] == {"ip": "127.0.0.1", "browser": "Firefox 128", "device": "computer"}
    rows = await house.query("SELECT * FROM visit ORDER BY since")
    assert len(rows) == 2 and not any(b"Firefox" in row.box for row in rows)
    assert rows[0].ends_at - rows[0].since == timedelta(days=30)
    assert (await here.delete(f"/api/me/sessions/{mine['id']}")).status_code == 204
    assert [each["seen"] for each in (await here.get("/api/me/sessions")).json()] == [
        {"ip": "127.0.0.1", "browser": "other", "device": "computer"}
    ]
