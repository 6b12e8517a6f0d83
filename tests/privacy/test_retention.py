"""A sweep ends what has come to its end, and the hour's keys with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import insert, select, text

from avow.base.clock import FileClock
from avow.privacy import retention
from avow.privacy.needs import Needs
from avow.privacy.stores import StillReferenced
from avow.vault import Gone, hour_of
from tests.privacy import scratch
from tests.privacy.scratch import Person

DAY = timedelta(days=1)


async def test_what_is_past_its_end_goes_and_the_rest_stays(on: Needs) -> None:
    old, young = Person(), Person()
    now = on.clock.now()
    await old.write(on, since=now - 31 * DAY)
    await young.write(on, since=now)
    swept = await retention.sweep(on, now)
    assert (swept.ended["scratch_note"], swept.ended["scratch_call"]) == (3, 3)
    assert await old.counts(on) == {"scratch_note": 0, "scratch_call": 0, "scratch_bill": 3}
    assert await young.counts(on) == {"scratch_note": 3, "scratch_call": 3, "scratch_bill": 3}
    assert (await retention.sweep(on, now)).ended == {}


async def test_the_end_itself_is_past_and_the_moment_before_is_not(on: Needs) -> None:
    ada = Person()
    since = on.clock.now() - 5 * DAY
    await ada.write(on, count=1, since=since)
    end = since + 30 * DAY
    await retention.sweep(on, end - timedelta(microseconds=1), confirm_clock=True)
    assert (await ada.counts(on))["scratch_note"] == 1
    await retention.sweep(on, end, confirm_clock=True)
    assert (await ada.counts(on))["scratch_note"] == 0


async def test_a_copy_of_what_ended_cannot_be_opened(on: Needs) -> None:
    ada = Person()
    since = on.clock.now() - 30 * DAY + timedelta(minutes=1)
    await ada.write(on, count=1, since=since)
    async with on.database.begin() as c:
        copy = (await c.execute(select(scratch.note))).one()
    assert ada.read(on, copy.id, copy.box) is not Gone
    swept = await retention.sweep(on, copy.ends_at + timedelta(hours=1), confirm_clock=True)
    assert swept.keys >= 1
    assert ada.read(on, copy.id, copy.box) is Gone


async def test_a_clock_that_jumps_destroys_no_key_until_it_is_confirmed(on: Needs) -> None:
    ada = Person()
    await ada.write(on, count=1, since=on.clock.now() - 29 * DAY)
    async with on.database.begin() as c:
        copy = (await c.execute(select(scratch.note))).one()
    await retention.sweep(on, on.clock.now())
    later = on.clock.now() + 3 * DAY
    jumped = await retention.sweep(on, later)
    assert (jumped.clock_jump, jumped.keys) == (True, 0)
    assert jumped.ended["scratch_note"] == 1
    assert ada.read(on, copy.id, copy.box) is not Gone
    assert not (await retention.sweep(on, later, confirm_clock=True)).clock_jump
    assert ada.read(on, copy.id, copy.box) is Gone


@pytest.mark.parametrize("ending", ["blank", "detach"])
async def test_what_stays_after_its_end_is_met_only_once(on: Needs, ending: str) -> None:
    on = replace(on, policy=scratch.policy(api_content_on_expiry=ending))
    ada = Person()
    since = on.clock.now() - 31 * DAY
    async with on.database.begin() as c:
        await c.execute(insert(scratch.note).values(**ada.begin(on, "api_content", since), box=b"x"))
    assert (await retention.sweep(on, on.clock.now())).ended == {"scratch_note": 1}
    assert (await retention.sweep(on, on.clock.now())).ended == {}
    async with on.database.begin() as c:
        row = (await c.execute(select(scratch.note))).one()
    assert row.box is None
    assert (row.subject_id == ada.id) == (ending == "blank")


async def test_many_facts_go_in_chunks(on: Needs) -> None:
    ada = Person()
    since = on.clock.now() - 31 * DAY
    async with on.database.begin() as c:
        await c.execute(insert(scratch.note), [{**ada.begin(on, "usage", since), "box": None} for _ in range(2001)])
    assert (await retention.sweep(on, on.clock.now())).ended == {"scratch_note": 2001}


async def test_a_row_that_is_needed_stops_nothing_else(on: Needs) -> None:
    ada = Person()
    now = on.clock.now()
    await ada.write(on, count=1, since=now - 31 * DAY)
    async with on.database.begin() as c:
        await c.execute(text("UPDATE scratch_call SET ends_at = NULL"))
        await c.execute(text("UPDATE scratch_bill SET ends_at = since"))
    with pytest.raises(StillReferenced):
        await retention.sweep(on, now)
    assert await ada.counts(on) == {"scratch_note": 1, "scratch_call": 1, "scratch_bill": 0}


async def test_keys_are_there_before_facts_need_them(on: Needs) -> None:
    now = datetime.now(UTC)
    await retention.make_slots(on, now)
    periods = [category for category in on.policy.categories.values() if category.keep.kind == "period"]
    for category in periods:
        for moment in (now, now + timedelta(minutes=59)):
            end = category.keep.end(moment)
            if end is not None:
                assert on.ring.slot(hour_of(end)) is not None, category.name


async def test_the_log_of_jobs_is_trimmed(on: Needs, clock: FileClock) -> None:
    async with on.database.begin() as c:
        await c.execute(
            text(
                "INSERT INTO jobs.pgqueuer_log (job_id, status, priority, entrypoint) VALUES (1, 'successful', 0, 'a')"
            )
        )
    clock.move(31 * DAY)
    await retention.sweep(on, clock.now())
    async with on.database.begin() as c:
        assert await c.scalar(text("SELECT count(*) FROM jobs.pgqueuer_log")) == 0
