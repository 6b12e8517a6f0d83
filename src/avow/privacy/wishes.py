"""Wishes: what staff at the desk want done about the policy. The keeper, who alone sees all data, does it.

    plan     → a plan of this id, or why there is none
    approve  → the plan bears the name of another operator than the one who made it
    apply    → the version is published, as `avow policy apply` does it

A wish is one row that only ever gets an outcome: who wanted what of the policy, when, and what became of it. It is worked on
as a job, so a kill loses none, and doing it twice does it once. It is done only while whoever wanted it is an operator still.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base import jobs
from avow.base.actor import PLATFORM, Actor
from avow.base.clock import Clock
from avow.base.db import Database
from avow.base.errors import AvowError, NotFound
from avow.base.ids import uuid7
from avow.base.tables import policy_version
from avow.policy import PolicyError, parse
from avow.privacy import plans
from avow.privacy.needs import Needs
from avow.privacy.notices import Readers
from avow.privacy.outlook import PlanUnfit
from avow.privacy.tables import policy_plan, policy_wish
from avow.vault import Act, Vault

Kind = Literal["plan", "approve", "apply"]

WISH_JOB = "policy.wish"
WISHES_MAX = 100


@dataclass(frozen=True, slots=True)
class Desk:
    """What the keeper does wishes with; `follow` takes over a policy that has come into force, `stands` says whether who is
    named so (`staff:ID`) is an operator now, with training that is valid."""

    privacy: Needs
    readers: Readers
    follow: Callable[[], Awaitable[None]]
    stands: Callable[[str], Awaitable[bool]]


class RoleEnded(AvowError):
    """Whoever wanted this is no operator any more, or their training has run out, so it is not done."""

    status: ClassVar[int] = 403
    code: ClassVar[str] = "role_ended"
    hint = "Another operator has to ask for it."


class WishFailed(AvowError):
    """This was tried several times and failed each time."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "wish_failed"
    hint = "Ask for it again; the keeper's log names what failed."


class Wish(msgspec.Struct):
    """One wish about a plan. `state`: `waiting`, `done` or `refused`; a refused one says why, and what to do next."""

    id: UUID
    kind: str
    by: str
    at: datetime
    state: Literal["waiting", "done", "refused"]
    code: str | None
    detail: str | None
    hint: str | None


class Listed(msgspec.Struct):
    """One plan in a list. `state`: `waiting` until it is found out what it would do, `refused` if that is nothing that can
    be done, `made`, `applied`. `effective_at` null: as soon as it is applied. `destructive`: two operators stand behind it."""

    id: UUID
    state: Literal["waiting", "refused", "made", "applied"]
    version: int | None
    made_at: datetime
    made_by: str
    approved_by: str | None
    effective_at: datetime | None
    destructive: bool | None


class Shown(Listed):
    """A plan with all that it found (null until it has), and what was wanted of it, oldest first."""

    found: dict[str, Any] | None
    wishes: list[Wish]


async def want_plan(
    database: Database, vault: Vault, clock: Clock, who: Actor, source: str, effective_at: datetime | None
) -> UUID:
    """Have it found out what a policy text would do; gives the plan's id. Raises PlanUnfit for a text that is no policy."""
    try:
        new = await asyncio.to_thread(parse, source, "policy.toml")
    except PolicyError as error:
        raise PlanUnfit(str(error), hint=error.hint) from None
    id = uuid7()
    row = _row("plan", id, who, clock.now()) | {"id": id, "source": source, "effective_at": effective_at}
    async with database.tenant(PLATFORM) as c:
        await _put(c, vault, who, row, {"hash": new.hash, "effective_at": effective_at})
    return id


async def want(database: Database, vault: Vault, clock: Clock, who: Actor, plan_id: UUID, kind: Kind) -> UUID:
    """Have a plan approved or applied; gives the wish's id. Raises NotFound."""
    async with database.tenant(PLATFORM) as c:
        if await c.scalar(select(policy_plan.c.id).where(policy_plan.c.id == plan_id)) is None:
            raise NotFound("There is no such plan.")
        row = _row(kind, plan_id, who, clock.now())
        await _put(c, vault, who, row, {"plan": plan_id})
    return UUID(str(row["id"]))


async def listed(database: Database, before: UUID | None, limit: int) -> list[Listed]:
    """Plans, newest first, at most `limit` of them made before the plan `before`; those of the terminal too."""
    made, asked = policy_plan.c, policy_wish.c
    plans_query = select(policy_plan).order_by(made.id.desc()).limit(limit)
    asked_query = select(policy_wish).where(asked.kind == "plan", asked.state != "done").order_by(asked.id.desc())
    if before is not None:
        plans_query, asked_query = plans_query.where(made.id < before), asked_query.where(asked.id < before)
    async with database.tenant(PLATFORM) as c:
        found = [_listed(row) for row in await c.execute(plans_query)]
        known = {each.id for each in found}
        waits = [_waiting(row) for row in await c.execute(asked_query.limit(limit)) if row.id not in known]
    return sorted([*found, *waits], key=lambda each: each.id, reverse=True)[:limit]


async def shown(database: Database, id: UUID) -> Shown:
    """One plan. Raises NotFound."""
    async with database.tenant(PLATFORM) as c:
        row = (await c.execute(select(policy_plan).where(policy_plan.c.id == id))).one_or_none()
        query = select(policy_wish).where(policy_wish.c.plan_id == id).order_by(policy_wish.c.id.desc())
        asked = (await c.execute(query.limit(WISHES_MAX))).all()[::-1]
    if row is None and not asked:
        raise NotFound("There is no such plan.")
    one = _listed(row) if row is not None else _waiting(asked[0])
    found = None if row is None else row.found
    return Shown(**msgspec.structs.asdict(one), found=found, wishes=[_wish(each) for each in asked])


async def carry_out(at: Desk, id: UUID) -> None:
    """Do what somebody wanted, and write down what became of it; the handler of WISH_JOB."""
    needs = at.privacy
    async with needs.database.begin() as c:
        row = (await c.execute(select(policy_wish).where(policy_wish.c.id == id))).one_or_none()
    if row is None or row.state != "waiting":
        return
    outcome: dict[str, Any] = {"state": "done"}
    try:
        await _do(at, row)
    except (AvowError, PolicyError) as error:
        outcome = _refused(error)
    await _end(needs.database, id, outcome)


async def give_up(database: Database, id: UUID) -> None:
    """Write down that a wish failed at its last try too."""
    await _end(database, id, _refused(WishFailed()))


async def resume(database: Database) -> None:
    """Put the job of every wish that waits into the queue, where it is not there already."""
    async with database.begin() as c:
        for id in (await c.execute(select(policy_wish.c.id).where(policy_wish.c.state == "waiting"))).scalars().all():
            await jobs.put(c, WISH_JOB, id)


def _refused(error: AvowError | PolicyError) -> dict[str, Any]:
    return {"state": "refused", "code": error.code, "detail": str(error), "hint": error.hint}


async def _end(database: Database, id: UUID, outcome: dict[str, Any]) -> None:
    waits = policy_wish.c.id == id, policy_wish.c.state == "waiting"
    async with database.begin() as c:
        await c.execute(update(policy_wish).where(*waits).values(outcome))


async def _do(at: Desk, row: Row[Any]) -> None:
    """Each of them once: what a keeper that was killed has done already is not done again."""
    needs = at.privacy
    if row.kind == "plan":
        if not await _there(needs.database, policy_plan.c.id == row.id):
            await _check_role(at, row.by)
            await plans.make(needs, at.readers, row.source, "policy.toml", row.effective_at, row.by, id=row.id)
    elif row.kind == "approve":
        if not await _there(needs.database, policy_plan.c.id == row.plan_id, policy_plan.c.approved_by == row.by):
            await _check_role(at, row.by)
        await plans.approve(needs, row.plan_id, row.by)
    else:
        version = select(policy_plan.c.version).where(policy_plan.c.id == row.plan_id, policy_plan.c.state == "applied")
        mine = (policy_version.c.version == version.scalar_subquery(), policy_version.c.applied_by == row.by)
        if not await _there(needs.database, *mine):
            await _check_role(at, row.by)
            await plans.apply(needs, at.readers, row.plan_id, row.by)
        await at.follow()


async def _check_role(at: Desk, by: str) -> None:
    if not await at.stands(by):
        raise RoleEnded


async def _there(database: Database, *where: ColumnElement[bool]) -> bool:
    async with database.begin() as c:
        return bool(await c.scalar(select(exists().where(*where))))


async def _put(c: AsyncConnection, vault: Vault, who: Actor, row: dict[str, Any], after: dict[str, Any]) -> None:
    await c.execute(insert(policy_wish), row)
    await vault.record_act(c, Act.of_platform(who, f"{row['kind']} policy", purpose="proof", after=after))
    await jobs.put(c, WISH_JOB, row["id"])


def _row(kind: Kind, plan_id: UUID, who: Actor, at: datetime) -> dict[str, Any]:
    row = {"id": uuid7(), "plan_id": plan_id, "kind": kind, "by": f"{who.kind}:{who.id}", "at": at, "state": "waiting"}
    return row | {"source": None, "effective_at": None}


def _listed(row: Row[Any]) -> Listed:
    return Listed(
        *(row.id, row.state, row.version, row.made_at, row.made_by, row.approved_by, row.effective_at),
        destructive=row.found["destructive"],
    )


def _waiting(row: Row[Any]) -> Listed:
    """A plan that is not there yet, or never will be."""
    return Listed(
        row.id, "refused" if row.state == "refused" else "waiting", None, row.at, row.by, None, row.effective_at, None
    )


def _wish(row: Row[Any]) -> Wish:
    return Wish(row.id, row.kind, row.by, row.at, row.state, row.code, row.detail, row.hint)
