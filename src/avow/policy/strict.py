"""Which of two values is the stricter, and the value that is as strict as both: for periods, lists, words and numbers."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Literal, TypeVar

from avow.policy import terms
from avow.policy.language import Key, Strict
from avow.policy.model import HOURS_PER_DAY, MONTHS_PER_YEAR, Keep

Direction = Literal["tightening", "loosening", "neutral"]

_BOUNDS = ("at most", "exactly", "at least")
_NEVER = Keep("never")
T = TypeVar("T")


def meet_keep(one: Keep, other: Keep) -> Keep:
    """A period that ends no later than either, whatever its start, and with the account if either does.

    Where a calendar period and hours cannot be told apart, it is the fewest hours that either can last. Of two clocks
    the first by name counts: a store writes one instant as `since`, whatever it is called.
    """
    if one == other:
        return one
    if "never" in (one.kind, other.kind):
        return _NEVER
    first, second = sorted((one, other), key=_spelling)
    if first.kind == "life" or second.kind == "life":
        return replace(second if first.kind == "life" else first, with_account=True)
    return replace(
        _shorter(first, second),
        bound=min(first.bound, second.bound, key=_BOUNDS.index),
        clock=min(first.clock, second.clock),
        with_account=first.with_account or second.with_account,
    )


def _shorter(one: Keep, other: Keep) -> Keep:
    months = _months(one), _months(other)
    if None not in months:
        return one if (months[0] or 0) <= (months[1] or 0) else other
    bounds = one.hours_min or 0, one.hours_max or 0, other.hours_min or 0, other.hours_max or 0
    if bounds[1] <= bounds[2]:
        return one
    if bounds[3] <= bounds[0]:
        return other
    return Keep("period", min(bounds[0], bounds[2]), "hours")


def same_keep(one: Keep | None, other: Keep | None) -> bool:
    """Whether two periods mean the same: 24 hours and 1 day, 12 months and 1 year."""
    return _normal(one) == _normal(other)


def _normal(keep: Keep | None) -> Keep | None:
    if keep is None or keep.kind != "period":
        return keep
    months = _months(keep)
    if months is not None:
        return replace(keep, amount=months, unit="months")
    return replace(keep, amount=keep.amount * (HOURS_PER_DAY if keep.unit == "days" else 1), unit="hours")


def _months(keep: Keep) -> int | None:
    if keep.unit not in ("months", "years"):
        return None
    return keep.amount * (MONTHS_PER_YEAR if keep.unit == "years" else 1)


def _spelling(keep: Keep) -> tuple[object, ...]:
    return (keep.kind, keep.unit, keep.amount, keep.bound, keep.clock, keep.with_account)


def keep_direction(old: Keep | None, new: Keep | None, absent: Keep | None = _NEVER) -> Direction:
    """What a change of a period is; `absent`: what None means, None being no limit at all."""
    one, other = (absent if keep is None else keep for keep in (old, new))
    if same_keep(one, other):
        return "neutral"
    if other is None:
        return "loosening"
    if one is None:
        return "tightening"
    return "tightening" if same_keep(meet_keep(one, other), other) else "loosening"


def meet_value(key: Key, one: Any, other: Any, newer: Callable[[Any, Any], Any]) -> Any:
    """The value as strict as both, as the key declares; `newer` chooses where neither is stricter. None: not given."""
    if key.takes == "keep":
        return _meet_optional(one, other)
    if key.strict == "fewer":
        return _in_order(one or (), set(one or ()) & set(other or ()))
    if key.strict == "more":
        both = set(one or ()) | set(other or ())
        return tuple(sorted(both))
    if key.strict in ("yes", "no"):
        flags = bool(one), bool(other)
        return (flags[0] or flags[1]) if key.strict == "yes" else (flags[0] and flags[1])
    if one is None or other is None:
        return one if other is None else other
    if key.strict == "earlier":
        return min(one, other, key=_place(key))
    if key.strict in ("lower", "higher"):
        return min(one, other) if key.strict == "lower" else max(one, other)
    return newer(one, other)


def _meet_optional(one: Keep | None, other: Keep | None) -> Keep | None:
    if one is None or other is None:
        return one if other is None else other
    return meet_keep(one, other)


def _in_order(of: Collection[str], kept: set[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in of if name in kept))


def _place(key: Key) -> Callable[[Any], int]:
    return list(key.words or ()).index


def direction(key: Key, old: Any, new: Any) -> Direction:
    """What a change from `old` to `new` is, as the key declares. What tightens and loosens at once loosens."""
    if key.takes == "keep":
        return keep_direction(old, new)
    if key.strict in ("fewer", "more"):
        return _of_sets(key.strict, set(old or ()), set(new or ()))
    if key.strict in ("yes", "no"):
        return _of_order(bool(old) != (key.strict == "yes"), bool(new) != (key.strict == "yes"))
    if key.strict == "free" or old is None or new is None:
        return "neutral" if key.strict == "free" or old == new else "tightening" if old is None else "loosening"
    if key.strict == "given":
        return "neutral"
    if key.strict == "earlier":
        place = _place(key)
        return _of_order(place(old), place(new))
    return _of_order(old, new) if key.strict == "lower" else _of_order(new, old)


def _of_sets(strict: Strict, old: set[str], new: set[str]) -> Direction:
    if old == new:
        return "neutral"
    return "tightening" if (new < old if strict == "fewer" else new > old) else "loosening"


def _of_order(old: Any, new: Any) -> Direction:
    """Of two numbers of which the lower is the stricter."""
    return "neutral" if old == new else "tightening" if new < old else "loosening"


def age_in(values: Mapping[str, Any], country: str) -> int:
    """The age that `[age]` asks for in a country."""
    return int(values.get("by_country", {}).get(country, values["minimum"]))


def deadline_in(deadlines: Mapping[str, Keep], place: str) -> Keep:
    """The time to answer in a place: its own, its country's, the European Union's if it lies there, else the default."""
    country = place[:2]
    union = deadlines.get("EU") if country in terms.EU else None
    return deadlines.get(place) or deadlines.get(country) or union or deadlines["default"]
