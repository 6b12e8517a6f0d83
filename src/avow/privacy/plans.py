"""Plans: what a change of the policy would do to the data that is there, found before it is done.

    plan → (approve) → apply → facts end sooner → people are told → the date → in force

A plan is stored with the digest of the rules and of the kinds of effect that it found. Applying looks again, and refuses
when either has changed; when only the counts have, it says by how much. What takes data away, at once or later, needs two
operators, each of whom has shown who they are: whoever is at the terminal is nobody in particular. What it tightens holds as
soon as it is applied; what it loosens holds from its date, once everybody was told.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base import jobs
from avow.base.db import Database
from avow.base.errors import AvowError, NotFound
from avow.base.ids import uuid7
from avow.base.progress import Told, nobody
from avow.policy import Policy, parse
from avow.privacy import floors, lapses, notices, outlook, retention, shortening, versions
from avow.privacy.needs import Needs
from avow.privacy.notices import Readers, Telling
from avow.privacy.outlook import Outlook
from avow.privacy.tables import policy_plan

CARRY_JOB = "policy.carry_out"
LATE_JOB = "policy.carry_out_late"
LOOK_AGAIN = timedelta(hours=1)
TERMINAL, OPERATOR = "system:terminal", "staff:"
"""Who makes and applies plans: whoever has the machine, or a member of staff who has shown who they are (then their id)."""
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('avow policy', 0))")


class PlanUnknown(NotFound):
    """There is no such plan."""

    code = "plan_unknown"
    hint = "Make one with: avow policy plan FILE"


class PlanApplied(AvowError):
    """This plan was applied already."""

    status = 409
    code = "plan_applied"
    hint = "Nothing is to be done; /privacy/changes shows the versions."


class PlanStale(AvowError):
    """The rules or the kinds of effect have changed since the plan was made, so it was not applied."""

    status = 409
    code = "plan_stale"
    hint = "Plan the same file again, read what it says now, and apply that plan."


class ApprovalMissing(AvowError):
    """This change takes data away that is there, so two operators stand behind it."""

    status = 403
    code = "approval_missing"
    hint = (
        "At the terminal: --as ADDRESS --approve ADDRESS, two members of staff with the role operator, who type their "
        "passwords; at the desk: one plans, another one approves."
    )


class ApprovalOwn(AvowError):
    """Nobody approves the plan that they made."""

    status = 403
    code = "approval_own"
    hint = "Ask another member of staff with the role operator to read the plan and approve it."


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a plan: the version, whether it is in force already, and which counts are other than was planned."""

    number: int
    in_force: bool
    effective_at: datetime
    drift: dict[str, tuple[int, int]]


async def make(
    needs: Needs,
    readers: Readers,
    source: str,
    name: str,
    effective_at: datetime | None = None,
    by: str = TERMINAL,
    *,
    id: UUID | None = None,
    told: Told = nobody,
) -> tuple[UUID, Outlook]:
    """Find out what a policy text would do, and keep that as a plan (of this `id`, if one is given); changes nothing else.

    Raises PolicyError, PlanUnfit, VersionTaken, TextDateOld, DateWrong, DateMissing or NoticeMissing.
    """
    now, new = needs.clock.now(), parse(source, name)
    async with needs.database.begin() as c:
        await c.execute(_LOCK)
        found = await outlook.look(c, needs, readers, new, effective_at, now, told)
        row = {
            "id": id or uuid7(),
            "state": "made",
            "made_at": now,
            "made_by": by,
            "base_hash": found.base,
            "source": source,
        }
        row |= {"version": new.version, "effective_at": effective_at, "found": found.plain(), "done": {}}
        await c.execute(insert(policy_plan), row | {"effects_hash": found.digest})
    return row["id"], found  # type: ignore[return-value]


async def approve(needs: Needs, id: UUID, by: str) -> None:
    """Put the name of an operator on a plan that another one made. Raises PlanUnknown, PlanApplied, ApprovalOwn."""
    async with needs.database.begin() as c:
        row = await _plan(c, id)
        if row.state == "applied":
            raise PlanApplied
        if by == row.made_by:
            raise ApprovalOwn
        await c.execute(update(policy_plan).where(policy_plan.c.id == id).values(approved_by=by))


async def apply(
    needs: Needs, readers: Readers, id: UUID, by: str = TERMINAL, approved_by: str | None = None
) -> Applied:
    """Publish what a plan says. What it tightens holds when this returns; `carry_out` ends what is stored already.

    Raises PlanUnknown, PlanApplied, PlanStale, ApprovalMissing, and what `make` raises.
    """
    now = needs.clock.now()
    async with needs.database.begin() as c:
        await c.execute(_LOCK)
        row = await _plan(c, id)
        if row.state == "applied":
            raise PlanApplied
        new = parse(row.source, f"version {row.version}")
        found = await outlook.look(c, needs, readers, new, row.effective_at, now)
        if found.digest != row.effects_hash:
            changed = sorted({*row.found["effects"]} ^ {*found.effects})
            raise PlanStale(f"{PlanStale.__doc__} Changed: {', '.join(changed) or 'the policy in force'}.")
        approved_by = approved_by or row.approved_by
        if found.destructive and not _is_approved(row.made_by, by, approved_by):
            raise ApprovalMissing
        await _publish(c, needs, row, new, found, now, by, approved_by)
    drift = _drift(row.found["counts"], found.counts())
    return Applied(new.version, row.effective_at is None, row.effective_at or now, drift)


async def carry_out(needs: Needs, id: UUID) -> dict[str, list[int]]:
    """End sooner what an applied plan shortens, and let consents lapse; the handler of CARRY_JOB.

    Returns for each store how many facts end sooner, and how many of them at once. It can be killed anywhere and run
    again: each chunk is counted in the transaction that moves it.
    """
    async with needs.database.begin() as c:
        row = await _plan(c, id)
        ratchet = await floors.load(c)
    for store in outlook.tables_of(needs):
        after, more = None, True
        while more:
            async with needs.database.begin() as c:
                shorter, expired, after = await shortening.shorten(c, store, ratchet, row.applied_at, after)
                if shorter:
                    await _add(c, id, store.name, shorter, expired)
            more = after is not None
    await lapses.carry_out(needs, [each["purpose"] for each in row.found["lapses"]], row.applied_at)
    async with needs.database.begin() as c:
        mine = update(policy_plan).where(policy_plan.c.id == id).returning(policy_plan.c.done)
        done: dict[str, list[int]] = (await c.execute(mine.values(shortened_at=needs.clock.now()))).scalar_one()
    return done


async def resume(database: Database) -> None:
    """Put the jobs of every applied plan that is not carried out, or of which not everybody was told, into the queue; and
    of every one that waits for its date, for those who have signed up since."""
    plan = policy_plan.c
    async with database.begin() as c:
        waiting = [each.number for each in await versions.upcoming(c)]
        undone = {
            CARRY_JOB: plan.shortened_at.is_(None),
            notices.TELL_JOB: plan.told_at.is_(None) | plan.version.in_(waiting),
        }
        for job, condition in undone.items():
            for id in (await c.execute(select(plan.id).where(plan.state == "applied", condition))).scalars().all():
                await jobs.put(c, job, id)


async def switch(needs: Needs, telling: Telling, now: datetime) -> int | None:
    """Bring the newest version into force whose date has come and of which everybody was told; its number, or None.

    Who has signed up since everybody was told is told in the same transaction; where that is too many for one, the next
    call goes on. Until then what both versions allow goes on to hold. Twice does it once.
    """
    async with needs.database.begin() as c:
        due = [each.number for each in await versions.upcoming(c) if each.effective_at <= now]
    if not due:
        return None
    async with needs.database.begin() as c:
        await c.execute(_LOCK)
        waiting = {each.number for each in await versions.upcoming(c)} & set(due)
        plan = policy_plan.c
        told = select(plan.version).where(plan.version.in_(waiting), plan.state == "applied", plan.told_at.is_not(None))
        ready = max((await c.execute(told)).scalars(), default=None)
        if ready is None:
            return None
        mine = select(policy_plan).where(plan.version == ready, plan.state == "applied").with_for_update()
        row = (await c.execute(mine)).one()
        _, more = await notices.tell_some(c, telling, row)
        if more is not None:
            return None
        await versions.enforce(c, ready, now)
        await _put_jobs(c, row.id, now)
    return int(ready)


def _is_approved(made_by: str, by: str, approved_by: str | None) -> bool:
    """Whether two operators stand behind a plan: one who approves it, and another one who made or applies it."""
    others = {who for who in (made_by, by) if who.startswith(OPERATOR)} - {approved_by}
    return approved_by is not None and approved_by != made_by and bool(others)


async def _plan(c: AsyncConnection, id: UUID) -> Row[Any]:
    row = (await c.execute(select(policy_plan).where(policy_plan.c.id == id).with_for_update())).one_or_none()
    if row is None:
        raise PlanUnknown
    return row


async def _publish(
    c: AsyncConnection, needs: Needs, row: Row[Any], new: Policy, found: Outlook, now: datetime, by: str,
    approved_by: str | None,
) -> None:  # fmt: skip
    date = row.effective_at
    material = found.change.material
    await versions.publish(c, new, row.source, now, date or now, by, approved_by=approved_by, material=material)
    held = await versions.enforce(c, new.version if date is None else None, now)
    await retention.make_slots(replace(needs, policy=held), now)
    values = {"state": "applied", "applied_at": now, "approved_by": approved_by}
    if not found.notice.personal:
        values["told_at"] = now
    await c.execute(update(policy_plan).where(policy_plan.c.id == row.id).values(values))
    await _put_jobs(c, row.id, now)


async def _put_jobs(c: AsyncConnection, id: UUID, now: datetime) -> None:
    await jobs.put(c, CARRY_JOB, id)
    # What a request that was running has written under the old periods ends sooner too, and who came in under them is told.
    await jobs.put(c, LATE_JOB, id, now + LOOK_AGAIN)
    await jobs.put(c, notices.TELL_JOB, id)


async def look_late(needs: Needs, telling: Telling, id: UUID) -> None:
    """Do once more what a change does, for what was under way when it came; the handler of LATE_JOB."""
    await carry_out(needs, id)
    await notices.tell(needs, telling, id)


async def _add(c: AsyncConnection, id: UUID, store: str, shorter: int, expired: int) -> None:
    row = await _plan(c, id)
    known = row.done.get(store, [0, 0])
    done = row.done | {store: [known[0] + shorter, known[1] + expired]}
    await c.execute(update(policy_plan).where(policy_plan.c.id == id).values(done=done))


def _drift(planned: dict[str, int], found: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Which counts differ: what was planned, and what is there now."""
    names = sorted(planned.keys() | found.keys())
    return {name: (planned.get(name, 0), found.get(name, 0)) for name in names if planned.get(name) != found.get(name)}
