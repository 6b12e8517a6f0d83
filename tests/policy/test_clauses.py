"""The published sentences: whole, in two languages, each with its data, its control and its probe."""

import json
import re
from typing import Any

import pytest
from hypothesis import given

from avow.policy import Clause, parse, published, to_json, words
from tests.policy.texts import GOOD, Tables, changed, policies, toml

POLICY = parse(toml(GOOD))


def clause(id: str, **change: Any) -> Clause:
    (found,) = [clause for clause in parse(toml(changed(**change))).clauses if clause.id == id]
    return found


@given(policies())
def test_each_part_of_a_policy_is_published_once_with_control_and_probe(tables: Tables) -> None:
    clauses = parse(toml(tables)).clauses
    ids = [clause.id for clause in clauses]
    assert len(ids) == len(set(ids))
    for name, table in tables["category"].items():
        assert f"keep.{name}" in ids and f"use.{name}" in ids
        assert (f"end.{name}" in ids) == (table["keep"] != "0")
    assert {id for id in ids if id.startswith("claim.")} == {f"claim.{name}" for name in tables["claims"]}
    for found in clauses:
        assert found.controls and found.probes
        assert set(found.probes) <= {*words.PROBES, *words.AWAITED}


@given(policies())
def test_sentences_are_whole_in_both_languages(tables: Tables) -> None:
    for found in parse(toml(tables)).clauses:
        assert re.fullmatch(r"[A-Z][^{}]*\.", found.en), found.en
        assert re.fullmatch(r"[^{}]*。", found.zh), found.zh
        assert not re.search(r"[\u4e00-\u9fff。，]|  |,,|,\.", found.en), found.en
        assert re.search(r"[\u4e00-\u9fff]", found.zh) and not re.search(r"[,;]|\. |[a-z]{4}", found.zh), found.zh


@given(policies())
def test_a_number_in_the_file_is_the_number_in_both_sentences(tables: Tables) -> None:
    clauses = {clause.id: clause for clause in parse(toml(tables)).clauses}
    for name, table in tables["category"].items():
        kept = clauses[f"keep.{name}"]
        amount = re.findall(r"[0-9]+", table["keep"])
        assert re.findall(r"[0-9]+", kept.en) == re.findall(r"[0-9]+", kept.zh) == [n for n in amount if n != "0"]
        assert table["keep"] in ("0", "life of the account") or table["keep"] in kept.en


def test_content_that_must_be_asked_for() -> None:
    kept = clause("keep.api_content")
    assert kept.en == (
        "What you send to the API and what it answers is not stored unless your organisation asks for it; "
        "then it is kept for at most 30 days, counted from the request, after which it is deleted."
    )
    assert kept.zh == (
        "除非您所在的组织提出要求，否则您发送给 API 的内容及其返回的内容不会被存储；"
        "如提出要求，则自请求之时起最多保留 30 天，之后予以删除。"
    )
    assert "not_kept" in kept.probes
    assert kept.says["ask"] is True and kept.says["keep"] == {"amount": 30, "unit": "days"}


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        ("0", "Mail to you that waits to be sent is not stored."),
        ("life of the account", "is kept as long as your account exists, after which it is deleted."),
        ("1 day", "is kept for 1 day, counted from the moment it is recorded, after which it is deleted."),
        ("at least 7 years", "is kept for at least 7 years, counted from the moment it is recorded, after which"),
    ],
)
def test_each_kind_of_period_reads_as_it_is(keep: str, says: str) -> None:
    assert says in clause("keep.mail", category__mail__keep=keep).en


def test_what_the_law_holds_is_said_to_stay() -> None:
    assert clause("end.payment").en == (
        "When you ask for erasure, the record of what you paid and were charged stays until its period ends, "
        "because the law requires it."
    )


def test_uses_name_every_purpose_the_ground_and_the_staff() -> None:
    used = clause("use.api_content")
    assert used.en == (
        "What you send to the API and what it answers is used only to provide the service that you ask for and to "
        "find and repair faults, on the ground of our contract with you. "
        "Staff who may open it, each time with a recorded reason: abuse desk."
    )
    assert "滥用处理" in used.zh
    assert "Staff" not in clause("use.usage").en


def test_sign_up_says_what_is_asked_and_what_is_optional() -> None:
    assert clause("sign_up").en == (
        "To open an account you give your e-mail address and a password. You may also give your name. "
        "Anything else is refused."
    )
    assert "You may" not in clause("sign_up", account__fields=["email"]).en


def test_a_sentence_of_a_feature_is_published_where_it_is_installed() -> None:
    policy = parse(toml(changed(category__conversation=GOOD["category"]["mail"], features=["chat", "tls"])))
    hidden = {"keep.conversation", "use.conversation", "end.conversation"}
    everything = {clause.id for clause in policy.clauses}
    assert {clause.id for clause in published(policy)} == everything - hidden - {"feature.tls"}
    assert {clause.id for clause in published(policy, frozenset({"tls"}))} == everything - hidden
    assert {clause.id for clause in published(policy, frozenset({"tls", "chat"}))} == everything


def test_a_feature_that_the_policy_does_not_name_has_no_sentence() -> None:
    policy = parse(toml(changed(features=[])))
    assert "feature.tls" not in {clause.id for clause in published(policy, frozenset({"tls"}))}


def test_the_well_known_document_carries_hash_and_clauses() -> None:
    document = json.loads(to_json(POLICY, frozenset({"tls"})))
    assert (document["name"], document["version"], document["hash"]) == ("sample", 3, POLICY.hash)
    assert [entry["id"] for entry in document["clauses"]] == [clause.id for clause in POLICY.clauses]
    mail = next(entry for entry in document["clauses"] if entry["id"] == "keep.mail")
    assert mail["says"]["keep"] == {"amount": 24, "unit": "hours"}
    assert mail["sentence"]["zh"].startswith("等待发送给您的邮件")
    assert mail["controls"] and mail["probes"]


def test_what_a_clause_says_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        clause("keep.mail").says["keep"] = "life"  # type: ignore[index]
