"""An erasure ends one person everywhere and nobody else, and survives kill -9 at any point."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text

import avow
from avow.base.clock import FileClock
from avow.privacy import erase, requests
from avow.privacy.needs import Needs
from avow.privacy.stores import StillReferenced
from avow.privacy.tables import erasure_progress, rights_request
from avow.proof import receipts
from avow.vault import Buried, Gone, Ring, keys
from avow.vault.mirror import FileMirror
from tests import LIMIT_S
from tests.conftest import Databases
from tests.privacy import scratch
from tests.privacy.scratch import Person

ALL_GONE = {"scratch_note": 0, "scratch_call": 0}

KILLED = """
import asyncio, json, os, signal, sys
from pathlib import Path
from uuid import UUID
from tests.privacy import scratch
from avow.base.clock import FileClock
from avow.base.db import Database, Dsn
from avow.privacy import erase, requests
from avow.vault import Ring

told = json.loads(sys.stdin.readline())
home = Path(told["home"])
left = told["events"]

def event(*_):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

database = Database(Dsn(**told["dsn"]))
on = scratch.needs(database, Ring(home / "keyring" / "ring.db"), FileClock(home / "clock"), home)
from sqlalchemy import event as watch
watch.listen(database.engine.sync_engine, "commit", event)
watch.listen(database.engine.sync_engine, "before_cursor_execute", event)
asyncio.run(erase.run(on, UUID(told["request"])))
print("done")
"""


async def receipt_of(on: Needs, id: UUID) -> dict[str, Any]:
    async with on.database.begin() as c:
        row = (await c.execute(select(rights_request).where(rights_request.c.id == id))).one()
    assert row.state == "succeeded", row.state
    return receipts.verify(row.receipt, receipts.Receipts(on.ring).public_key)


async def test_one_person_ends_everywhere_and_the_other_stays_whole(on: Needs) -> None:
    ada, bob = Person(), Person()
    await ada.write(on)
    await bob.write(on)
    whole = await bob.counts(on)
    id, heard = await ada.ask(on), []
    await erase.run(on, id, lambda *step: heard.append(step))
    names = [*(store.name for store in on.stores), ""]
    assert heard == [(name, done, len(on.stores)) for done, name in enumerate(names)], "whoever waits sees each store"
    assert await ada.counts(on) == ALL_GONE | {"scratch_bill": 3}
    assert await bob.counts(on) == whole
    assert [json.loads(text) for text in await bob.opened(on)] == [{"request": "my words"}] * 3


async def test_what_the_law_holds_stays_and_loses_what_it_does_not_hold(on: Needs) -> None:
    """And can still be opened for whoever the law names."""
    ada = Person()
    await ada.write(on)
    held = on.ring.fact_key(ada.id, "rights", None, create=True)
    await erase.run(on, await ada.ask(on))
    assert held is not None and on.ring.fact_key(ada.id, "rights", None) == held
    async with on.database.begin() as c:
        bills = (await c.execute(select(scratch.bill).where(scratch.bill.c.subject_id == ada.id))).all()
    assert [(bill.amount, bill.box) for bill in bills] == [(7, b"")] * 3


async def test_keys_are_destroyed_and_nothing_more_can_be_sealed(on: Needs) -> None:
    ada = Person()
    await ada.write(on)
    async with on.database.begin() as c:
        kept = (await c.execute(select(scratch.note))).all()
    await erase.run(on, await ada.ask(on))
    assert [ada.read(on, row.id, row.box) for row in kept] == [Gone] * 3
    with pytest.raises(Buried):
        on.ring.fact_key(ada.id, "api_content", None, create=True)


async def test_the_receipt_lists_every_store_with_its_level(on: Needs) -> None:
    ada = Person()
    await ada.write(on)
    id = await ada.ask(on)
    await erase.run(on, id)
    fields = await receipt_of(on, id)
    stores = {entry["store"]: entry for entry in fields["stores"]}
    assert set(stores) == {store.name for store in on.stores}
    note, call, rights = stores["scratch_note"], stores["scratch_call"], stores["rights_request"]
    assert (note["ending"], note["facts"], call["facts"]) == ("delete", 3, 3)
    assert note["levels"]["logical"] and note["levels"]["key destroyed"] == fields["times"]["keys destroyed"]
    assert call["levels"]["key destroyed"] is None
    assert note["levels"]["physical"] is None
    assert (rights["ending"], rights["facts"], set(rights["levels"].values())) == ("hold", 1, {None})
    assert rights["kept_until"]
    assert str(ada.id) not in json.dumps(fields)
    assert {place["place"] for place in fields["other_places"]} >= {"mailbox", "demo"}


async def test_a_copy_of_the_keyring_that_was_not_told_is_on_the_receipt(on: Needs, tmp_path: Path) -> None:
    ada, away = Person(), str(tmp_path / "unplugged" / "graves")
    await ada.write(on)
    mirrored = replace(on, ring=Ring(tmp_path / "keyring" / "ring.db", mirrors=[FileMirror(Path(away))]))
    id = await ada.ask(on)
    await erase.run(mirrored, id)
    mirrored.ring.close()
    assert (await receipt_of(on, id))["keyring_copies_not_told"] == [away]


async def test_a_plan_says_the_same_and_changes_nothing(on: Needs) -> None:
    ada = Person()
    await ada.write(on)
    before = await ada.counts(on)
    steps = {step.store: step for step in await erase.plan(on, ada.id)}
    assert (steps["scratch_note"].ending, steps["scratch_note"].facts) == ("delete", 3)
    assert (steps["scratch_bill"].ending, steps["scratch_bill"].facts) == ("hold", 3)
    assert steps["scratch_bill"].until is not None
    assert await ada.counts(on) == before


async def test_blank_leaves_a_bare_record(on: Needs) -> None:
    on = replace(on, policy=scratch.policy(usage_on_erasure="blank", api_content_on_erasure="blank"))
    ada = Person()
    await ada.write(on)
    id = await ada.ask(on)
    await erase.run(on, id)
    async with on.database.begin() as c:
        calls = (await c.execute(select(scratch.call).where(scratch.call.c.subject_id == ada.id))).all()
        notes = (await c.execute(select(scratch.note).where(scratch.note.c.subject_id == ada.id))).all()
    assert [(row.model, row.status) for row in calls] == [(None, 200)] * 3
    assert [row.box for row in notes] == [None] * 3
    facts = {entry["store"]: entry["facts"] for entry in (await receipt_of(on, id))["stores"]}
    assert (facts["scratch_call"], facts["scratch_note"]) == (3, 3)


async def test_detach_leaves_rows_that_belong_to_nobody(on: Needs) -> None:
    on = replace(on, policy=scratch.policy(usage_on_erasure="detach", api_content_on_erasure="detach"))
    ada = Person()
    await ada.write(on)
    await erase.run(on, await ada.ask(on))
    async with on.database.begin() as c:
        calls = (await c.execute(select(scratch.call))).all()
        notes = (await c.execute(select(scratch.note))).all()
    ids = [row.subject_id for row in calls + notes] + [row.tenant_id for row in calls + notes]
    assert len(calls) == len(notes) == 3
    assert len(set(ids)) == len(ids)
    assert not {ada.id, ada.tenant_id} & set(ids)
    assert [row.box for row in notes] == [None] * 3


async def test_many_facts_end_in_chunks(on: Needs) -> None:
    ada = Person()
    since = on.clock.now()
    rows = [{**ada.begin(on, "usage", since), "box": None} for _ in range(2500)]
    async with on.database.begin() as c:
        await c.execute(insert(scratch.note), rows)
    id = await ada.ask(on)
    await erase.run(on, id)
    assert {entry["store"]: entry["facts"] for entry in (await receipt_of(on, id))["stores"]}["scratch_note"] == 2500
    assert (await ada.counts(on))["scratch_note"] == 0


async def test_what_comes_in_while_it_runs_is_ended_too(on: Needs) -> None:
    ada = Person()
    await ada.write(on)

    async def forget(subject_id: UUID) -> None:
        async with on.database.begin() as c:
            await c.execute(insert(scratch.note).values(**ada.begin(on, "api_content", on.clock.now()), box=None))

    id = await ada.ask(on)
    await erase.run(replace(on, forget=forget), id)
    assert (await ada.counts(on))["scratch_note"] == 0
    assert {entry["store"]: entry["facts"] for entry in (await receipt_of(on, id))["stores"]}["scratch_note"] == 4


async def test_a_late_row_is_ended_by_the_second_look(on: Needs) -> None:
    ada = Person()
    id = await ada.ask(on)
    await erase.run(on, id)
    async with on.database.begin() as c:
        await c.execute(insert(scratch.note).values(**ada.begin(on, "api_content", on.clock.now()), box=None))
        assert await c.scalar(text("SELECT count(*) FROM jobs.pgqueuer WHERE entrypoint = 'privacy.look_again'")) == 1
    await erase.look_again(on, id)
    assert (await ada.counts(on))["scratch_note"] == 0


async def test_a_row_that_another_person_needs_is_named_and_taken_up_again(on: Needs) -> None:
    ada, bob = Person(), Person()
    await ada.write(on, count=1)
    async with on.database.begin() as c:
        note_id = await c.scalar(select(scratch.note.c.id))
        foreign = {**bob.begin(on, "usage", on.clock.now()), "note_id": note_id, "number": 9, "status": 1}
        del foreign["id"]
        await c.execute(insert(scratch.call).values(**foreign))
    id = await ada.ask(on)
    with pytest.raises(StillReferenced):
        await erase.run(on, id)
    async with on.database.begin() as c:
        row = (await c.execute(select(rights_request).where(rights_request.c.id == id))).one()
        await c.execute(scratch.call.delete().where(scratch.call.c.subject_id == bob.id))
    assert (row.state, row.reason) == ("running", "still_referenced")
    await requests.resume(on.database)
    async with on.database.begin() as c:
        assert await c.scalar(text("SELECT count(*) FROM jobs.pgqueuer WHERE entrypoint = 'privacy.erase'")) == 1
    await erase.run(on, id)
    assert (await receipt_of(on, id))["request"] == str(id)


async def test_a_process_that_had_the_key_cached_forgets_it(on: Needs, database: Databases, tmp_path: Path) -> None:
    ada = Person()
    await ada.write(on)
    async with on.database.begin() as c:
        row = (await c.execute(select(scratch.note))).first()
    assert row is not None
    worker = replace(on, ring=Ring(tmp_path / "keyring" / "ring.db", monotonic=lambda: 0.0))
    listening = await database.app.raw()
    await keys.listen(listening, worker.ring)
    assert ada.read(worker, row.id, row.box) is not Gone
    await erase.run(on, await ada.ask(on))
    async with asyncio.timeout(LIMIT_S):
        while ada.read(worker, row.id, row.box) is not Gone:
            await listening.fetchval("SELECT 1")
    await listening.close()
    worker.ring.close()


async def test_two_who_run_the_same_request_make_one_receipt(on: Needs) -> None:
    ada, made = Person(), []
    await ada.write(on)

    def signer(fields: Mapping[str, Any]) -> bytes:
        made.append(fields)
        return on.signer(fields)

    id = await ada.ask(on)
    counted = replace(on, signer=signer)
    await asyncio.gather(erase.run(counted, id), erase.run(counted, id))
    assert len(made) == 1
    assert {entry["store"]: entry["facts"] for entry in made[0]["stores"]}["scratch_note"] == 3


async def test_a_policy_without_a_record_of_rights_is_refused(on: Needs) -> None:
    ada = Person()
    with pytest.raises(erase.RightsNotKept):
        await erase.plan(replace(on, policy=scratch.policy(rights_on_erasure="delete")), ada.id)


async def killed(database: Databases, home: Path, id: UUID, events: int) -> bool:
    """Run the erasure in a process that kills itself after so many events; tell whether it finished before."""
    root = Path(avow.__file__).parents[2]
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", KILLED),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": f"{root / 'src'}:{root}"},
    )
    dsn = database.dsn("avow_keeper")
    told = {"home": str(home), "events": events, "request": str(id), "dsn": {n: getattr(dsn, n) for n in dsn.__slots__}}
    said, _ = await asyncio.wait_for(child.communicate(json.dumps(told).encode() + b"\n"), LIMIT_S)
    assert child.returncode in (0, -9), child.returncode
    return said == b"done\n"


async def test_killed_anywhere_it_ends_the_same(database: Databases, on: Needs, tmp_path: Path) -> None:
    ada, bob = Person(), Person()
    await ada.write(on)
    await bob.write(on)
    whole = await bob.counts(on)
    id = await ada.ask(on)
    chance, kills = random.Random(20261122), 0
    # Later and later, however many stores there are: the first ones come early, and one comes after the end.
    while not await killed(database, tmp_path, id, chance.randrange(1, 10 * (kills + 1))):
        kills += 1
        assert kills < 200
    assert kills >= 3
    assert await ada.counts(on) == ALL_GONE | {"scratch_bill": 3}
    assert await bob.counts(on) == whole
    assert on.ring.key(ada.id, "api_content", 0) is None
    facts = {entry["store"]: entry["facts"] for entry in (await receipt_of(on, id))["stores"]}
    assert (facts["scratch_note"], facts["scratch_call"], facts["scratch_bill"]) == (3, 3, 3)
    assert [stone.name for stone in on.tombstones.read()] == [on.tombstones.person(ada.id)]
    async with on.database.begin() as c:
        assert (await c.execute(select(erasure_progress))).all() == []


async def test_the_record_of_a_request_ends_a_period_after_the_answer(on: Needs, clock: FileClock) -> None:
    ada = Person()
    id = await ada.ask(on)
    clock.move(timedelta(days=-2))
    await erase.run(on, id)
    async with on.database.begin() as c:
        ends_at = await c.scalar(select(rights_request.c.ends_at).where(rights_request.c.id == id))
    wanted = on.policy.categories["rights"].keep.end(clock.now())
    assert wanted is not None and ends_at is not None
    assert abs(ends_at - wanted) < timedelta(minutes=5)
