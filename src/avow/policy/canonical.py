"""The one spelling of what a policy means: two files that mean the same give the same text, and so the same hash."""

import json
from collections.abc import Mapping
from typing import Any

from avow.policy.language import Key
from avow.policy.model import Account, Category, Keep, Part
from avow.policy.sections import SECTIONS


def canonical(
    name: str,
    version: int,
    features: frozenset[str],
    claims: frozenset[str],
    account: Account,
    categories: Mapping[str, Category],
    parts: Mapping[str, Part],
    prevailing: str | None,
) -> str:
    """The meaning as JSON. What is left out of a file is left out here, so that new keys change no old hash."""
    meaning: dict[str, object] = {
        "language": 1,
        "name": name,
        "version": version,
        "features": sorted(features),
        "claims": sorted(claims),
        "account": {"fields": sorted(account.fields), "required": sorted(account.required)}
        | ({} if account.unconfirmed is None else {"unconfirmed": of_keep(account.unconfirmed)})
        | _marks(account),
        "categories": {category.name: of_category(category) for category in categories.values()},
    }
    if parts:
        meaning["parts"] = {part.id: of_part(part) for part in parts.values()}
    if prevailing is not None:
        meaning["prevailing"] = prevailing
    return json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def of_category(category: Category) -> dict[str, object]:
    """The meaning of one category's rule."""
    always = {
        "fields": sorted(category.fields),
        "purposes": sorted(category.purposes),
        "basis": category.basis,
        "keep": of_keep(category.keep),
        "on_expiry": category.on_expiry,
        "on_erasure": category.on_erasure,
        "ask": category.ask,
        "staff": sorted(category.staff),
    }
    given = {
        "without": sorted(category.without),
        "source": category.source,
        "owner": category.owner,
        "grace": category.grace and of_keep(category.grace),
        "gone_within": category.gone_within and of_keep(category.gone_within),
        "saved": category.saved and of_keep(category.saved),
        "self_service": category.self_service,
        "opt_out": category.opt_out,
    }
    return always | {key: value for key, value in given.items() if value} | _marks(category)


def of_part(part: Part) -> dict[str, object]:
    """The meaning of one table."""
    keys = {key.name: key for key in SECTIONS[part.section].keys}
    chosen: dict[str, object] = {"operator_chooses": sorted(part.chosen)} if part.chosen else {}
    return {name: plain(value, keys[name]) for name, value in part.values.items()} | _marks(part) | chosen


def of_keep(keep: Keep) -> list[object]:
    """A period as its parts."""
    parts: list[object] = [keep.kind, keep.amount, keep.unit, keep.bound, keep.clock]
    return [*parts, "with the account"] if keep.with_account else parts


def plain(value: Any, key: Key) -> object:
    """A value as JSON can hold it; lists whose order means nothing are sorted."""
    if isinstance(value, Keep):
        return of_keep(value)
    if isinstance(value, tuple):
        return list(value) if key.ordered else sorted(value)
    if isinstance(value, Mapping):
        return {name: plain(inner, key) for name, inner in value.items()}
    return value


def _marks(table: Account | Category | Part) -> dict[str, object]:
    marks = {"operator_choice": table.operator_choice, "placeholder": table.placeholder}
    return {name: True for name, marked in marks.items() if marked}
