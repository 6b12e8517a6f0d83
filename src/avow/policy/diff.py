"""What changes from one policy to another: each change with its direction, and the sentences that read otherwise."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from avow.policy import language, reading
from avow.policy.canonical import plain
from avow.policy.language import Key
from avow.policy.model import Category, Part, Policy
from avow.policy.sections import SECTIONS
from avow.policy.strict import Direction, age_in, deadline_in, direction, keep_direction

CATEGORY_KEYS = tuple(key for key in language.CATEGORY if key.name not in ("clock", "ends_with_account"))
"""The keys of a category that are values of their own; clock and end with the account are part of `keep`."""
FIELDS = frozenset({"fields", "without"})


@dataclass(frozen=True, slots=True)
class Change:
    """One change: the dotted key, what it was and is (as JSON values, None for absent), and what that means.

    `tightening`: less is stored, for shorter, for less, or more is promised; `loosening`: the reverse, or both at once.
    """

    path: str
    old: object
    new: object
    direction: Direction


@dataclass(frozen=True, slots=True)
class Rewording:
    """A sentence that reads otherwise in one language; None: it is not there."""

    clause: str
    locale: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Diff:
    """All that changes. `shortened`: the categories whose facts may newly expire."""

    changes: tuple[Change, ...]
    sentences: tuple[Rewording, ...]
    shortened: tuple[str, ...]

    @property
    def loosens(self) -> bool:
        """Whether something is allowed that was not: then people are told before it takes effect."""
        return any(change.direction == "loosening" for change in self.changes)

    @property
    def tightens(self) -> bool:
        """Whether something is not allowed any more: it may take effect at once."""
        return any(change.direction == "tightening" for change in self.changes)

    @property
    def material(self) -> bool:
        """Whether a rule changes, not only a name, a date or a mailbox."""
        return self.loosens or self.tightens


def diff(old: Policy, new: Policy) -> Diff:
    """What changes from `old` to `new`, in the order of a policy file."""
    found = [*_top(old, new), *_account(old, new), *_categories(old, new), *_parts(old, new)]
    changes = tuple(change for change in found if change.old != change.new)
    shortened = tuple(
        change.path.split(".")[1]
        for change in changes
        if change.direction != "neutral" and _ends_sooner(old, new, change.path)
    )
    return Diff(changes, tuple(_sentences(old, new)), tuple(dict.fromkeys(shortened)))


def _ends_sooner(old: Policy, new: Policy, path: str) -> bool:
    kind, _, rest = path.partition(".")
    name, _, key = rest.partition(".")
    if kind != "category" or key not in ("", "keep"):
        return False
    before, after = old.categories.get(name), new.categories.get(name)
    if before is None or after is None:
        return after is None
    return keep_direction(before.keep, after.keep) == "tightening"


def _top(old: Policy, new: Policy) -> Iterator[Change]:
    yield Change("name", old.name, new.name, "neutral")
    yield Change("version", old.version, new.version, "neutral")
    yield Change("features", sorted(old.features), sorted(new.features), "neutral")
    claims = language.POLICY[3]
    yield Change("claims", sorted(old.claims), sorted(new.claims), direction(claims, old.claims, new.claims))
    yield Change("prevailing", old.prevailing, new.prevailing, "neutral")


def _account(old: Policy, new: Policy) -> Iterator[Change]:
    for key in language.ACCOUNT:
        before, after = getattr(old.account, key.name), getattr(new.account, key.name)
        yield _change(f"account.{key.name}", key, before, after)


def _change(path: str, key: Key, old: Any, new: Any) -> Change:
    return Change(path, _plain(key, old), _plain(key, new), direction(key, old, new))


def _plain(key: Key, value: Any) -> object:
    return None if value is None else plain(value, key)


def _categories(old: Policy, new: Policy) -> Iterator[Change]:
    for name in dict.fromkeys([*old.categories, *new.categories]):
        path, before, after = f"category.{name}", old.categories.get(name), new.categories.get(name)
        if before is None or after is None:
            yield Change(path, before and "a rule", after and "a rule", _of_rule(before, after))
        else:
            yield from _category(path, before, after)


def _of_rule(old: Category | None, new: Category | None) -> Direction:
    """What it means that a category's rule comes or goes."""
    kept = [rule for rule in (old, new) if rule is not None and rule.keep.kind != "never"]
    # A rule that nothing is stored, and no rule: nothing is stored either way.
    return "neutral" if not kept else "loosening" if old is None else "tightening"


def _category(path: str, old: Category, new: Category) -> Iterator[Change]:
    for key in CATEGORY_KEYS:
        before, after = getattr(old, key.name), getattr(new, key.name)
        change = _change(f"{path}.{key.name}", key, before, after)
        if key.name == "gone_within":
            change = Change(change.path, change.old, change.new, keep_direction(before, after, absent=None))
        if key.name in FIELDS:
            # A field that moves from `without` to nowhere, or back, is as unstored as before.
            stored = [set(each.fields) - set(each.without) for each in (old, new)]
            change = Change(change.path, change.old, change.new, direction(language.CATEGORY[0], *stored))
        yield change
    yield from _marks(path, old, new)


def _marks(path: str, old: Category | Part, new: Category | Part) -> Iterator[Change]:
    for mark in ("operator_choice", "placeholder"):
        yield Change(f"{path}.{mark}", getattr(old, mark), getattr(new, mark), "neutral")


def _parts(old: Policy, new: Policy) -> Iterator[Change]:
    for id in dict.fromkeys([*old.parts, *new.parts]):
        before, after = old.parts.get(id), new.parts.get(id)
        if before is None or after is None:
            there = before or after
            assert there is not None
            found = presence(there) if before is None else _opposite(presence(there))
            yield Change(id, None if before is None else "a table", None if after is None else "a table", found)
        else:
            yield from _part(before, after)


def presence(part: Part) -> Direction:
    """What it means that a table comes to be."""
    if part.section == "practice":
        # Silence does nothing; so a rule that allows nothing only says it, and any other allows something.
        first = next(iter(reading.keys_of(part.section, part.name)[0].words or ()))
        return "tightening" if part.values["rule"] == first else "loosening"
    found: Mapping[str, Direction] = {"more": "tightening", "fewer": "loosening"}
    return found.get(SECTIONS[part.section].presence, "neutral")


def _opposite(direction: Direction) -> Direction:
    turned: Mapping[Direction, Direction] = {"tightening": "loosening", "loosening": "tightening"}
    return turned.get(direction, direction)


def _part(old: Part, new: Part) -> Iterator[Change]:
    for key in reading.keys_of(old.section, old.name):
        before: Any = old.values.get(key.name)
        after: Any = new.values.get(key.name)
        path = f"{old.id}.{key.name}"
        if key.takes == "ages":
            places = sorted({*(before or {}), *(after or {})})
            ages = [[age_in(part.values, place) for place in places] for part in (old, new)]
            yield Change(path, _plain(key, before), _plain(key, after), _worst(direction_of_ages(*ages)))
        elif key.takes == "periods":
            places = sorted({*before, *after})
            found = [keep_direction(deadline_in(before, place), deadline_in(after, place)) for place in places]
            yield Change(path, _plain(key, before), _plain(key, after), _worst(found))
        else:
            yield _change(path, key, before, after)
    yield Change(f"{old.id}.operator_chooses", sorted(old.chosen), sorted(new.chosen), "neutral")
    yield from _marks(old.id, old, new)


def direction_of_ages(old: list[int], new: list[int]) -> list[Direction]:
    """What each change of an age is: a higher age is the stricter."""
    return [
        "neutral" if one == other else "tightening" if other > one else "loosening"
        for one, other in zip(old, new, strict=True)
    ]


def _worst(found: list[Direction]) -> Direction:
    return "loosening" if "loosening" in found else "tightening" if "tightening" in found else "neutral"


def _sentences(old: Policy, new: Policy) -> Iterator[Rewording]:
    before = {clause.id: clause for clause in old.clauses}
    after = {clause.id: clause for clause in new.clauses}
    for id in dict.fromkeys([*before, *after]):
        for locale in ("en", "zh"):
            texts = [getattr(side[id], locale) if id in side else None for side in (before, after)]
            if texts[0] != texts[1]:
                yield Rewording(id, locale, *texts)
