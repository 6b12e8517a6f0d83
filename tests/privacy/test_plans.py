"""Plans on real rows: what is found is what is done, no edit gives anything back, and nothing is done unasked."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.clock import FileClock
from avow.policy import Keep, asked, diff, interim, parse
from avow.privacy import notices, outlook, plans, retention, versions
from avow.privacy.needs import Needs
from avow.privacy.notices import Telling
from avow.privacy.plans import ApprovalMissing, ApprovalOwn, PlanApplied, PlanStale
from avow.privacy.tables import notice, policy_plan
from avow.vault import Vault, standing
from avow.vault.tables import outbox
from tests.platform import dated, policy_text
from tests.privacy import scratch
from tests.privacy.scratch import Person

FIRST, SECOND = "staff:somebody", "staff:another"
CONTENT = 'purposes = ["service", "history"]\nbasis = "contract"\nkeep = "at most 30 days"'
PAGE = '\n[notice.policy]\nchannels = ["page"]\n'
NOTICES = '\n[notice.policy_material]\nchannels = ["page", "email", "banner"]\n'


def text(number: int, keep: str = "at most 30 days", more: str = "", features: str = "tls") -> str:
    """The default policy with another period for content."""
    changed = policy_text(
        ("version = 1", f"version = {number}"),
        (CONTENT, CONTENT.replace("at most 30 days", keep)),
        ('features = ["tls"', f'features = ["{features}"'),
    )
    return dated(changed, number) + more


TELLING_FIRST = text(1, more=NOTICES, features="notices")


class Crowd:
    """People to be told; the address of whoever stands in `broken` cannot be had at first."""

    def __init__(self, people: Sequence[Person] = ()) -> None:
        self.people = sorted(people, key=lambda each: each.id)
        self.broken: set[UUID] = set()

    async def count(self, c: AsyncConnection) -> int:
        return len(self.people)

    async def untold(self, c: AsyncConnection, number: int, after: UUID | None, limit: int) -> list[tuple[UUID, UUID]]:
        told = {*(await c.execute(select(notice.c.subject_id).where(notice.c.notice_version == number))).scalars()}
        left = [each for each in self.people if each.id not in told]
        return [(each.id, each.tenant_id) for each in left if after is None or each.id > after][:limit]

    async def address(self, c: AsyncConnection, tenant_id: UUID, subject_id: UUID) -> str:
        if subject_id in self.broken:
            raise ConnectionError
        return f"{subject_id.hex}@example.org"


async def begin(on: Needs, first: str = TELLING_FIRST) -> Needs:
    async with on.database.begin() as c:
        held = await versions.begin(c, parse(first), first, on.clock.now())
    return replace(on, policy=held.policy)


async def follow(on: Needs) -> Needs:
    async with on.database.begin() as c:
        return replace(on, policy=(await versions.in_force(c)).policy)


async def ends_of(on: Needs, table: Any = scratch.note) -> list[datetime]:
    async with on.database.begin() as c:
        return sorted((await c.execute(select(table.c.ends_at))).scalars())


async def test_what_a_plan_finds_is_what_is_done_and_the_next_sweep_ends_it(on: Needs, clock: FileClock) -> None:
    on, ada = await begin(on), Person()
    await ada.write(on, 3, clock.now() - timedelta(days=8))
    await ada.write(on, 2, clock.now() - timedelta(days=1))
    new, heard = text(2, "at most 7 days", NOTICES, "notices"), []
    id, found = await plans.make(on, Crowd(), new, "new", told=lambda *step: heard.append(step))
    assert {name for name, *_ in heard} == {store.name for store in outlook.tables_of(on)} | {""}
    (cut,) = found.cuts
    assert (cut.store, cut.shortened, cut.expired) == ("scratch_note", 5, 3)
    assert cut.keys_until == max(await ends_of(on))
    assert not cut.keys_of_account
    assert found.destructive
    assert [each.direction for each in found.change.changes if each.path.endswith("api_content.keep")] == ["tightening"]
    assert (await ada.counts(on))["scratch_note"] == 5
    for by, approved_by in ((plans.TERMINAL, None), (plans.TERMINAL, SECOND), (SECOND, SECOND), (FIRST, None)):
        with pytest.raises(ApprovalMissing):
            await plans.apply(on, Crowd(), id, by, approved_by)
    made = await plans.apply(on, Crowd(), id, FIRST, SECOND)
    assert (made.number, made.in_force, made.drift) == (2, True, {})
    assert await plans.carry_out(on, id) == {"scratch_note": [5, 3]}
    on = await follow(on)
    assert on.policy.version == 2
    async with on.database.begin() as c:
        await c.execute(delete(scratch.call))
    await retention.sweep(on, clock.now())
    assert (await ada.counts(on))["scratch_note"] == 2
    with pytest.raises(PlanApplied):
        await plans.apply(on, Crowd(), id, FIRST, SECOND)


async def test_the_one_who_planned_does_not_approve(on: Needs, clock: FileClock) -> None:
    on, ada = await begin(on), Person()
    await ada.write(on, 1, clock.now() - timedelta(days=8))
    shorter = text(2, "at most 7 days", NOTICES, "notices")
    id, _ = await plans.make(on, Crowd(), shorter, "new", by=SECOND)
    with pytest.raises(ApprovalMissing):
        await plans.apply(on, Crowd(), id, FIRST, SECOND)
    with pytest.raises(ApprovalOwn):
        await plans.approve(on, id, SECOND)
    assert (await plans.apply(on, Crowd(), id, approved_by=FIRST)).in_force


async def test_what_ends_later_is_taken_away_too(on: Needs, clock: FileClock) -> None:
    """Nothing is old enough to end today; by the plan's date all of it would be, and nothing gives it back."""
    on, ada = await begin(on), Person()
    await ada.write(on, 2)
    date = clock.now() + timedelta(days=30)
    id, found = await plans.make(on, Crowd(), text(2, "at most 7 days", NOTICES, "notices"), "new", date, by=FIRST)
    assert found.destructive and all(not cut.expired for cut in found.cuts)
    with pytest.raises(ApprovalMissing):
        await plans.apply(on, Crowd(), id, FIRST)
    await plans.apply(on, Crowd(), id, FIRST, SECOND)


async def test_counts_may_drift_and_kinds_of_effect_may_not(on: Needs, clock: FileClock) -> None:
    on, ada = await begin(on), Person()
    await ada.write(on, 1, clock.now() - timedelta(days=1))
    shorter = text(2, "at most 7 days", NOTICES, "notices")
    id, found = await plans.make(on, Crowd(), shorter, "new")
    assert not any(cut.expired for cut in found.cuts)
    await ada.write(on, 2, clock.now() - timedelta(days=8))
    with pytest.raises(PlanStale):
        await plans.apply(on, Crowd(), id, FIRST, SECOND)
    id, _ = await plans.make(on, Crowd(), shorter, "new")
    await ada.write(on, 4, clock.now() - timedelta(days=9))
    made = await plans.apply(on, Crowd(), id, FIRST, SECOND)
    assert made.drift == {"ends at once: scratch_note": (2, 6), "ends sooner: scratch_note": (3, 7)}


async def test_work_that_was_given_up_is_taken_up_again(on: Needs) -> None:
    on = await begin(on)
    id, _ = await plans.make(on, Crowd(), text(2, "at most 7 days", NOTICES, "notices"), "new")
    await plans.apply(on, Crowd(), id)
    queued = sql("SELECT DISTINCT entrypoint FROM jobs.pgqueuer WHERE entrypoint <> 'policy.carry_out_late' ORDER BY 1")
    async with on.database.begin() as c:
        begun = (await c.execute(queued)).scalars().all()
        await c.execute(sql("DELETE FROM jobs.pgqueuer"))
    await plans.resume(on.database)
    async with on.database.begin() as c:
        assert {plans.CARRY_JOB, notices.TELL_JOB} == {*(await c.execute(queued)).scalars().all()} <= {*begun}


async def test_another_policy_in_force_makes_a_plan_stale(on: Needs) -> None:
    on = await begin(on)
    one, _ = await plans.make(on, Crowd(), text(2, "at most 7 days", NOTICES, "notices"), "new")
    other, _ = await plans.make(on, Crowd(), text(3, "at most 6 days", NOTICES, "notices"), "new")
    await plans.apply(on, Crowd(), one)
    with pytest.raises(PlanStale):
        await plans.apply(on, Crowd(), other)


@pytest.mark.parametrize(
    ("first", "new", "days", "error"),
    [
        (TELLING_FIRST, TELLING_FIRST, None, outlook.VersionTaken),
        (TELLING_FIRST, text(2, "at most 60 days", NOTICES, "notices"), None, outlook.DateMissing),
        (TELLING_FIRST, text(2, "at most 60 days", NOTICES, "notices"), -1, outlook.DateWrong),
        (text(1), text(2, "at most 60 days"), 30, outlook.NoticeMissing),
        (text(1), text(2).replace('"latency_ms", ', ""), None, outlook.PlanUnfit),
        (text(1), text(2, more='\n[contact.privacy]\nemail = "a@example.org"\nplaceholder = true\n'), None,
         outlook.PlanUnfit),
    ],
)  # fmt: skip
async def test_what_cannot_be_applied_is_not_planned(
    on: Needs, first: str, new: str, days: int | None, error: type[Exception]
) -> None:
    on = await begin(on, first)
    date = None if days is None else on.clock.now() + timedelta(days=days)
    with pytest.raises(error):
        await plans.make(on, Crowd([Person()]), new, "new", date)
    async with on.database.begin() as c:
        assert (await c.execute(select(policy_plan))).all() == []


MONTHLY = re.sub(r'date = "[^"]+"', 'date = "2026-11"', text(1))
WEEK = MONTHLY.replace("version = 1", "version = 2").replace("at most 30 days", "at most 7 days")


@pytest.mark.parametrize(
    ("first", "new", "on_day", "wrong"),
    [
        (text(1), text(2, "at most 7 days").replace("2032-01-01", "2031-01-01"), "2031-01-02", ("en", "zh")),
        (text(1), text(2, "at most 7 days").replace("2032-01-01", "2030-12-31"), "2031-01-01", ("en", "zh")),
        (text(1), text(2, "at most 7 days").replace("2032-01-01", "2031-01-01", 1), "2031-01-02", ("en",)),
        (text(1), text(2, "at most 7 days").replace("2032-01-01", "2031-01-01"), "2031-01-01", ()),
        (text(1), text(2).replace("2032-01-01", "2031-01-01"), "2031-01-02", ()),
        (MONTHLY, WEEK, "2026-11-30", ()),
        (MONTHLY, WEEK, "2026-12-02", ("en", "zh")),
    ],
    ids=["same", "earlier", "one language", "twice in a day", "no sentence", "same month", "month over"],
)
async def test_a_text_does_not_change_under_the_date_of_the_one_before(
    on: Needs, first: str, new: str, on_day: str, wrong: tuple[str, ...]
) -> None:
    on = replace(await begin(on, first), clock=Still(datetime.fromisoformat(f"{on_day}T13:00Z")))
    if not wrong:
        await plans.make(on, Crowd(), new, "new")
        return
    with pytest.raises(outlook.TextDateOld) as refused:
        await plans.make(on, Crowd(), new, "new")
    said = str(refused.value).splitlines()
    assert [re.findall(r"^new:\d+: locale\.(\w+)\.date: ", line) for line in said] == [[each] for each in wrong]


async def test_where_nobody_is_to_be_told_a_change_may_loosen_at_once(on: Needs) -> None:
    on = await begin(on)
    id, _ = await plans.make(on, Crowd(), text(2, "at most 60 days"), "new")
    assert (await plans.apply(on, Crowd(), id)).in_force


async def test_a_date_to_come_tightens_at_once_and_loosens_then(on: Needs, clock: FileClock) -> None:
    on, ada = await begin(on), Person()
    vault = Vault(on.ring, on.policy, on.clock)
    telling = Telling(vault, Crowd([ada]), "https://avow.example", frozenset())
    await ada.write(on, 1)
    ends = await ends_of(on)
    new = text(2, "at most 60 days", NOTICES, "notices").replace('keep = "12 months"', 'keep = "6 months"')
    date = clock.now() + timedelta(days=30)
    id, found = await plans.make(on, telling.readers, new, "new", date)
    assert found.stricter == ("api_content",)
    made = await plans.apply(on, telling.readers, id, FIRST, SECOND)
    assert (made.in_force, made.effective_at) == (False, date)
    await plans.carry_out(on, id)
    on = await follow(on)
    assert on.policy == interim(parse(TELLING_FIRST), parse(new))
    assert on.policy.categories["audit"].keep == Keep("period", 6, "months")
    assert on.policy.categories["api_content"].keep.hours == 30 * 24
    assert await plans.switch(on, telling, date) is None, "nobody was told yet"
    assert await notices.tell(on, telling, id) == 1
    assert await plans.switch(on, telling, date - timedelta(seconds=1)) is None
    assert await plans.switch(on, telling, date) == 2
    assert await plans.switch(on, telling, date) is None
    await plans.carry_out(on, id)
    on = await follow(on)
    assert on.policy == parse(new)
    assert await ends_of(on) == ends, "what is stored keeps its end"
    vault.close()


async def test_a_corrected_version_takes_the_place_of_one_that_waits(on: Needs, clock: FileClock) -> None:
    on = await begin(on)
    vault = Vault(on.ring, on.policy, on.clock)
    telling = Telling(vault, Crowd(), "https://avow.example", frozenset())
    date = clock.now() + timedelta(days=30)
    for number, keep in ((2, "at most 60 days"), (3, "at most 40 days")):
        id, _ = await plans.make(on, Crowd(), text(number, keep, NOTICES, "notices"), "new", date)
        await plans.apply(on, Crowd(), id)
        await notices.tell(on, telling, id)
    assert await plans.switch(on, telling, date) == 3
    async with on.database.begin() as c:
        assert [each.number for each in await versions.upcoming(c)] == []
        assert (await versions.one(c, 2)).in_force_at is None
    vault.close()


async def test_everybody_is_told_once_even_if_telling_is_broken_off(on: Needs) -> None:
    crowd = Crowd([Person() for _ in range(notices.CHUNK_PEOPLE + 20)])
    on = await begin(on)
    vault = Vault(on.ring, on.policy, on.clock)
    telling = Telling(vault, crowd, "https://avow.example", frozenset())
    id, found = await plans.make(on, crowd, text(2, "at most 7 days", NOTICES, "notices"), "new")
    assert found.notice == notices.Notice("policy_material", ("page", "email", "banner"), 120, 120)
    await plans.apply(on, crowd, id)
    crowd.broken = {crowd.people[110].id}
    with pytest.raises(ConnectionError):
        await notices.tell(on, telling, id)
    crowd.broken = set()
    assert await notices.tell(on, telling, id) == 20
    assert await notices.tell(on, telling, id) == 0
    async with on.database.begin() as c:
        for table in (notice, outbox):
            told = list((await c.execute(select(table.c.subject_id))).scalars())
            assert sorted(told) == [each.id for each in crowd.people]
        ada = crowd.people[0]
        (shown,) = await notices.of(c, ada.id, on.clock.now())
        assert (shown.kind, shown.version, shown.in_force, shown.page) == ("policy_material", 2, True, "/privacy/2")
        with pytest.raises(notices.NoticeUnknown):
            await notices.dismiss(c, crowd.people[1].id, shown.id, on.clock.now())
        await notices.dismiss(c, ada.id, shown.id, on.clock.now())
        assert await notices.of(c, ada.id, on.clock.now()) == []
        with pytest.raises(notices.NoticeUnknown):
            await notices.dismiss(c, ada.id, shown.id, on.clock.now())
    vault.close()


async def test_who_comes_while_a_version_waits_is_told_before_it_is_in_force(on: Needs, clock: FileClock) -> None:
    """By the next sweep's job, and the last of them in the transaction that brings it into force."""
    on, crowd = await begin(on), Crowd([Person()])
    vault = Vault(on.ring, on.policy, on.clock)
    telling = Telling(vault, crowd, "https://avow.example", frozenset())
    date = clock.now() + timedelta(days=30)
    id, _ = await plans.make(on, crowd, text(2, "at most 60 days", NOTICES, "notices"), "new", date)
    await plans.apply(on, crowd, id)
    assert await notices.tell(on, telling, id) == 1
    crowd.people.append(Person())
    async with on.database.begin() as c:
        await c.execute(sql("DELETE FROM jobs.pgqueuer"))
    await plans.resume(on.database)
    async with on.database.begin() as c:
        queued = sql("SELECT entrypoint FROM jobs.pgqueuer")
        assert [*(await c.execute(queued)).scalars()] == [plans.CARRY_JOB, notices.TELL_JOB]
    assert await notices.tell(on, telling, id) == 1
    crowd.people += [Person() for _ in range(notices.CHUNK_PEOPLE + 1)]
    assert await plans.switch(on, telling, date) is None, "too many for one transaction"
    assert await plans.switch(on, telling, date) == 2
    async with on.database.begin() as c:
        for table in (notice, outbox):
            told = sorted((await c.execute(select(table.c.subject_id))).scalars())
            assert told == sorted(each.id for each in crowd.people)
    vault.close()


async def test_a_consent_that_is_not_asked_for_any_more_lapses(on: Needs) -> None:
    asking = NOTICES + '\n[consent]\nasked = ["marketing", "training"]\n'
    parts = 'notices", "consents'
    on = await begin(on, text(1, more=asking, features=parts))
    assert {*asked(on.policy)} == {"marketing", "training"}
    ada, bob = Person(), Person()
    async with on.database.begin() as c:
        for who, purpose, value in ((ada, "marketing", True), (ada, "training", True), (bob, "marketing", False)):
            said: dict[str, Any] = {"value": value, "at": on.clock.now(), "purpose": purpose}
            await standing.record(c, on.policy, who.tenant_id, who.id, "consent", **said)
    new = text(2, more=asking.replace('"marketing", ', ""), features=parts)
    id, found = await plans.make(on, Crowd(), new, "new")
    assert [(each.purpose, each.people) for each in found.lapses] == [("marketing", 1)]
    await plans.apply(on, Crowd(), id, FIRST, SECOND)
    await plans.carry_out(await follow(on), id)
    async with on.database.begin() as c:
        held = await standing.load(c, [ada.id, bob.id], on.clock.now())
    assert held[ada.id].consented == {"training"}
    assert held[bob.id].consented == frozenset()


PERIODS = ("at most 1 hours", "at most 36 hours", "at most 1 months", "at most 30 days", "at most 5 months", "at most 1 years",
           "life of the account", "0")  # fmt: skip
EDITS = st.lists(
    st.tuples(st.sampled_from(PERIODS), st.sampled_from(PERIODS), st.booleans(), st.integers(0, 400)),
    min_size=2,
    max_size=4,
)


def edited(number: int, content: str, usage: str) -> str:
    lines, category = [], ""
    for line in text(number, more=NOTICES + PAGE, features="notices").splitlines():
        category = line[len("[category.") : -1] if line.startswith("[category.") else category
        if category in ("api_content", "usage"):
            if line.startswith(("clock = ", "ask = ")):
                continue  # what lives as long as its account has none
            if line.startswith("keep = "):
                line = f'keep = "{content if category == "api_content" else usage}"'
        lines.append(line)
    return "\n".join(lines)


@settings(
    max_examples=6, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate], database=None
)
@given(edits=EDITS)
async def test_no_sequence_of_edits_gives_anything_back(on: Needs, edits: list[tuple[str, str, bool, int]]) -> None:
    """Each fact ends by the shortest period that was in force since it was collected, and plans say exactly what is done."""
    on, chance = await begin(on, TELLING_FIRST + PAGE), random.Random(0)
    few = [store for store in on.stores if store.name.startswith("scratch_")]
    on = replace(await follow(on), clock=Still(datetime(2026, 1, 31, 12, tzinfo=UTC)), stores=few)
    promised: dict[UUID, tuple[datetime, list[Keep]]] = {}
    async with on.database.begin() as c:
        await c.execute(update(scratch.note).values(policy_version=0, ends_at=None))
        number = (await versions.listed(c, 1))[0].number
    for content, usage, later, days in edits:
        who, since = Person(), on.clock.now() - timedelta(days=chance.randrange(days + 1))
        if on.policy.categories["api_content"].keep.kind != "never":
            await who.write(on, 2, since)
            promised |= await written_by(on, who, since)
        number += 1
        date = on.clock.now() + timedelta(days=10) if later else None
        id, found = await plans.make(on, Crowd(), edited(number, content, usage), "new", date)
        await plans.apply(on, Crowd(), id, FIRST, SECOND)
        done = await plans.carry_out(on, id)
        planned = {cut.store: [cut.shortened, cut.expired] for cut in found.cuts}
        assert done == planned
        on = await follow(on)
        for _, keeps in promised.values():
            keeps.append(on.policy.categories["api_content"].keep)
        if later:
            vault = Vault(on.ring, on.policy, on.clock)
            telling = Telling(vault, Crowd(), "https://avow.example", frozenset())
            await notices.tell(on, telling, id)
            await plans.switch(on, telling, on.clock.now() + timedelta(days=10))
            vault.close()
            on = await follow(on)
            for _, keeps in promised.values():
                keeps.append(on.policy.categories["api_content"].keep)
            assert await plans.carry_out(on, id) == done, "its date changes no end"
        await as_promised(on, promised)


class Still:
    """A clock that stands."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


async def written_by(on: Needs, who: Person, since: datetime) -> dict[UUID, tuple[datetime, list[Keep]]]:
    async with on.database.begin() as c:
        ids = (await c.execute(select(scratch.note.c.id).where(scratch.note.c.subject_id == who.id))).scalars()
        return {id: (since, [on.policy.categories["api_content"].keep]) for id in ids}


async def as_promised(on: Needs, promised: dict[UUID, tuple[datetime, list[Keep]]]) -> None:
    async with on.database.begin() as c:
        found = {
            row.id: row.ends_at for row in await c.execute(select(scratch.note).where(scratch.note.c.id.in_(promised)))
        }
    for id, (since, keeps) in promised.items():
        ends = [end for keep in keeps if (end := keep.end(since)) is not None]
        wanted = min(ends, default=None)
        # What has ended waits for the sweep, however long ago that was.
        is_over = wanted is not None and found[id] is not None and max(wanted, found[id]) <= on.clock.now()
        assert found[id] == wanted or is_over, (since, keeps)


async def test_a_profile_switch_keeps_the_stricter_rule_of_each_fact(on: Needs) -> None:
    """The default keeps content for 30 days and usage for 30 days; the other profile none, and usage for 12 months."""
    on, ada = await begin(on), Person()
    await ada.write(on, 2)
    ends = await ends_of(on, scratch.call)
    other = (scratch.PROFILE.parent / "deepailab.toml").read_text().replace("version = 1", "version = 2", 1)
    other = dated(other, 2)
    change = diff(on.policy, parse(other))
    assert change.loosens and change.tightens
    with pytest.raises(outlook.PlanUnfit, match="is an example"):
        await plans.make(on, Crowd(), other, "deepailab")
    own = "\n".join(line for line in other.splitlines() if not line.startswith("placeholder"))
    id, found = await plans.make(on, Crowd(), own, "deepailab")
    assert "usage" in found.stricter
    assert {cut.store: cut.expired for cut in found.cuts}["scratch_note"] == 2
    await plans.apply(on, Crowd(), id, FIRST, SECOND)
    await plans.carry_out(on, id)
    assert await ends_of(on, scratch.call) == ends
    assert max(await ends_of(on)) <= on.clock.now()
