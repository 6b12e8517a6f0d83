"""Who may open what, for which purpose, given what the person said: against a table written another way."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from avow.policy import Policy, Question, Standing, decide, parse, words
from avow.policy.decide import ROLES
from tests.policy.texts import GOOD, toml

POLICY = parse(toml(GOOD))
PROFILE = Path(__file__).parents[2] / "profiles" / "default.toml"
DEFAULT = parse(PROFILE.read_text())
PURPOSES = [*words.PURPOSES, "access", "port", "retention", "erasure", "answer", "mischief"]
FREE = Standing()

OPEN = replace(DEFAULT, categories={n: replace(c, staff=tuple(words.STAFF)) for n, c in DEFAULT.categories.items()})
"""The default policy if every staff role might open every category."""


def questions(policy: Policy) -> Iterator[tuple[Standing, Question]]:
    """Every question under every standing that matters to it: by chance few would be answered with yes."""
    names, flags = [*policy.categories, "conversation", "nonsense"], (False, True)
    for category, purpose, role in product(names, PURPOSES, [*sorted(ROLES), ""]):
        for owner, colleague in product(flags, flags):
            for restricted, objected, consented in product(flags, flags, flags):
                said = frozenset({purpose} if objected else {"mischief"}), frozenset({purpose} if consented else ())
                yield Standing(restricted, *said), Question(category, purpose, role, owner, colleague)


def expected(policy: Policy, standing: Standing, question: Question) -> str:
    category = policy.categories.get(question.category)
    if category is None:
        return "not_configured"
    own = question.role == "subject" and question.owner
    if own and question.purpose in ("access", "port"):
        return "yes"
    if question.role == "keeper" and question.purpose in ("retention", "erasure"):
        return "yes"
    if question.role in ("gateway", "keeper") and question.purpose == "answer":
        return "yes" if question.category in ("account", "mail") else "no"
    if (question.role, question.purpose, question.category) == ("privacy", "answer", "rights"):
        return "yes" if "privacy" in category.staff else "no"
    looks_for = words.STAFF_PURPOSES.get(question.role, frozenset({question.purpose}))
    admitted = own or question.role in ("gateway", "keeper", *category.staff)
    admitted = admitted and question.purpose in looks_for
    if question.role in ("owner", "admin"):
        admitted = question.colleague and (question.category, question.purpose) == ("account", "service")
    served = question.purpose in category.purposes
    blocked = standing.restricted or question.purpose in standing.objected
    agreed = category.basis != "consent" or question.purpose in standing.consented
    return "yes" if admitted and served and agreed and not blocked else "no"


@pytest.mark.parametrize("policy", [POLICY, DEFAULT, OPEN], ids=["sample", "default", "open"])
def test_the_answer_is_the_tables(policy: Policy) -> None:
    ids = {clause.id for clause in policy.clauses}
    for standing, question in questions(policy):
        decision = decide(policy, standing, question)
        assert decision.answer == expected(policy, standing, question), (standing, question)
        assert bool(decision) is (decision.answer == "yes")
        assert decision.reason
        assert decision.clause in ids if decision.answer != "not_configured" else decision.clause is None


@pytest.mark.parametrize(
    ("question", "standing", "answer", "reason"),
    [
        (Question("usage", "billing", "gateway"), FREE, "yes", "usage serves billing"),
        (Question("usage", "debugging", "gateway"), FREE, "no", "not used for this purpose"),
        (Question("conversation", "service", "gateway"), FREE, "not_configured", "no rule for conversation"),
        (Question("api_content", "debugging", "abuse"), FREE, "no", "abuse staff do not open anything for debugging"),
        (Question("api_content", "debugging", "support"), FREE, "no", "lets no support staff"),
        (Question("api_content", "access", "abuse", owner=True), FREE, "no", "do not open anything for access"),
        (Question("api_content", "access", "keeper"), FREE, "no", "not used for this purpose"),
        (Question("usage", "billing", "intern"), FREE, "no", "role is not known"),
        (Question("usage", "access", "subject"), FREE, "no", "their own data only"),
        (Question("usage", "access", "subject", owner=True), Standing(restricted=True), "yes", "their own data"),
        (Question("usage", "billing", "subject", owner=True), Standing(restricted=True), "no", "restricted"),
        (Question("usage", "billing", "keeper"), Standing(restricted=True), "no", "restricted"),
        (Question("usage", "retention", "keeper"), Standing(restricted=True), "yes", "ended"),
        (Question("payment", "erasure", "keeper"), Standing(restricted=True), "yes", "ended"),
        (Question("usage", "erasure", "gateway"), FREE, "no", "not used for this purpose"),
        (
            Question("usage", "billing", "gateway"),
            Standing(objected=frozenset({"billing"})),
            "no",
            "objected to billing",
        ),
        (Question("usage", "billing", "gateway"), Standing(objected=frozenset({"service"})), "yes", "serves"),
        (Question("mail", "notices", "keeper"), FREE, "no", "not consented to notices"),
        (Question("mail", "notices", "keeper"), Standing(consented=frozenset({"notices"})), "yes", "serves"),
    ],
)
def test_a_row_of_the_table(question: Question, standing: Standing, answer: str, reason: str) -> None:
    decision = decide(POLICY, standing, question)
    assert decision.answer == answer
    assert reason in decision.reason


def test_what_somebody_asked_is_opened_to_answer_it_and_nothing_else_is() -> None:
    """GDPR Art. 18(2): a restricted person's own request is read by whom it is for, and by nobody else, for nothing else."""
    restricted = Standing(restricted=True, objected=frozenset({"legal"}))
    may = [
        (role, category, purpose)
        for role in sorted(ROLES)
        for category in DEFAULT.categories
        for purpose in PURPOSES
        if role in words.STAFF and decide(DEFAULT, restricted, Question(category, purpose, role, colleague=True))
    ]
    assert may == [("privacy", "rights", "answer")]
    assert decide(DEFAULT, restricted, Question("rights", "legal", "privacy")).answer == "no"
    unlisted = parse((PROFILE.read_text()).replace('staff = ["privacy"]', 'staff = ["operator"]'))
    assert decide(unlisted, FREE, Question("rights", "answer", "privacy")).answer == "no"


def test_an_ending_cites_the_clause_that_promises_it() -> None:
    assert decide(POLICY, FREE, Question("usage", "retention", "keeper")).clause == "keep.usage"
    assert decide(POLICY, FREE, Question("usage", "erasure", "keeper")).clause == "end.usage"
    assert decide(POLICY, FREE, Question("security_log", "erasure", "keeper")).clause == "keep.security_log"
    assert decide(POLICY, FREE, Question("usage", "billing", "gateway")).clause == "use.usage"
