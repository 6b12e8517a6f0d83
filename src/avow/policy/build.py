"""From the values of a policy to the Policy: its sentences and its hash follow from them."""

from collections.abc import Mapping
from types import MappingProxyType

from avow.policy import clauses
from avow.policy.canonical import canonical
from avow.policy.model import Account, Category, Part, Policy, digest


def build(
    *,
    name: str,
    version: int,
    features: frozenset[str],
    claims: frozenset[str],
    account: Account,
    categories: Mapping[str, Category],
    parts: Mapping[str, Part],
    prevailing: str | None,
    answers: Mapping[str, tuple[str, ...]],
    source: str,
) -> Policy:
    """The Policy of these values, which are valid."""
    meaning = canonical(name, version, features, claims, account, categories, parts, prevailing)
    return Policy(
        name=name,
        version=version,
        features=features,
        claims=claims,
        account=account,
        categories=MappingProxyType(dict(categories)),
        clauses=clauses.of(account, categories, features, claims, parts, prevailing, answers),
        hash=digest(meaning),
        source=source,
        prevailing=prevailing,
        parts=MappingProxyType(dict(parts)),
        answers=MappingProxyType(dict(answers)),
    )
