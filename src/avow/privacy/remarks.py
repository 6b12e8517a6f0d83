"""What is to be said of a policy: what keeps it from running here, and what is only not published yet."""

from __future__ import annotations

from dataclasses import replace

from avow import catalog
from avow.policy import Policy, Problem, unpublishable
from avow.policy.render import gaps


def errors(policy: Policy) -> list[Problem]:
    """What keeps a policy from running here: stores without a rule, rules without a store, sentences in one language only."""
    found = [problem for problem in catalog.check(policy) if problem.kind == "error"]
    missing = set(gaps(policy))
    return found + [problem for problem in unpublishable(policy) if problem.path in missing or _no_terms(problem)]


def of(policy: Policy, installed: frozenset[str]) -> list[Problem]:
    """Everything, in the order of its lines: the errors, and as `not_configured` what is not published where the parts
    `installed` are, or must not be published as the operator's yet."""
    wrong = errors(policy)
    rest = [each for each in (*catalog.check(policy, installed), *unpublishable(policy)) if each not in wrong]
    return sorted([*wrong, *(replace(each, kind="not_configured") for each in rest)], key=lambda each: each.line)


def _no_terms(problem: Problem) -> bool:
    return problem.path.startswith("terms.") and problem.sentence.startswith("There are terms")
