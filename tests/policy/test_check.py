"""A policy against what the stores say they hold."""

from avow.policy import Holding, check, parse
from tests.policy.texts import GOOD, changed, toml

POLICY = parse(toml(GOOD), "sample.toml")
STORED = [
    Holding("account", "person", ("email", "name", "phone")),
    Holding("api_content", "trace", ("request",)),
    Holding("api_content", "spool", ()),
    Holding("usage", "usage", ("model", "tokens")),
    Holding("payment", "charge", ("amount",)),
    Holding("mail", "outbox", ("text",)),
]
TLS = frozenset({"tls"})


def test_agreement_has_no_problem() -> None:
    assert check(POLICY, STORED, TLS) == []


def test_a_stored_category_without_a_rule_teaches_the_choice() -> None:
    (problem,) = check(POLICY, [*STORED, Holding("audit", "opening", ("actor", "reason"))], TLS)
    assert (problem.kind, problem.path, problem.source) == ("error", "category.audit", "sample.toml")
    assert "opening" in problem.sentence
    assert '[category.audit] with fields = ["actor", "reason"]' in problem.hint


def test_a_stored_field_that_is_not_listed_is_named_with_its_store_and_line() -> None:
    (problem,) = check(POLICY, [*STORED, Holding("usage", "request_log", ("model", "address", "browser"))], TLS)
    assert (problem.kind, problem.path) == ("error", "category.usage.fields")
    assert "request_log holds address, browser" in problem.sentence
    assert 'Add "address", "browser" to category.usage.fields' in problem.hint
    assert toml(GOOD).splitlines()[problem.line - 1] == "[category.usage]"


def test_the_account_has_room_for_what_sign_up_refuses_and_for_nothing_else() -> None:
    (problem,) = check(POLICY, [*STORED, Holding("account", "person", ("username", "birth_date"))], TLS)
    assert "person holds birth_date, which" in problem.sentence


def test_a_rule_that_no_store_needs_is_an_error() -> None:
    (problem,) = check(POLICY, [holding for holding in STORED if holding.category != "mail"], TLS)
    assert (problem.kind, problem.path) == ("error", "category.mail")
    assert "no store holds any" in problem.sentence


def test_a_category_that_is_never_stored_needs_no_store() -> None:
    assert "security_log" in POLICY.categories
    assert check(POLICY, STORED, TLS) == []


def test_a_rule_of_an_absent_feature_is_not_configured() -> None:
    policy = parse(toml(changed(category__conversation=GOOD["category"]["mail"], features=["chat"])))
    found = check(policy, STORED)
    assert {(problem.kind, problem.path) for problem in found} == {
        ("not_configured", "category.conversation"),
        ("not_configured", "features"),
    }
    present = [*STORED, Holding("conversation", "message", ("text",), feature="chat")]
    assert check(policy, present, frozenset({"chat"})) == []


def test_a_store_of_a_feature_that_the_policy_does_not_name_needs_no_rule() -> None:
    chat = Holding("conversation", "message", ("title",), feature="chat")
    assert check(POLICY, [*STORED, chat], TLS) == []
    assert [problem.kind for problem in check(POLICY, [*STORED, Holding("conversation", "message", ())], TLS)] == [
        "error"
    ]


def test_a_feature_that_is_not_set_up_is_listed_and_stops_nothing() -> None:
    (problem,) = check(POLICY, STORED)
    assert (problem.kind, problem.path) == ("not_configured", "features")
    assert "tls" in problem.sentence


def test_every_problem_is_told_at_once() -> None:
    found = check(POLICY, [Holding("audit", "opening", ()), Holding("usage", "usage", ("browser",))], TLS)
    assert {problem.path for problem in found} == {
        "category.audit",
        "category.usage.fields",
        "category.account",
        "category.api_content",
        "category.payment",
        "category.mail",
    }
