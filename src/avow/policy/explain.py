"""Where each value that holds for one request comes from: the level that set it and the clause that publishes it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from avow.policy.model import Keep, Policy
from avow.policy.plan import NEVER, REACHED, Overrides, Plan, compile

Level = Literal["platform", "tenant", "project", "key", "request"]


@dataclass(frozen=True, slots=True)
class Line:
    """One value: what holds, the level that it comes from, the clause behind it and, where a wish was cut, why."""

    name: str
    value: str
    level: Level
    clause: str | None
    clipped: str = ""


def explain(
    policy: Policy,
    tenant: Overrides | None = None,
    project: Overrides | None = None,
    key: Overrides | None = None,
    *,
    header_h: int | None = None,
    since: datetime | None = None,
) -> tuple[Line, ...]:
    """A line for each category and one for the processors; with `since`, each category's line names the fact's end."""
    levels: list[tuple[Level, Overrides | None]] = [("tenant", tenant), ("project", project), ("key", key)]
    given: list[Overrides | None] = [None, None, None]
    plans: list[tuple[Level, Plan]] = [("platform", compile(policy))]
    for place, (level, wishes) in enumerate(levels):
        given[place] = wishes
        if wishes is not None:
            plans.append((level, compile(policy, *given)))
    lines = [_line(policy, name, plans, header_h, since) for name in policy.categories]
    return (*lines, _processors(plans, levels))


def _line(
    policy: Policy, name: str, plans: list[tuple[Level, Plan]], header_h: int | None, since: datetime | None
) -> Line:
    level, plan = plans[0]
    for lower, tighter in plans[1:]:
        if tighter.keep_h(name) != plan.keep_h(name):
            level = lower
        plan = tighter
    keep, most_h = policy.categories[name].keep, plan.keep_h(name)
    header_h = header_h if name in REACHED else None
    if header_h is not None and keep.may_shorten and (most_h is None or header_h < most_h):
        level, most_h = "request", max(header_h, 0)
    cut = [clip.reason for clip in plan.clipped if clip.category == name]
    value = _value(keep, most_h)
    if since is not None:
        end = plan.end(name, since, header_h)
        value += "" if end is NEVER or end is None else f", until {end.isoformat(timespec='seconds')}"
    return Line(f"keep {name}", value, level, f"keep.{name}", "; ".join(cut))


def _value(keep: Keep, most_h: int | None) -> str:
    if keep.kind == "never" or most_h == 0:
        return "not stored"
    if keep.kind == "life":
        return "life of the account"
    amount, unit = (keep.amount, keep.unit) if most_h is None else (most_h, "hours")
    return f"{amount} {unit.removesuffix('s') if amount == 1 else unit}"


def _processors(plans: list[tuple[Level, Plan]], levels: list[tuple[Level, Overrides | None]]) -> Line:
    allowed = plans[-1][1].processors
    level: Level = "platform"
    for name, wishes in levels:
        if wishes is not None and wishes.processors is not None:
            level = name
    value = "any that is declared" if allowed is None else ", ".join(sorted(allowed)) or "none"
    return Line("processors", value, level, None)
