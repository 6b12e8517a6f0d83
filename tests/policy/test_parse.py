"""From a text to a policy, or to everything that is wrong with it."""

import tomllib
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.policy import Keep, Policy, PolicyError, Problem, language, parse
from tests.policy.texts import GOOD, Tables, changed, policies, toml


def problems(text: str | bytes) -> tuple[Problem, ...]:
    with pytest.raises(PolicyError) as refused:
        parse(text, "sample.toml")
    return refused.value.problems


def only(text: str | bytes) -> Problem:
    (problem,) = problems(text)
    return problem


def test_a_policy_says_what_its_text_says() -> None:
    policy = parse(toml(GOOD))
    assert (policy.name, policy.version) == ("sample", 3)
    assert (policy.features, policy.claims) == (frozenset({"tls"}), frozenset({"sealed"}))
    assert (policy.account.fields, policy.account.required) == (("email", "name"), ("email",))
    content = policy.categories["api_content"]
    assert content.fields == ("request", "response")
    assert content.purposes == ("service", "debugging")
    assert (content.basis, content.ask, content.staff) == ("contract", True, ("abuse",))
    assert content.keep == Keep("period", 30, "days", "at most", "request")
    assert policy.categories["account"].keep == Keep("life")
    assert policy.categories["security_log"].keep == Keep("never")
    assert policy.categories["payment"].keep == Keep("period", 7, "years", "at least", "collection")
    assert (policy.categories["payment"].on_expiry, policy.categories["payment"].on_erasure) == ("delete", "hold")


def test_a_policy_cannot_be_changed() -> None:
    policy = parse(toml(GOOD))
    with pytest.raises(FrozenInstanceError):
        policy.version = 4  # type: ignore[misc]
    with pytest.raises(TypeError):
        policy.categories["mail"] = policy.categories["usage"]  # type: ignore[index]
    assert hash(policy) == hash(parse(toml(GOOD)))


@given(policies())
def test_every_valid_policy_loads_as_it_was_written(tables: Tables) -> None:
    policy = parse(toml(tables))
    assert policy.features == set(tables["features"]) and policy.claims == set(tables["claims"])
    assert list(policy.categories) == list(tables["category"])
    for name, table in tables["category"].items():
        category = policy.categories[name]
        assert list(category.fields) == table["fields"] and list(category.purposes) == table["purposes"]
        assert (category.basis, category.on_expiry) == (table["basis"], table["on_expiry"])
        assert (category.on_erasure, category.ask) == (table["on_erasure"], table.get("ask", False))
        assert list(category.staff) == table.get("staff", [])
        assert spelled(category.keep) == table["keep"]


def spelled(keep: Keep) -> str:
    if keep.kind != "period":
        return {"never": "0", "life": "life of the account"}[keep.kind]
    unit = keep.unit if keep.amount > 1 else keep.unit.removesuffix("s")
    return f"{keep.amount} {unit}" if keep.bound == "exactly" else f"{keep.bound} {keep.amount} {unit}"


@given(policies())
def test_layout_order_and_comments_do_not_change_the_hash(tables: Tables) -> None:
    other = {key: tables[key] for key in reversed(tables)}
    other["category"] = {name: dict(reversed(table.items())) for name, table in reversed(tables["category"].items())}
    for table in other["category"].values():
        table["purposes"] = table["purposes"][::-1]
    text = "# another layout\n" + toml(other).replace(" = ", "=").replace("\n", "  # x\r\n")
    assert parse(text).hash == parse(toml(tables)).hash


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"version": 4},
        {"features": []},
        {"claims": []},
        {"account__required": ["email", "name"]},
        {"category__usage": None},
        {"category__usage__fields": ["model"]},
        {"category__usage__purposes": ["service"]},
        {"category__usage__basis": "consent"},
        {"category__usage__keep": "12 months"},
        {"category__usage__keep": "at most 11 months"},
        {"category__usage__keep": "at most 12 days"},
        {"category__usage__clock": "request"},
        {"category__usage__on_expiry": "delete"},
        {"category__usage__on_erasure": "blank"},
        {"category__usage__ask": True},
        {"category__usage__staff": ["billing"]},
    ],
)
def test_every_change_of_meaning_changes_the_hash(change: dict[str, Any]) -> None:
    assert parse(toml(changed(**change))).hash != parse(toml(GOOD)).hash


@pytest.mark.parametrize(
    ("key", "clause", "strictest"),
    [
        ("fields", "keep.usage", "the fields that are stored, and no more"),
        ("purposes", "use.usage", '["service"]'),
        ("basis", "use.usage", '"consent"'),
        ("keep", "keep.usage", '"0"'),
        ("on_expiry", "keep.usage", '"delete"'),
        ("on_erasure", "end.usage", '"delete"'),
    ],
)
def test_a_category_lacking_a_key_does_not_load(key: str, clause: str, strictest: str) -> None:
    text = toml(changed(**{f"category__usage__{key}": None}))
    problem = only(text)
    assert problem.path == f"category.usage.{key}"
    assert clause in problem.sentence
    assert strictest in problem.hint
    assert text.splitlines()[problem.line - 1] == "[category.usage]"


def test_every_problem_is_told_at_once_each_with_its_line() -> None:
    text = """\
nmae = "sample"
version = 0
features = ["tsl"]
[account]
fields = ["email", "emial"]
required = "email"
[category.account]
fields = ["email"]
purposes = ["service"]
basis = "contract"
keep = "life of the account"
on_expiry = "hold"
on_erasure = "delete"
[category.usgae]
[category.mail]
fields = ["text", "text"]
purposes = []
basis = "contarct"
keep = "24 hors"
on_expriy = "delete"
on_erasure = 1
'ask' = 1
"""
    found = {(problem.line, problem.path): problem for problem in problems(text)}
    assert set(found) == {
        (1, "nmae"),
        (1, "name"),
        (2, "version"),
        (3, "features.0"),
        (5, "account.fields.1"),
        (6, "account.required"),
        (12, "category.account.on_expiry"),
        (14, "category.usgae"),
        (15, "category.mail.on_expiry"),
        (16, "category.mail.fields.1"),
        (17, "category.mail.purposes"),
        (18, "category.mail.basis"),
        (19, "category.mail.keep"),
        (20, "category.mail.on_expriy"),
        (21, "category.mail.on_erasure"),
        (22, "category.mail.ask"),
    }
    assert found[1, "nmae"].hint == "Did you mean name?"
    assert found[3, "features.0"].hint == "Did you mean tls?"
    assert found[14, "category.usgae"].hint == "Did you mean usage?"
    assert found[18, "category.mail.basis"].hint == "Did you mean contract?"
    assert found[20, "category.mail.on_expriy"].hint == "Did you mean on_expiry?"
    assert "listed twice" in found[16, "category.mail.fields.1"].sentence


def test_the_error_reads_as_a_list_of_lines_with_hints() -> None:
    with pytest.raises(PolicyError) as refused:
        parse('x = 1\n[account]\nfields = ["email"]\nrequired = ["email"]\n', "my.toml")
    assert str(refused.value).startswith("my.toml:1: x: The key x is not known.\n  hint: Known are: name, version")


@given(st.data())
def test_one_broken_key_is_one_problem_on_its_own_line(data: st.DataObject) -> None:
    tables = data.draw(policies())
    name = data.draw(st.sampled_from(list(tables["category"])))
    table = tables["category"][name]
    key = data.draw(st.sampled_from(list(table)))
    table[key] = {"broken": "BROKEN"}
    text = toml(tables).replace(f"[category.{name}.{key}]\nbroken = ", "")
    text = text.replace('"BROKEN"', "").replace(f"[category.{name}]", f"[category.{name}]\n{key} = 3.5")
    problem = only(text)
    assert problem.path == f"category.{name}.{key}"
    assert text.splitlines()[problem.line - 1] == f"{key} = 3.5"


@pytest.mark.parametrize(
    ("change", "path", "says"),
    [
        ({"account__fields": ["name"]}, "account.fields", "e-mail"),
        ({"account__required": ["name"]}, "account.required", "e-mail"),
        ({"account__required": ["email", "phone"]}, "account.required", "phone is required but not taken"),
        ({"account__fields": ["email", "phone"]}, "category.account.fields", "Sign-up takes phone"),
        ({"account": None}, "account", "missing"),
        ({"account": "email"}, "account", "missing"),
        ({"category": None}, "category", "No category"),
        ({"category__account": None}, "category.account", "no rule"),
        ({"category__usage": 3}, "category.usage", "not a table"),
        ({"category__usage__on_erasure": "hold"}, "category.usage.on_erasure", "Only the law"),
        ({"category__payment__keep": "life of the account"}, "category.payment.on_erasure", "period of its own"),
        ({"category__usage__clock": "lunch"}, "category.usage.clock", "does not know lunch"),
        ({"category__account__clock": "request"}, "category.account.clock", "Only a period"),
        ({"category__api_content__keep": "30 days"}, "category.api_content.ask", "upper limit"),
        (
            {"category__api_content__keep": "0", "category__api_content__clock": None},
            "category.api_content.ask",
            "limit",
        ),
        ({"category__usage__staff": ["boss"]}, "category.usage.staff.0", "does not know boss"),
        ({"category__usage__fields": ["IP address"]}, "category.usage.fields.0", "cannot be a value"),
        ({"category__usage__fields": [["model"]]}, "category.usage.fields.0", "list of texts"),
        ({"name": "a\0b"}, "name", "cannot be a value"),
        ({"version": True}, "version", "a whole number"),
        ({"version": 2**31}, "version", "out of range"),
        ({"category__usage__ask": "yes"}, "category.usage.ask", "true or false"),
    ],
)
def test_contradictions_and_wrong_values_are_named(change: dict[str, Any], path: str, says: str) -> None:
    (problem,) = [problem for problem in problems(toml(changed(**change))) if problem.path == path]
    assert says in problem.sentence
    assert problem.hint


def test_a_category_of_a_feature_needs_the_feature() -> None:
    table = GOOD["category"]["mail"]
    assert "chat" in only(toml(changed(category__conversation=table))).hint
    assert "conversation" in parse(toml(changed(category__conversation=table, features=["chat"]))).categories


@pytest.mark.parametrize(
    "period",
    ["", "30", "30  days", "30days", "0 days", "-1 days", "1.5 days", "forever", "at most 0", "30 weeks", "030 days"],
)
def test_what_is_no_period_is_refused(period: str) -> None:
    problem = only(toml(changed(category__mail__keep=period)))
    assert (problem.path, "is not a period" in problem.sentence) == ("category.mail.keep", True)


@pytest.mark.parametrize(
    "period",
    ["101 years", "1201 months", "36501 days", "999999 hours", "30 Days", " 30 days", "more than 3 days", "３0 days"],
)
def test_what_is_too_long_or_spelled_otherwise_is_refused(period: str) -> None:
    problem = only(toml(changed(category__mail__keep=period)))
    assert (problem.path, "is not a period" in problem.sentence) == ("category.mail.keep", True)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a = 1\nb = = 2", 2, "TOML"),
        ("a = 1\n\nb = [", 3, "TOML"),
        ("name = 'x'\nname = 'y'", 2, "before"),
        ("[account]\n[account]", 2, "before"),
        ("a.b = 1\n[a]\nb = 2", 2, "before"),
        ("x = " + "9" * 5_000, 0, "out of bounds"),
        ("\n\nx = " + "[" * 5_000, 3, "too deep"),
        (".".join(["a"] * 300_000), 1, "too deep"),
        ("a = 1\n# \0", 2, "NUL"),
        ("a = 1\nb = '\ud800'", 2, "half of a character"),
        (b"a = 1\n\nb = '\xff'", 3, "UTF-8"),
        ("name = 1\n".encode("utf-16"), 1, "UTF-8"),
        ("#" * (language.TEXT_BYTES_MAX + 1), 1, "1 MB"),
        ("#é" * (language.TEXT_BYTES_MAX // 2), 1, "1 MB"),
    ],
)
def test_what_cannot_be_read_is_one_named_problem(text: str | bytes, line: int, says: str) -> None:
    problem = only(text)
    assert problem.line == line
    assert says in problem.sentence
    assert problem.hint and len(str(problem)) < 500


def test_bytes_and_a_byte_order_mark_are_read() -> None:
    text = toml(GOOD)
    assert parse(text.encode()) == parse("\ufeff" + text) == parse(b"\xef\xbb\xbf" + text.encode()) == parse(text)


def test_a_flood_of_wrong_keys_is_cut_off() -> None:
    text = "\n".join(f"key{number} = 1" for number in range(40_000))
    assert len(problems(text)) == language.PROBLEMS_MAX


def test_a_hostile_key_reaches_no_terminal() -> None:
    problem = only(f'"\\u001b[2J{"x" * 900}" = 1\n' + toml(GOOD))
    assert "\x1b" not in str(problem)
    assert len(str(problem)) < 600


@given(st.one_of(st.text(), st.binary(), st.text(alphabet="[]{}=.,\"'#\\\n a1")))
def test_any_input_gives_a_policy_error(text: str | bytes) -> None:
    assert problems(text)


@given(st.recursive(st.one_of(st.integers(), st.booleans(), st.text(max_size=8)), st.lists, max_leaves=4), st.data())
def test_any_value_in_any_place_gives_a_policy_or_an_error(value: Any, data: st.DataObject) -> None:
    paths = ["name", "version", "features", "claims", "account", "account__fields", "account__required", "category"]
    paths += [f"category__usage__{key.name}" for key in language.CATEGORY] + ["category__usage"]
    text = toml(changed(**{data.draw(st.sampled_from(paths)): value}))
    try:
        tomllib.loads(text)
        assert isinstance(parse(text), Policy)
    except tomllib.TOMLDecodeError:
        assert len(problems(text)) == 1
    except PolicyError as refused:
        assert all(problem.line >= 1 and problem.hint for problem in refused.problems)
