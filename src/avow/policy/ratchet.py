"""The ratchet: a fact keeps the shortest rule that was in force at any time since it was collected.

Loosening a policy never lengthens what is stored. Nothing is rewritten when a policy changes: for each category and
each version under which facts were collected, the shortest rules since then are remembered, and a fact's end follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from avow.policy.model import Keep, Policy, instant
from avow.policy.strict import same_keep


@dataclass(frozen=True, slots=True)
class Floor:
    """The shortest rules since a version: the earliest of their ends counts, so that calendar and hours need no order."""

    keeps: tuple[Keep, ...]

    def end(self, since: datetime) -> datetime | None:
        """The UTC end of a fact of `since`; None = the life of the account. A rule `never` ends it where it begins."""
        ends = [end for keep in self.keeps if (end := keep.end(since)) is not None]
        return min(ends, default=None)

    @property
    def ends_with_account(self) -> bool:
        """Whether closing the account ends the fact, under any of the rules."""
        return any(keep.ends_with_account for keep in self.keeps)

    def met(self, keep: Keep) -> "Floor":
        """The floor once `keep` has been in force too."""
        known = any(same_keep(keep, other) for other in self.keeps)
        return self if known else Floor((*self.keeps, keep))


@dataclass(frozen=True, slots=True)
class Ratchet:
    """The floors of every category by the version under which a fact was collected. Immutable."""

    floors: Mapping[tuple[str, int], Floor] = field(default_factory=lambda: MappingProxyType({}))

    def after(self, policy: Policy, version: int | None = None) -> "Ratchet":
        """The ratchet once `policy` has come into force. A category without a rule is not to be stored any more.

        `version`: the number that facts collected from now on carry, the policy's own if None. What holds until a
        change takes effect, `meet(old, new)`, is collected under the number of the old, so that the new starts afresh.
        """
        number = policy.version if version is None else version
        rules = policy.categories
        floors = {
            (name, version): floor.met(rules[name].keep if name in rules else Keep("never"))
            for (name, version), floor in self.floors.items()
        }
        for name, category in rules.items():
            floors.setdefault((name, number), Floor((category.keep,)))
        return Ratchet(MappingProxyType(floors))

    def end(self, category: str, version: int, since: datetime) -> datetime | None:
        """The end of a fact collected at `since` under `version`; None = the life of the account.

        Raises KeyError for a version under which the category had no rule: no such fact could be collected.
        """
        return self.floors[category, version].end(instant(since))
