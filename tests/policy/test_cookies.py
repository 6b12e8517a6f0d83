"""The register of cookies: what is asked follows from it, and a choice holds for exactly what was asked."""

from __future__ import annotations

import re

import pytest

from avow import catalog
from avow.policy import Policy, asking, cookies, parse
from avow.policy.cookies import Choice
from avow.policy.model import Problem
from tests.platform import ROOT
from tests.policy.test_profiles import POLICIES, load

TRO = "imagine-trooper"
CHANGES = {
    "a new cookie": ("[cookie.__Host-avow-visit]", '[cookie.more]\nkind = "analytics"\nlifetime = "1 day"\n\n'),
    "a new vendor": (
        "[ad.public]",
        '[ad.second]\nvendor = "ads"\nframe = "https://b.example/x"\nnon_personalised = "n=1"\n\n',
    ),
}


def changed(old: str, new: str) -> Policy:
    text = (ROOT / "profiles" / f"{TRO}.toml").read_text()
    assert old in text
    return parse(text.replace(old, new, 1))


@pytest.mark.parametrize(("before", "added"), CHANGES.values(), ids=CHANGES)
def test_what_is_new_asks_again(before: str, added: str) -> None:
    old, new = load(TRO), changed(before, added + before)
    written = cookies.write(old, cookies.everything(old))
    assert cookies.read(old, written) == Choice(frozenset({"preference", "analytics", "advertising"}))
    assert cookies.read(new, written) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [('lifetime = "12 months"', 'lifetime = "11 months"'), ('title = "Example Ads"', 'title = "Other Ads"')],
)
def test_what_stays_longer_or_goes_to_another_asks_again(old: str, new: str) -> None:
    policy = load(TRO)
    assert cookies.read(changed(old, new), cookies.write(policy, cookies.everything(policy))) is None


def test_what_concerns_no_optional_cookie_asks_nothing_again() -> None:
    policy, other = load(TRO), changed("minimum = 16", "minimum = 17")
    assert cookies.asked_hash(policy) == cookies.asked_hash(other)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "x",
        "0" * 16,
        ".analytics",
        "é" * 16,
        "0" * 4096,
        "{hash}.ANALYTICS",
        "{hash}..",
        "{hash}\n",
        "{hash}" + ".a" * 9,
    ],
)
def test_what_is_no_choice_is_none(written: str) -> None:
    policy = load(TRO)
    assert cookies.read(policy, written.replace("{hash}", cookies.asked_hash(policy))) is None


def test_a_forged_choice_gives_no_more_than_is_asked() -> None:
    policy = load("infiner")
    forged = f"{cookies.asked_hash(policy)}.advertising.essential.personal.analytics"
    assert cookies.read(policy, forged) == Choice(frozenset({"analytics"}))


def test_the_signal_is_said_by_one_value_only() -> None:
    assert cookies.says_gpc("1")
    assert not any(map(cookies.says_gpc, (None, "", "0", "true", "1, 1")))


def test_the_signal_refuses_what_measures_and_advertises() -> None:
    given = Choice(frozenset({"preference", "analytics", "advertising"}), personal=True)
    assert cookies.honoured(given, gpc=True) == Choice(frozenset({"preference"}))
    assert cookies.honoured(given, gpc=False) == given
    assert [name for name in ("ads", "analytics", "sharing:lab", "training") if cookies.is_opted_out(name)] == [
        "ads",
        "analytics",
        "sharing:lab",
    ]


@pytest.mark.parametrize("name", [*POLICIES, "default"])
def test_every_profile_registers_what_the_service_sets(name: str) -> None:
    assert not [each for each in catalog.check(load(name), frozenset()) if each.path == "cookies.essential"]


def test_a_register_that_leaves_an_essential_cookie_out_is_refused() -> None:
    policy = changed("[cookie.__Host-avow-choices]", "[cookie.other]")
    found: list[Problem] = [each for each in catalog.check(policy, frozenset()) if each.path == "cookies.essential"]
    assert [each.kind for each in found] == ["error"] and "avow-choices" in found[0].sentence


def test_a_consent_is_asked_for_in_both_languages_with_what_it_is_about() -> None:
    policy = load(TRO)
    en, zh = asking.notices(policy, "ads")["en"].text, asking.notices(policy, "ads")["zh"].text
    assert "I consent to advertising" in en and "Example Ads" in en and "example-ads" in en
    assert re.search(r"[\u4e00-\u9fff]", zh) and "Example Ads" in zh
    assert asking.shown(policy, "ads", asking.notices(policy, "ads")["zh"].hash) == asking.notices(policy, "ads")["zh"]
    assert asking.shown(policy, "analytics", asking.notices(policy, "ads")["zh"].hash) is None
    assert "to lab and nobody else" in asking.notices(policy, "sharing:lab")["en"].text
