"""The tables of the wider language: what they take, what they refuse, and the contradictions, each with its name."""

import copy
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from avow.policy import Keep, PolicyError, Problem, check, parse, to_json, words
from avow.policy.sections import SECTIONS
from tests.policy.texts import Tables, toml, wide_policies

SOURCE = Path(__file__).parents[2] / "profiles" / "deepailab.toml"
FULL: Tables = {key: value for key, value in tomllib.loads(SOURCE.read_text()).items() if key != "answers"}


def changed(**values: Any) -> Tables:
    """FULL with values set by path, `__` between keys; None removes."""
    tables = copy.deepcopy(FULL)
    for path, value in values.items():
        *outer, last = path.split("__")
        table = tables
        for key in outer:
            table = table.setdefault(key, {})
        if value is None:
            del table[last]
        else:
            table[last] = value
    return tables


def problems(**values: Any) -> tuple[Problem, ...]:
    with pytest.raises(PolicyError) as refused:
        parse(toml(changed(**values)), "full.toml")
    return refused.value.problems


def only(**values: Any) -> Problem:
    (problem,) = problems(**values)
    return problem


def test_the_whole_language_loads() -> None:
    policy = parse(toml(FULL))
    assert {part.section for part in policy.parts.values()} == set(SECTIONS)
    assert policy.parts["rights"].values["deadline"]["US-CA"] == Keep("period", 45, "days")
    assert policy.parts["backup"].chosen == ("keep", "keys_destroyed")
    assert policy.parts["contact.privacy"].placeholder


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"share": {}, "processor": {}, "ad": {}}, "ads_without_sharing"),
        ({"sharing__never": ["sale", "advertising"]}, "ads_without_sharing"),
        ({"cookies__advertising": None, "cookie__example-ads": None}, "ads_without_cookies"),
        ({"practice__ads__rule": "none"}, "advertising_nobody_allows"),
        (
            {"consent__asked": ["third_party_training", "ads", "analytics", "preference", "sharing"]},
            "consent_not_asked",
        ),
        ({"category__usage__purposes": ["service", "marketing"]}, "purpose_without_consent"),
        ({"practice__third_party_training__rule": "never", "processor__cloud__trains": True}, "processor_trains"),
        ({"share__provider": None}, "processor_without_sharing"),
        ({"regions__mode": "only", "regions__countries": ["FR"]}, "processor_outside_regions"),
        ({"processor__cloud__keep": "2 years"}, "processor_keeps_longer"),
        ({"processor__cloud__categories": ["lead"]}, "processor_of_nothing"),
        ({"backup__keep": "35 days"}, "backup_longer_than_promise"),
        ({"backup__keep": "0"}, "backup_without_end"),
        ({"category__account__grace": "31 days"}, "grace_longer_than_deadline"),
        ({"rights__contact": "support"}, "rights_without_contact"),
        ({"rights": None}, "rights_without_deadline"),
        ({"prevailing": "zh", "locale__zh": None}, "prevailing_without_text"),
        ({"cookie__x": {"kind": "experience", "lifetime": "0"}}, "cookie_without_kind"),
        ({"cookie__x": {"kind": "analytics", "lifetime": "life of the account"}}, "cookie_without_end"),
        ({"processor__ads__roles": ["hosting"]}, "ad_without_vendor"),
        ({"ad__public__vendor": "nobody"}, "ad_without_vendor"),
        ({"age__by_country": {"XX": 12}}, "unknown_place"),
        ({"category__moderation__keep": "0"}, "filter_without_record"),
        ({"filter__minors__words": None, "filter__minors__patterns": None}, "filter_finds_nothing"),
        ({"filter__minors__restores": True}, "filter_restores_nothing"),
        (
            {
                "filter__minors__hashes": ["0" * 64],
                "filter__minors__action": "redact",
                "filter__minors__stages": ["prompt"],
            },
            "filter_redacts_all",
        ),
        ({"filter__minors__hashes": ["0" * 64]}, "hash_of_answers"),
        ({"filter__minors__stages": ["image"]}, "words_in_images"),
        ({"filter__minors__stages": ["upload"], "filter__minors__action": "redact"}, "filter_cuts_files"),
        ({"filter__minors__asks": "guard"}, "judge_of_answers"),
        ({"filter__minors__patterns": ["(?=a)b"]}, "pattern_wrong"),
        ({"filter__minors__patterns": ["a*"]}, "pattern_wrong"),
        ({"filter__minors__patterns": ["(((a{99}){99}){99}){99}"]}, "pattern_wrong"),
    ],
)
def test_a_contradiction_has_a_name_a_line_and_a_way_out(change: dict[str, Any], name: str) -> None:
    found = [problem for problem in problems(**change) if problem.name]
    assert found and {problem.name for problem in found} == {name}
    assert all(problem.line >= 1 and problem.hint.endswith(".") for problem in found)


def test_a_backup_is_held_against_every_period_unless_keys_are_destroyed() -> None:
    tables = changed(
        category__cache=FULL["category"]["support"] | {"keep": "at most 7 days"}, features=[*FULL["features"], "cache"]
    )
    assert parse(toml(tables))
    tables["backup"]["keys_destroyed"] = False
    with pytest.raises(PolicyError) as refused:
        parse(toml(tables))
    assert {problem.name for problem in refused.value.problems} == {"backup_longer_than_promise"}
    assert any("cache" in problem.sentence for problem in refused.value.problems)


@pytest.mark.parametrize(
    ("change", "path", "says"),
    [
        ({"right__acess": {}}, "right.acess", "Did you mean access?"),
        ({"practice__ads__rule": "consnt"}, "practice.ads.rule", "Did you mean consent?"),
        ({"locale__fr": {"date": "2026-01-01"}}, "locale.fr", "Known are: en, zh."),
        ({"locale__en__date": None}, "locale.en.date", "2026-03-17"),
        ({"locale__en__date": "2026-13"}, "locale.en.date", "Write a day or a month"),
        ({"locale__en__date": "2026-02-30"}, "locale.en.date", "Write a day or a month"),
        ({"operator__name": "<script>"}, "operator.name", "without < >"),
        ({"operator__nmae": "x"}, "operator.nmae", "Did you mean name?"),
        ({"contact__privacy__email": "a b"}, "contact.privacy.email", "e-mail address"),
        ({"operator__site": "http://example.org"}, "operator.site", "https://"),
        ({"processor__Cloud X": FULL["processor"]["cloud"]}, "processor.'Cloud X'", "small letters"),
        ({"rights__deadline": {"EU": "1 month"}}, "rights.deadline", "default"),
        ({"rights__deadline": {"default": "soon"}}, "rights.deadline.default", "30 days"),
        ({"age__by_country": {"US": "13"}}, "age.by_country.US", "by_country"),
        ({"age__minimum": 0}, "age.minimum", "Count from 1"),
        ({"features": [f for f in FULL["features"] if f != "cells"]}, "isolation", 'Add "cells" to features'),
        ({"backup__operator_chooses": ["kepe"]}, "backup.operator_chooses", "Did you mean keep?"),
        ({"age__answers": ["row one"]}, "age.answers.0", "INF-3.4"),
        ({"category__payment__grace": "1 day"}, "category.payment.grace", "life of the account"),
        ({"category__usage__without": ["colour"]}, "category.usage.without", "`fields`"),
        ({"category__payment__opt_out": True}, "category.payment.opt_out", "at most"),
        ({"share": 3}, "share", "[share.NAME]"),
        ({"share__legal": 3}, "share.legal", "[share.legal]"),
        ({"age": []}, "age", "[age]"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_to_write(change: dict[str, Any], path: str, says: str) -> None:
    text = changed(**change)
    if any(" " in key for key in text.get("processor", {})):
        text["processor"] = {f'"{key}"' if " " in key else key: value for key, value in text["processor"].items()}
    with pytest.raises(PolicyError) as refused:
        parse(toml(text))
    assert [problem for problem in refused.value.problems if problem.path == path and says in problem.hint]


def test_a_part_that_no_table_needs_is_not_configured_and_no_error() -> None:
    policy = parse(toml(FULL))
    found = check(policy, [])
    absent = {problem.path for problem in found if problem.kind == "not_configured"}
    assert {"category.conversation", "category.model", "category.technical", "features"} <= absent


def test_rows_of_single_clauses_are_known_and_not_published() -> None:
    text = toml(FULL) + '\n[answers]\n"use.usage" = ["LAB-2.5"]\n'
    policy = parse(text)
    (used,) = [clause for clause in policy.clauses if clause.id == "use.usage"]
    assert "LAB-2.5" in used.answers
    assert "LAB-" not in to_json(policy, policy.features)
    with pytest.raises(PolicyError, match=r"Did you mean use\.usage"):
        parse(text.replace("use.usage", "use.usge"))


def test_answers_change_no_hash_and_marks_do() -> None:
    assert parse(toml(changed(age__answers=["LAB-9.9"]))).hash == parse(toml(FULL)).hash
    for change in ({"age__operator_choice": True}, {"age__placeholder": True}, {"age__operator_chooses": ["minimum"]}):
        assert parse(toml(changed(**change))).hash != parse(toml(FULL)).hash


@pytest.mark.parametrize("id", ["prevailing", *(f"{kind}" for kind in SECTIONS if kind != "age")])
def test_each_kind_of_table_counts_for_the_hash(id: str) -> None:
    tables = changed(prevailing="zh") if id == "prevailing" else copy.deepcopy(FULL)
    before = parse(toml(FULL)).hash
    if id != "prevailing":
        kind = tables[id]
        first = kind if SECTIONS[id].names is None else kind[next(iter(kind))]
        first["operator_choice"] = not first.get("operator_choice", False)
    assert parse(toml(tables)).hash != before


def test_a_clause_of_each_table_says_its_values_as_data() -> None:
    document = json.loads(to_json(parse(toml(FULL)), frozenset(FULL["features"])))
    clauses = {entry["id"]: entry for entry in document["clauses"]}
    assert clauses["age"]["says"] == {"minimum": 16, "on_minor": "delete"}
    assert clauses["locale.en"]["operator_choice"] is True
    assert (
        clauses["notice.policy_material"]["sentence"]["zh"]
        == "本政策的重大变更：我们将在本页面公布并通过电子邮件告知您。"
    )


@settings(max_examples=40)
@given(wide_policies())
def test_every_valid_policy_of_the_wide_language_loads_and_publishes_whole_sentences(tables: Tables) -> None:
    policy = parse(toml(tables))
    ids = [clause.id for clause in policy.clauses]
    assert len(ids) == len(set(ids))
    for part in policy.parts.values():
        assert part.id in ids
    for found in policy.clauses:
        assert re.fullmatch(r"[A-Z][^{}]*\.", found.en) and re.fullmatch(r"[^{}]*。", found.zh), found
        assert found.controls and set(found.probes) <= {*words.PROBES, *words.AWAITED}
        assert found.feature is None or found.feature in policy.features


@settings(max_examples=40)
@given(wide_policies())
def test_order_and_layout_of_tables_do_not_change_the_hash(tables: Tables) -> None:
    other = {key: tables[key] for key in reversed(tables)}
    for kind in set(SECTIONS) & set(other):
        other[kind] = dict(reversed(other[kind].items()))
    assert parse("# another\n" + toml(other)).hash == parse(toml(tables)).hash
