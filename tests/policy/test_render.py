"""A policy as text: the same clauses in both languages, dates, the language that counts, and what may not be published."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from avow.policy import parse, published
from avow.policy.render import LocaleMissing, gaps, render, stale, unpublishable
from tests.policy.texts import GOOD, Tables, toml, wide_policies

PROFILES = Path(__file__).parents[2] / "profiles"
MESH, IMG, INF, LAB = (
    parse((PROFILES / f"{name}.toml").read_text()) for name in ("infer-mesh", "imaginprompt", "infiner", "deepailab")
)


@settings(max_examples=40)
@given(wide_policies())
def test_both_languages_have_the_same_clauses(tables: Tables) -> None:
    policy = parse(toml(tables))
    parts, papers = policy.features, frozenset({"soc2", "audits"})
    pages = [render(policy, locale, parts, papers) for locale in ("en", "zh")]
    ids = [[sentence.clause for sentence in page.sentences] for page in pages]
    assert ids[0] == ids[1] == [clause.id for clause in published(policy, parts, papers)]
    assert gaps(policy) == ()
    assert pages[0].text_hash != pages[1].text_hash


def test_each_language_shows_its_own_date() -> None:
    assert (render(MESH, "en").date, render(MESH, "zh").date) == ("2 April 2026", "2026 年 3 月 17 日")
    assert (render(IMG, "en").date, render(IMG, "zh").date) == ("March 2026", "2026 年 3 月")
    assert render(parse(toml(GOOD)), "en").date is None


def test_differing_dates_are_reported_as_stale() -> None:
    assert stale(MESH) == ("zh",) == render(MESH, "en").stale
    assert stale(IMG) == stale(INF) == ()
    assert {problem.path for problem in unpublishable(MESH) if problem.kind == "not_configured"} == {"locale.zh.date"}


def test_the_language_that_counts_is_noted_on_the_others() -> None:
    assert render(IMG, "en").note is None
    assert render(IMG, "zh").note == "如各语言文本存在差异，以英文文本为准。"
    assert render(MESH, "zh").note is None


def test_a_sentence_that_leaves_the_page_changes_the_hash_of_the_text_and_not_of_the_policy() -> None:
    papers = frozenset({"soc2"})
    full, without = (render(INF, "en", INF.features, evidence) for evidence in (papers, frozenset[str]()))
    assert {s.clause for s in full.sentences} - {s.clause for s in without.sentences} == {"organisation.soc2"}
    assert full.text_hash != without.text_hash
    assert full.text_hash == render(INF, "en", INF.features, papers).text_hash


def test_a_language_without_a_text_is_refused() -> None:
    with pytest.raises(LocaleMissing, match="known are en, zh"):
        render(INF, "fr")


def test_placeholders_and_missing_dates_keep_a_policy_from_being_published() -> None:
    paths = {problem.path for problem in unpublishable(LAB) if problem.kind == "error"}
    assert {"operator", "contact.privacy", "contact.dpo", "processor.cloud", "organisation.breach_plan"} <= paths
    assert {problem.path for problem in unpublishable(parse(toml(GOOD)))} == {"locale.en", "locale.zh"}
    own = replace(LAB, parts={id: replace(part, placeholder=False) for id, part in LAB.parts.items()})
    assert unpublishable(own) == []


def test_a_missing_sentence_is_found() -> None:
    first, *rest = INF.clauses
    broken = replace(INF, clauses=(replace(first, zh=" "), *rest))
    assert gaps(broken) == ("sign_up",)
    assert any(problem.path == "sign_up" for problem in unpublishable(broken))


def test_what_the_operator_chose_is_said_in_both_languages() -> None:
    pages = {locale: render(LAB, locale, LAB.features) for locale in ("en", "zh")}
    texts = {locale: {s.clause: s.text for s in page.sentences} for locale, page in pages.items()}
    assert texts["en"]["keep.support"].endswith("This is the operator's own choice.")
    assert texts["zh"]["keep.support"].endswith("此项由运营者自行选定。")
    assert texts["en"]["backup"].endswith("Chosen by the operator: the period and the destruction of keys.")
    assert "operator" not in texts["en"]["keep.conversation"]
