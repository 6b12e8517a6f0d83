"""What a change of the policy would do to the data that is there, found before it is done."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from avow import catalog
from avow.base.errors import AvowError, BadInput
from avow.base.progress import Told, each, nobody
from avow.policy import Diff, Policy, Problem, diff, interim, unpublishable
from avow.policy.model import digest
from avow.privacy import floors, lapses, notices, shortening, versions
from avow.privacy.needs import Needs
from avow.privacy.notices import Notice, Readers
from avow.privacy.shortening import Cut
from avow.privacy.stores import TableStore

DAY_LATEST = timedelta(hours=12)
"""By how much the last place on Earth is behind UTC."""


class PlanUnfit(AvowError):
    """This policy cannot take the place of the one in force."""

    status = 422
    code = "plan_unfit"
    hint = "Change the file as said above and plan again; `avow policy check FILE` says the same."


class TextDateOld(AvowError):
    """A text of the policy changes and the day that it names as that of its last change does not."""

    status = 422
    code = "policy_text_date_old"
    hint = "Write the day on which that text changed into [locale.NAME] date, and plan the file again."


class VersionTaken(AvowError):
    """A version with this number was published already."""

    status = 409
    code = "version_taken"


class DateWrong(BadInput):
    """A change takes effect at a time to come."""

    code = "policy_date_wrong"
    hint = "Give --effective a date that has not passed, such as 2027-01-31 or 2027-01-31T12:00Z."


class DateMissing(AvowError):
    """This change loosens, so people are told before it takes effect."""

    status = 422
    code = "policy_date_missing"
    hint = "Plan it again with a date to come: --effective 2027-01-31. Until then only what it tightens holds."


class NoticeMissing(AvowError):
    """The policy in force names no way to tell people of such a change before its date."""

    status = 422
    code = "notice_missing"
    hint = (
        'Add [notice.policy_material] with channels (and "notices" to features) in a version of its own first: to promise '
        "notices tightens, so that version takes effect at once."
    )


@dataclass(frozen=True, slots=True)
class Processor:
    """An outside party that gets less: the categories that it loses, and how many facts of them there are."""

    name: str
    loses: tuple[str, ...]
    facts: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a change would do. `effective_at` None: as soon as it is applied. `stricter`: what stays shorter for facts that
    are there than the new text says, by category and version under which they were collected."""

    base: str
    hash: str
    number: int
    effective_at: datetime | None
    change: Diff
    cuts: tuple[Cut, ...]
    lapses: tuple[lapses.Lapse, ...]
    processors: tuple[Processor, ...]
    notice: Notice
    stricter: tuple[str, ...]

    @property
    def destructive(self) -> bool:
        """Whether it takes something away that no later change gives back: a fact that is there ends sooner, at once or on
        a day to come (the ratchet keeps the shorter period), a consent lapses, or a party with facts is cut off."""
        takes = [cut.shortened for cut in self.cuts]
        takes += [lapse.people for lapse in self.lapses] + [party.facts for party in self.processors]
        return any(takes)

    @property
    def effects(self) -> list[str]:
        """The kinds of effect, without their counts."""
        found = [f"ends at once: {cut.store}" for cut in self.cuts if cut.expired]
        found += [f"ends sooner: {cut.store}" for cut in self.cuts if cut.shortened]
        found += [f"consent lapses: {lapse.purpose}" for lapse in self.lapses if lapse.people]
        found += [f"cut off: {party.name} {' '.join(party.loses)}" for party in self.processors if party.facts]
        if self.notice.people:
            found.append(f"told: {self.notice.kind} {' '.join(self.notice.channels)}")
        return sorted(found)

    @property
    def digest(self) -> str:
        """Equal as long as the rules and the kinds of effect are."""
        date = self.effective_at.isoformat() if self.effective_at else None
        return digest(json.dumps([self.base, self.hash, date, self.effects]))

    def counts(self) -> dict[str, int]:
        """Every count by what it counts."""
        found = {f"ends at once: {cut.store}": cut.expired for cut in self.cuts}
        found |= {f"ends sooner: {cut.store}": cut.shortened for cut in self.cuts}
        found |= {f"consent lapses: {lapse.purpose}": lapse.people for lapse in self.lapses}
        found |= {f"cut off: {party.name}": party.facts for party in self.processors}
        return {what: number for what, number in (found | {"told": self.notice.people}).items() if number}

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it; times in ISO 8601."""
        found = asdict(self) | {"destructive": self.destructive, "counts": self.counts(), "effects": self.effects}
        plain: dict[str, Any] = json.loads(json.dumps(found, default=_time))
        return plain


async def look(
    c: AsyncConnection,
    needs: Needs,
    readers: Readers,
    new: Policy,
    effective_at: datetime | None,
    now: datetime,
    told: Told = nobody,
) -> Outlook:
    """What would happen at `now` if `new` were applied; changes nothing.

    Raises PlanUnfit, VersionTaken, TextDateOld, DateWrong, DateMissing or NoticeMissing.
    """
    held = (await versions.in_force(c)).policy
    change = diff(held, new)
    await _check(c, held, new)
    _check_texts(held, new, change, now)
    notice = await notices.plan(c, held, change, readers)
    _check_date(change, notice, effective_at, now)
    coming = new if effective_at is None else interim(held, new)
    ratchet = (await floors.load(c)).after(coming)
    tables = each(tables_of(needs), told, attrgetter("name"))
    cuts = [await shortening.count(c, store, ratchet, now) for store in tables]
    return Outlook(
        base=held.hash,
        hash=new.hash,
        number=new.version,
        effective_at=effective_at,
        change=change,
        cuts=tuple(cut for cut in cuts if cut.shortened),
        lapses=await lapses.find(c, held, coming, now),
        processors=tuple([await _cut_off(c, needs, *each) for each in _cut_parties(held, coming)]),
        notice=notice,
        stricter=_stricter(change),
    )


async def _check(c: AsyncConnection, held: Policy, new: Policy) -> None:
    errors = [problem for problem in catalog.check(new, frozenset(catalog.parts())) if problem.kind == "error"]
    if errors:
        raise PlanUnfit("\n".join(str(problem) for problem in errors))
    if _unready(new) and not _unready(held):
        raise PlanUnfit("\n".join(map(str, _unready(new))))
    (newest,) = await versions.listed(c, 1)
    if new.version <= newest.number:
        raise VersionTaken(
            f"Version {newest.number} was published already, and this is version {new.version}.",
            hint=f"Write version = {newest.number + 1} in the file and plan it again.",
        )


def _unready(policy: Policy) -> list[Problem]:
    """What only a demo shows: examples, a text without its date, terms that nobody can read."""
    return [each for each in unpublishable(policy) if each.kind == "error"]


def _check_texts(held: Policy, new: Policy, change: Diff, now: datetime) -> None:
    """A text that changes says so by its own date: one later than before, or the same while it is not over anywhere on Earth,
    for a text may change twice in a day."""
    today, wrong = f"{now - DAY_LATEST:%Y-%m-%d}", []
    for locale in sorted({sentence.locale for sentence in change.sentences}):
        old, part = held.parts.get(f"locale.{locale}"), new.parts.get(f"locale.{locale}")
        if old is None or part is None:
            continue
        before, date = str(old.values["date"]), str(part.values["date"])
        if date < before or (date == before and date < today[: len(date)]):
            wrong.append(
                f"{new.source}:{part.line}: locale.{locale}.date: The text changes, and its date stays {date}."
            )
    if wrong:
        raise TextDateOld("\n".join(wrong))


def _check_date(change: Diff, notice: Notice, effective_at: datetime | None, now: datetime) -> None:
    if effective_at is None:
        if change.loosens and notice.people_of_all:
            raise DateMissing
        return
    if effective_at.tzinfo is None or effective_at <= now:
        raise DateWrong
    if not notice.channels:
        raise NoticeMissing


def tables_of(needs: Needs) -> list[TableStore]:
    """The stores whose facts have ends of their own."""
    return [store for store in needs.stores if isinstance(store, TableStore)]


def _cut_parties(held: Policy, coming: Policy) -> list[tuple[str, tuple[str, ...]]]:
    """Processors that get less, and the categories that they lose."""
    found = []
    for party in held.named("processor"):
        new = coming.parts.get(party.id)
        left = new.values["categories"] if new else ()
        loses = tuple(name for name in party.values["categories"] if name not in left)
        if loses:
            found.append((party.name, loses))
    return found


async def _cut_off(c: AsyncConnection, needs: Needs, name: str, loses: tuple[str, ...]) -> Processor:
    facts = 0
    for store in tables_of(needs):
        if set(store.categories) & set(loses):
            facts += (await c.execute(select(func.count()).select_from(store.table))).scalar_one()
    return Processor(name, loses, facts)


def _stricter(change: Diff) -> tuple[str, ...]:
    """The categories of which facts that are there keep the shorter period, although the new text has a longer one."""
    named = [each.path.split(".") for each in change.changes if each.direction == "loosening"]
    return tuple(path[1] for path in named if path[0] == "category" and path[2:] == ["keep"])


def _time(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
