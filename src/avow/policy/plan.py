"""A Plan: what may be stored of a request's data, until when, and who may see its content.

Settings form a lattice: platform (the policy) → tenant → project → API key → request header. A lower level may only
tighten; a wish beyond the level above is clipped, and the plan says so. Compiling happens once per key and epoch;
a request then costs a look-up and a `min`.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, Literal

from avow.policy.model import Keep, Policy, instant


class Never(enum.Enum):
    """The answer of `Plan.end` for what is not stored at all."""

    NEVER = "never"


NEVER: Final = Never.NEVER

Level = Literal["tenant", "project", "key"]

REACHED: Final = frozenset({"api_content", "cache"})
"""What the header of a request can shorten: what was said in it, and copies of that. That it was made, and what it cost, is
kept by the rules of their own categories."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """What one level asks for.

    `keep_h`: hours to keep per category; 0 = store nothing of it. A category that is kept only when the tenant asks
    is asked for by naming it at the tenant's level. `processors`: the only outside parties that may see content;
    None = any that is declared. Raises ValueError for hours that are no whole number ≥ 0.
    """

    keep_h: Mapping[str, int] = field(default_factory=dict)
    processors: frozenset[str] | None = None

    def __post_init__(self) -> None:
        for category, hours in self.keep_h.items():
            if isinstance(hours, bool) or not isinstance(hours, int) or hours < 0:
                raise ValueError(f"keep_h of {category} must be a whole number of hours, 0 or more")


@dataclass(frozen=True, slots=True)
class Clip:
    """A wish that went beyond the level above: what was asked, what is given instead, and why.

    `given_h` is None where the period has no fixed number of hours (the life of the account, calendar periods).
    """

    level: Level
    category: str
    asked_h: int
    given_h: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Rule:
    """A category's period after every level has spoken. What `end` needs is worked out once: it runs per request."""

    keep: Keep
    cap_h: int | None
    """Hours after which a fact ends at the latest, by the period or by a level; None = no such number."""
    may_shorten: bool = field(init=False)
    by_hours: bool = field(init=False)
    cap: timedelta = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "may_shorten", self.keep.may_shorten)
        object.__setattr__(self, "by_hours", self.keep.hours is not None)
        object.__setattr__(self, "cap", timedelta(hours=self.cap_h or 0))

    def end(self, since: datetime, header_h: int | None) -> datetime | Never | None:
        cap_h = self.cap_h
        if header_h is not None and self.may_shorten and (cap_h is None or header_h < cap_h):
            cap_h = header_h
        if cap_h is None:
            return self.keep.end(since)
        if cap_h <= 0:
            return NEVER
        capped = instant(since) + (self.cap if cap_h == self.cap_h else timedelta(hours=cap_h))
        if self.by_hours:
            return capped
        natural = self.keep.end(since)
        return capped if natural is None or capped < natural else natural


@dataclass(frozen=True, slots=True)
class Plan:
    """One compiled answer for one key. `epoch` tells when it is stale: compile again when the ledger's is another."""

    policy_hash: str
    policy_version: int
    epoch: int
    processors: frozenset[str] | None
    """The only outside parties that may see content; None = any that is declared."""
    clipped: tuple[Clip, ...]
    rules: Mapping[str, _Rule] = field(repr=False)
    fields: Mapping[str, frozenset[str]] = field(default_factory=dict, repr=False)
    """By category: the fields that may be stored."""
    of_tenant: frozenset[str] = frozenset()
    """The categories whose facts belong to the organisation, not to the person whose key it is."""

    def end(self, category: str, since: datetime, header_h: int | None = None) -> datetime | Never | None:
        """The UTC end of a fact of `since`; None = the life of the account; NEVER = it must not be stored.

        `header_h`, hours from the request, only shortens, and only a period that is "at most"; it is given for what it
        reaches (`REACHED`). A category without a rule must not be stored.
        """
        rule = self.rules.get(category)
        return NEVER if rule is None else rule.end(since, header_h)

    def lasts(self, category: str, since: datetime) -> timedelta | Never | None:
        """How long a fact of `since` is kept: as long as any other of that UTC day; None and NEVER as `end` says them."""
        end = self.end(category, since)
        return end - since if isinstance(end, datetime) else end

    def keep_h(self, category: str) -> int | None:
        """Hours kept; 0 = not stored; None = no fixed number (the life of the account, calendar periods)."""
        rule = self.rules.get(category)
        return 0 if rule is None else rule.cap_h

    def stores(self, category: str, name: str) -> bool:
        """Whether the field `name` of facts of a category may be stored at all."""
        return name in self.stored(category)

    def stored(self, category: str) -> frozenset[str]:
        """The fields that may be stored of facts of a category."""
        return self.fields.get(category, frozenset())

    def may_see(self, processor: str) -> bool:
        """Whether content may be passed to the processor of this name, provided that it is declared."""
        return self.processors is None or processor in self.processors


def compile(
    policy: Policy,
    tenant: Overrides | None = None,
    project: Overrides | None = None,
    key: Overrides | None = None,
    *,
    epoch: int = 0,
) -> Plan:
    """The Plan of a key of a project of a tenant under `policy`; None stands for a level that asks for nothing."""
    levels: list[tuple[Level, Overrides]] = [
        ("tenant", tenant or Overrides()),
        ("project", project or Overrides()),
        ("key", key or Overrides()),
    ]
    clips: list[Clip] = []
    rules = {category.name: _Rule(category.keep, category.keep.hours) for category in policy.categories.values()}
    for name, category in policy.categories.items():
        if category.ask and name not in levels[0][1].keep_h:
            rules[name] = _Rule(category.keep, 0)
    for level, wishes in levels:
        for name, asked_h in wishes.keep_h.items():
            if name in rules:
                rules[name] = _tightened(rules[name], level, name, asked_h, clips)
            elif asked_h:
                clips.append(Clip(level, name, asked_h, 0, "the policy has no rule for this category"))
    return Plan(
        policy_hash=policy.hash,
        policy_version=policy.version,
        epoch=epoch,
        processors=_common(wishes.processors for _, wishes in levels),
        clipped=tuple(clips),
        rules=MappingProxyType(rules),
        fields=MappingProxyType(
            {
                c.name: frozenset(c.fields).difference(c.without)
                for c in policy.categories.values()
                if rules[c.name].cap_h != 0
            }
        ),
        of_tenant=frozenset(c.name for c in policy.categories.values() if c.owner == "tenant"),
    )


def _tightened(rule: _Rule, level: Level, name: str, asked_h: int, clips: list[Clip]) -> _Rule:
    """`rule` after a level asked for `asked_h`; what it may not have is added to `clips`."""
    most_h = rule.keep.hours_max if rule.cap_h is None else rule.cap_h
    if not rule.may_shorten:
        if asked_h != rule.cap_h:
            clips.append(Clip(level, name, asked_h, rule.cap_h, "only a period that is 'at most' can be shortened"))
        return rule
    if most_h is not None and asked_h > most_h:
        clips.append(Clip(level, name, asked_h, rule.cap_h, "the level above allows no more"))
        return rule
    return _Rule(rule.keep, asked_h)


def _common(wishes: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    """The processors that every level allows."""
    allowed: frozenset[str] | None = None
    for wish in wishes:
        if wish is not None:
            allowed = wish if allowed is None else allowed & wish
    return allowed
