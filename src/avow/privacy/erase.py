"""Erasure: a person's facts end in every store, their keys are destroyed, and a receipt says what became of what.

    tombstone → facts end in every store → keys destroyed → no process has them cached → a last look → receipt

The tombstone comes first: from then on no backup can bring the person back, whatever happens to this job. Each step can
be done twice, and what is done is noted in the transaction that does it, so a job that is killed anywhere goes on there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base import jobs
from avow.base.errors import AvowError, NotFound
from avow.base.progress import Told, each, nobody
from avow.policy import Policy
from avow.policy.model import Ending
from avow.privacy import folders, levels, requests
from avow.privacy.needs import Needs
from avow.privacy.stores import Of, Store, end_all
from avow.privacy.tables import erasure_progress, rights_request
from avow.privacy.turns import alone
from avow.vault import tlog

LOOK_JOB = "privacy.look_again"
LOOK_AGAIN = timedelta(hours=1)
LOOKS_MAX = 5
KEYS, FORGOTTEN, MIRROR = "keys", "forgotten", "mirror "


class NotGone(AvowError):
    """Facts of an erased person keep coming in, so the erasure is not finished."""

    status = 503
    code = "not_gone"
    hint = "Something still writes for this person; stop it. The erasure goes on by itself."


class RightsNotKept(AvowError):
    """The policy deletes the record of a privacy request with the person, so no receipt could be given."""

    status = 409
    code = "rights_not_kept"
    hint = 'Set on_erasure = "hold" and a period for the category rights in the policy.'


@dataclass(frozen=True, slots=True)
class Step:
    """What an erasure would do, or did, in one store."""

    store: str
    categories: tuple[str, ...]
    ending: Ending
    facts: int
    why: str
    until: datetime | None


async def plan(needs: Needs, subject_id: UUID) -> list[Step]:
    """What an erasure would end where, and what stays by law until when; changes nothing."""
    _check(needs.policy)
    async with needs.database.begin() as c:
        return [await _step(c, needs.policy, store, subject_id) for store in needs.stores]


async def run(needs: Needs, request_id: UUID, told: Told = nobody) -> None:
    """Carry out a verified erasure; the handler of ERASE_JOB. Raises NotGone when facts keep coming in.

    Of two processes that are given the same request, one works and the other waits for it. What stops it is named on the
    request, and the next sweep puts the job into the queue again.
    """
    async with alone(needs.database, request_id):
        request = await _request(needs, request_id)
        if request.state in ("succeeded", "refused", "failed"):
            return
        try:
            await _carry_out(needs, request, told)
        except AvowError as error:
            async with needs.database.begin() as c:
                await requests.move(c, request_id, "running", needs.clock.now(), reason=error.code)
            raise


async def look_again(needs: Needs, request_id: UUID) -> None:
    """End what a request that was still running has written after the erasure; the handler of LOOK_JOB."""
    request = await _request(needs, request_id)
    for store in needs.stores:
        await end_all(needs.database, store, Of(request.subject_id), needs.policy)


async def again(needs: Needs, subject_id: UUID) -> None:
    """End whatever a restored backup brought back of an erased person, and destroy the keys again; no receipt."""
    await asyncio.to_thread(needs.ring.destroy_holders, subject_id, _ending_categories(needs.policy), needs.clock.now())
    for store in needs.stores:
        await end_all(needs.database, store, Of(subject_id), needs.policy)


async def lapse(needs: Needs, subject_id: UUID) -> None:
    """End a person who never showed that they are there: as an erasure does, but nobody asked for it or gets a receipt."""
    await asyncio.to_thread(needs.tombstones.bury_person, subject_id, needs.clock.now())
    await again(needs, subject_id)


async def _carry_out(needs: Needs, request: Row[Any], told: Told) -> None:
    subject_id = request.subject_id
    if request.state != "running":
        await _start(needs, request.id, await plan(needs, subject_id))
    await asyncio.to_thread(needs.tombstones.bury_person, subject_id, request.since)
    done = await _done(needs, request.id)
    for store in each(needs.stores, told, attrgetter("name")):
        if store.name not in done:
            await _end(needs, request.id, store, subject_id)
    if KEYS not in done:
        await _destroy_keys(needs, request.id, subject_id)
    if FORGOTTEN not in done:
        await needs.forget(subject_id)
        await _note(needs, request.id, FORGOTTEN, 0, needs.clock.now())
    await _last_look(needs, request.id, subject_id)
    await _finish(needs, request.id)


async def _end_noted(needs: Needs, request_id: UUID, store: Store, subject_id: UUID) -> None:
    async def note(c: AsyncConnection, facts: int) -> None:
        await _add(c, request_id, store.name, facts)

    await end_all(needs.database, store, Of(subject_id), needs.policy, note)


async def _start(needs: Needs, request_id: UUID, steps: list[Step]) -> None:
    async with needs.database.begin() as c:
        now = needs.clock.now()
        await requests.move(c, request_id, "planned", now, plan=[_plain(step) for step in steps])
        await requests.move(c, request_id, "running", now)


async def _end(needs: Needs, request_id: UUID, store: Store, subject_id: UUID) -> None:
    await _end_noted(needs, request_id, store, subject_id)
    await _note(needs, request_id, store.name, 0, needs.clock.now())


async def _destroy_keys(needs: Needs, request_id: UUID, subject_id: UUID) -> None:
    now = needs.clock.now()
    destroyed = await asyncio.to_thread(needs.ring.destroy_holders, subject_id, _ending_categories(needs.policy), now)
    for place in destroyed.mirrors_missing:
        await _note(needs, request_id, MIRROR + place, 0, None)
    await _note(needs, request_id, KEYS, 0, now)


async def _last_look(needs: Needs, request_id: UUID, subject_id: UUID) -> None:
    """What was written while the erasure ran is ended too, before the receipt says that nothing is left."""
    for _ in range(LOOKS_MAX):
        late = []
        async with needs.database.begin() as c:
            late = [s for s in needs.stores if await s.residual(c, subject_id, needs.policy)]
        if not late:
            return
        for store in late:
            await _end_noted(needs, request_id, store, subject_id)
    raise NotGone


async def _finish(needs: Needs, request_id: UUID) -> None:
    """Tell the backups, sign, and put the receipt down; what is left of the progress goes with it."""
    told = await folders.tell(needs.database, needs.tombstones, needs.newest)
    now = needs.clock.now()
    async with needs.database.begin() as c:
        request = (await c.execute(_find(request_id))).one()
        done = {row.step: row for row in await c.execute(_progress(request_id))}
        backups_at = max((folder.ends_at for folder in told), default=now)
        stores = [await _entry(c, needs.policy, store, request.subject_id, done, backups_at) for store in needs.stores]
        times = {"received": request.since, "keys destroyed": done[FORGOTTEN].done_at, "finished": now}
        missing = [step.removeprefix(MIRROR) for step, row in done.items() if row.done_at is None and MIRROR in step]
        name = needs.tombstones.person(request.subject_id)
        salt = tlog.new_salt()
        said = levels.fields(needs.policy, request_id, name, times, stores, told, missing)
        signed = needs.signer({**said, "salt": salt.hex()})
        await tlog.append(c, "receipt", signed, salt)
        ends_at = _end_of(needs.policy, request, now)
        await requests.move(c, request_id, "succeeded", now, receipt=signed, ends_at=ends_at, reason=None)
        await requests.close_others(c, request.subject_id, request_id, now)
        await c.execute(delete(erasure_progress).where(erasure_progress.c.request_id == request_id))
        await jobs.put(c, LOOK_JOB, request_id, now + LOOK_AGAIN)
        if needs.organisation is not None and request.subject_id != request.tenant_id:
            await needs.organisation(c, request.tenant_id)


async def _entry(
    c: AsyncConnection,
    policy: Policy,
    store: Store,
    subject_id: UUID,
    done: Mapping[str, Row[Any]],
    backups_at: datetime,
) -> dict[str, Any]:
    kept, row = await store.find(c, subject_id), done[store.name]
    keys_at = done[FORGOTTEN].done_at
    return levels.store_entry(policy, store, row.facts, kept.facts, kept.ends_at, row.done_at, keys_at, backups_at)


def _end_of(policy: Policy, request: Row[Any], now: datetime) -> datetime | None:
    """The record of a request ends a period after the answer; never later than was sealed into its box."""
    ends_at = policy.categories["rights"].keep.end(now)
    return min((moment for moment in (ends_at, request.ends_at) if moment is not None), default=None)


async def _step(c: AsyncConnection, policy: Policy, store: Store, subject_id: UUID) -> Step:
    ending, found = store.ending(policy, "erasure"), await store.find(c, subject_id)
    why, until = levels.why_kept(store, found.ends_at) if ending == "hold" else (levels.ASKED, None)
    return Step(store.name, store.categories, ending, found.facts, why, until)


async def _request(needs: Needs, request_id: UUID) -> Row[Any]:
    async with needs.database.begin() as c:
        request = (await c.execute(_find(request_id))).one_or_none()
    if request is None or request.kind != "erase":
        raise NotFound
    return request


async def _done(needs: Needs, request_id: UUID) -> set[str]:
    async with needs.database.begin() as c:
        return {row.step for row in await c.execute(_progress(request_id)) if row.done_at is not None}


async def _note(needs: Needs, request_id: UUID, step: str, facts: int, done_at: datetime | None) -> None:
    async with needs.database.begin() as c:
        await _add(c, request_id, step, facts, done_at)


async def _add(c: AsyncConnection, request_id: UUID, step: str, facts: int, done_at: datetime | None = None) -> None:
    row = insert(erasure_progress).values(request_id=request_id, step=step, facts=facts, done_at=done_at)
    changed: dict[str, Any] = {"facts": erasure_progress.c.facts + facts}
    if done_at is not None:
        changed["done_at"] = done_at
    await c.execute(row.on_conflict_do_update(index_elements=["request_id", "step"], set_=changed))


def _find(request_id: UUID) -> Any:
    return select(rights_request).where(rights_request.c.id == request_id)


def _progress(request_id: UUID) -> Any:
    return select(erasure_progress).where(erasure_progress.c.request_id == request_id)


def _ending_categories(policy: Policy) -> list[str]:
    """Every category that an erasure ends: all but those that the law holds, whose keys live on with them."""
    return [category.name for category in policy.categories.values() if category.on_erasure != "hold"]


def _check(policy: Policy) -> None:
    if policy.categories["rights"].on_erasure != "hold":
        raise RightsNotKept


def _plain(step: Step) -> dict[str, Any]:
    fields = asdict(step)
    return {**fields, "until": step.until.isoformat() if step.until else None}
