"""Does the policy speak of everything that is stored, and is everything stored that it speaks of?"""

from collections.abc import Sequence
from dataclasses import dataclass

from avow.policy import cookies, words
from avow.policy.model import Category, Policy, Problem


@dataclass(frozen=True, slots=True)
class Holding:
    """One store's declaration: fields of one category that it holds. `feature`: the part to which the store belongs."""

    category: str
    store: str
    fields: tuple[str, ...]
    feature: str | None = None


def check(policy: Policy, holdings: Sequence[Holding], installed: frozenset[str] = frozenset()) -> list[Problem]:
    """Every problem between `policy` and what the stores declare; none of kind `error` = the program may start.

    `installed` names the features that this installation offers; the policy's others are listed as not configured.
    A store of a feature that the policy does not name holds nothing and needs no rule.
    """
    stored = [holding for holding in holdings if holding.feature is None or holding.feature in policy.features]
    problems = [_without_rule(policy, holding) for holding in stored if holding.category not in policy.categories]
    for category in policy.categories.values():
        theirs = [holding for holding in stored if holding.category == category.name]
        problems += [problem for holding in theirs for problem in _fields_unlisted(policy, category, holding)]
        if not theirs and category.keep.kind != "never":
            problems.append(_without_store(policy, category))
    problems += [_not_registered(policy, cookie) for cookie in cookies.unregistered(policy)]
    problems += [_not_installed(policy, feature) for feature in sorted(policy.features - installed)]
    return problems


def _without_rule(policy: Policy, holding: Holding) -> Problem:
    return Problem(
        source=policy.source,
        line=0,
        path=f"category.{holding.category}",
        sentence=f"The store {holding.store} holds {holding.category}, and the policy has no rule for it.",
        hint=f"Add [category.{holding.category}] with fields = [{_quoted(holding.fields)}], purposes, basis, keep, "
        "on_expiry and on_erasure, or stop storing it.",
    )


def _not_registered(policy: Policy, cookie: str) -> Problem:
    return Problem(
        source=policy.source,
        line=policy.parts["cookies.essential"].line,
        path="cookies.essential",
        sentence=f"The service sets the cookie {cookie}, and the register does not name it.",
        hint=f'Add [cookie.{cookie}] with kind = "essential" and a lifetime.',
    )


def _fields_unlisted(policy: Policy, category: Category, holding: Holding) -> list[Problem]:
    # These tables have room for everything that some policy takes; what this one does not list is not taken.
    optional = _optional(policy, category.name)
    unlisted = tuple(field for field in holding.fields if field not in category.fields and field not in optional)
    if not unlisted:
        return []
    return [
        Problem(
            source=policy.source,
            line=category.line,
            path=f"category.{category.name}.fields",
            sentence=f"The store {holding.store} holds {', '.join(unlisted)}, which {category.name} does not list.",
            hint=f"Add {_quoted(unlisted)} to category.{category.name}.fields, so that it is published, "
            "or stop storing it.",
        )
    ]


def _optional(policy: Policy, category: str) -> tuple[str, ...]:
    if category == "technical":
        return words.TECHNICAL_FIELDS
    if category == "account":
        return (*words.ACCOUNT_FIELDS, *(() if "age" in policy.parts else words.AGE_FIELDS))
    return ()


def _without_store(policy: Policy, category: Category) -> Problem:
    known = words.CATEGORIES.get(category.name)
    feature = None if known is None else known.feature
    path = f"category.{category.name}"
    if feature is not None:
        sentence = f"The feature {feature} is not installed, so that nothing of {category.name} is stored."
        hint = f"Install {feature}; until then the sentences about {category.name} are not published."
        return Problem(policy.source, category.line, path, sentence, hint, kind="not_configured")
    sentence = f"The policy has a rule for {category.name}, and no store holds any."
    hint = f'Remove [{path}], or write keep = "0", so that what is published is what is stored.'
    return Problem(policy.source, category.line, path, sentence, hint)


def _not_installed(policy: Policy, feature: str) -> Problem:
    sentence = f"The policy names the feature {feature}, which is not installed or not set up."
    hint = f"Set up {feature}; until then its sentences are not published."
    return Problem(policy.source, 0, "features", sentence, hint, kind="not_configured")


def _quoted(fields: tuple[str, ...]) -> str:
    return ", ".join(f'"{field}"' for field in fields)
