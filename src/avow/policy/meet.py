"""The policy that is as strict as two: what holds between the publication of a change and its date."""

import functools
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from avow.policy import language, reading
from avow.policy.build import build
from avow.policy.diff import CATEGORY_KEYS, presence
from avow.policy.model import Account, Category, Keep, Part, Policy
from avow.policy.sections import SECTIONS
from avow.policy.strict import age_in, deadline_in, meet_keep, meet_value

Newer = Callable[[Any, Any], Any]


def meet(one: Policy, other: Policy) -> Policy:
    """The stricter of both in each value: stores, uses and shares nothing that either forbids, and keeps every promise.

    Commutative and idempotent. A category that only one has is not stored and used for nothing. Names, dates and
    addresses, of which none is stricter, are the newer version's. It is a value to enforce and publish, and may say
    what no single file would.
    """
    if one.hash == other.hash:
        return one
    first, second = sorted((one, other), key=lambda policy: (policy.version, policy.hash))
    newer = _newer(first, second)
    return build(
        name=second.name,
        version=second.version,
        features=first.features | second.features,
        claims=first.claims | second.claims,
        account=_account(first.account, second.account, newer),
        categories=_categories(first, second, newer),
        parts=_parts(first, second, newer),
        prevailing=second.prevailing or first.prevailing,
        answers={},
        source=second.source,
    )


def _newer(first: Policy, second: Policy) -> Newer:
    """Where no value is the stricter: the second's, which is the newer."""
    return lambda old, new: new


def _account(one: Account, other: Account, newer: Newer) -> Account:
    values = {
        key.name: meet_value(key, getattr(one, key.name), getattr(other, key.name), newer) for key in language.ACCOUNT
    }
    return Account(**values, **_marks(one, other))


def _marks(one: Account | Category | Part, other: Account | Category | Part) -> dict[str, Any]:
    return {
        "answers": tuple(sorted({*one.answers, *other.answers})),
        "operator_choice": one.operator_choice or other.operator_choice,
        "placeholder": one.placeholder or other.placeholder,
    }


def _categories(one: Policy, other: Policy, newer: Newer) -> dict[str, Category]:
    found: dict[str, Category] = {}
    for name in dict.fromkeys([*other.categories, *one.categories]):
        first, second = one.categories.get(name), other.categories.get(name)
        if first is not None and second is not None:
            found[name] = _category(first, second, newer)
        else:
            rule = first or second
            assert rule is not None
            found[name] = replace(
                rule, keep=Keep("never"), purposes=(), staff=(), grace=None, gone_within=None, saved=None
            )
    return found


def _category(one: Category, other: Category, newer: Newer) -> Category:
    values = {
        key.name: meet_value(key, getattr(one, key.name), getattr(other, key.name), newer) for key in CATEGORY_KEYS
    }
    stored = {*one.fields}.difference(one.without) & {*other.fields}.difference(other.without)
    # A store may have room for the fields of both; what is not stored by one stands in `without`.
    values["fields"] = tuple(sorted({*one.fields, *other.fields}))
    values["without"] = tuple(sorted({*values["fields"]} - stored))
    # Where only one has them, absent is the stricter: no time of grace, nothing that can be marked to stay.
    for name in ("grace", "saved"):
        if getattr(one, name) is None or getattr(other, name) is None:
            values[name] = None
    if values["owner"] is not None and None in (one.owner, other.owner):
        values["owner"] = "person"
    line = max(one.line, other.line)
    return Category(name=one.name, line=line, **values, **_marks(one, other))


def _parts(one: Policy, other: Policy, newer: Newer) -> dict[str, Part]:
    found: dict[str, Part] = {}
    ids = dict.fromkeys([*other.parts, *one.parts])
    for id in sorted(ids, key=lambda id: list(SECTIONS).index(id.partition(".")[0])):
        first, second = one.parts.get(id), other.parts.get(id)
        if first is not None and second is not None:
            met = _part(first, second, newer)
            # A processor that the two know for different data or tasks gets nothing.
            if not (met.section == "processor" and not (met.values["categories"] and met.values["roles"])):
                found[id] = met
            continue
        alone = first or second
        assert alone is not None
        if presence(alone) != "loosening":
            found[id] = alone
    return found


def _part(one: Part, other: Part, newer: Newer) -> Part:
    values: dict[str, Any] = {}
    for key in reading.keys_of(one.section, one.name):
        first: Any = one.values.get(key.name)
        second: Any = other.values.get(key.name)
        if key.takes == "ages":
            places = sorted({*(first or {}), *(second or {})})
            met: Any = {place: max(age_in(one.values, place), age_in(other.values, place)) for place in places} or None
        elif key.takes == "periods":
            places = sorted({*first, *second})
            met = {place: meet_keep(deadline_in(first, place), deadline_in(second, place)) for place in places}
        else:
            met = meet_value(key, first, second, newer)
        if met is not None and not (met in (False, ()) and first is None and second is None):
            values[key.name] = MappingProxyType(met) if isinstance(met, dict) else met
    chosen = tuple(sorted({*one.chosen, *other.chosen}))
    return Part(
        one.section,
        one.name,
        MappingProxyType(values),
        chosen=chosen,
        line=max(one.line, other.line),
        **_marks(one, other),
    )


def interim(old: Policy, *coming: Policy) -> Policy:
    """What holds from the publication of `coming` until they take effect: as strict as all of them.

    It carries the number of `old`, under which facts go on to be collected; see `Ratchet.after`.
    """
    met = functools.reduce(meet, coming, old)
    return build(
        name=met.name,
        version=old.version,
        features=met.features,
        claims=met.claims,
        account=met.account,
        categories=met.categories,
        parts=met.parts,
        prevailing=met.prevailing,
        answers=met.answers,
        source=met.source,
    )
