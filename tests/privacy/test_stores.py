"""What a store finds, exports and scans."""

from __future__ import annotations

from datetime import timedelta

import asyncpg
import pytest
from sqlalchemy import insert, select

from avow.privacy import export
from avow.privacy.needs import Needs
from avow.privacy.stores import EndingForbidden, Of, TableStore
from avow.privacy.tables import rights_request
from avow.vault import Vault
from avow.vault.tables import audit
from tests.conftest import Databases
from tests.privacy import scratch
from tests.privacy.scratch import Person

NOTE, CALL, BILL = (TableStore(table) for table in scratch.ALL)


async def test_children_come_before_what_they_refer_to(on: Needs) -> None:
    names = [store.name for store in on.stores]
    assert names.index("scratch_call") < names.index("scratch_note")
    assert len(set(names)) == len(names)


async def test_the_gentler_ending_decides_about_the_row(on: Needs) -> None:
    assert BILL.ending(on.policy, "erasure") == "hold"
    assert BILL.ending(on.policy, "expiry") == "delete"
    softer = scratch.policy(payment_on_expiry="detach", account_on_expiry="blank")
    assert BILL.ending(softer, "expiry") == "detach"


async def test_find_counts_one_person_only(on: Needs) -> None:
    ada, bob = Person(), Person()
    since = on.clock.now()
    await ada.write(on, count=2, since=since)
    await bob.write(on, count=1, since=since + timedelta(days=1))
    async with on.database.begin() as c:
        found = await NOTE.find(c, ada.id)
        assert (found.facts, found.ends_at) == (2, since + timedelta(days=30))
        assert (await NOTE.find(c, Person().id)).facts == 0


async def test_what_a_row_holds_of_one_category_is_one_fact(on: Needs) -> None:
    ada = Person()
    await ada.ask(on)
    await ada.write(on, count=1)
    async with on.database.begin() as c:
        (fact,) = (await TableStore(rights_request).export(c, ada.id)).facts
        assert [each.category for each in (await BILL.export(c, ada.id)).facts] == ["payment", "account"]
    assert {"kind", "state"} <= fact.clear.keys()
    assert "token_hash" in fact.secret


async def test_an_ending_that_a_table_forbids_is_named_without_the_row(on: Needs, database: Databases) -> None:
    ada = Person()
    await ada.write(on, count=1)
    admin = await asyncpg.connect(**database.admin.arguments())
    await admin.execute("ALTER TABLE scratch_call ADD CHECK (model IS NOT NULL)")
    await admin.close()
    blanking = scratch.policy(usage_on_erasure="blank")
    with pytest.raises(EndingForbidden) as refused:
        async with on.database.begin() as c:
            await CALL.end(c, Of(ada.id), blanking)
    assert str(ada.id) not in str(refused.value) and refused.value.__suppress_context__


async def test_residual_counts_what_an_erasure_should_have_ended(on: Needs) -> None:
    ada = Person()
    await ada.write(on, count=2)
    async with on.database.begin() as c:
        assert [await store.residual(c, ada.id, on.policy) for store in (NOTE, CALL, BILL)] == [2, 2, 2]
        await c.execute(scratch.bill.update().values(box=b""))
        assert await BILL.residual(c, ada.id, on.policy) == 0


async def test_a_scan_finds_what_is_not_sealed_and_only_that(on: Needs) -> None:
    ada = Person()
    await ada.write(on, count=1)
    async with on.database.begin() as c:
        assert [await store.scan(c, b"my words") for store in (NOTE, CALL, BILL)] == [0, 0, 0]
        await c.execute(insert(scratch.note).values(**ada.begin(on, "api_content", on.clock.now()), box=b"<my words>"))
        await c.execute(scratch.call.update().values(model="my words"))
        assert [await store.scan(c, b"my words") for store in (NOTE, CALL, BILL)] == [1, 1, 0]
        assert await NOTE.scan(c, b"\xff\xfe") == 0


async def test_an_export_opens_everything_for_its_person(on: Needs) -> None:
    ada, bob = Person(), Person()
    await ada.write(on, count=2)
    await bob.write(on, count=1)
    vault = Vault(on.ring, on.policy, on.clock)
    heard: list[str] = []
    collected = await export.collect(on, vault, ada.tenant_id, ada.id, "why", lambda name, *_: heard.append(name))
    found = collected["stores"]
    vault.close()
    assert found.keys() <= {*heard}, "whoever waits sees each store"
    assert [fact["request"] for fact in found["scratch_note"]] == ["my words"] * 2
    assert [(fact["model"], fact["status"]) for fact in found["scratch_call"]] == [("m", 200)] * 2
    assert len(found["scratch_bill"]) == 4
    async with on.database.begin() as c:
        opened = (await c.execute(select(audit).where(audit.c.subject_id == ada.id))).all()
    assert {(row.purpose, row.category) for row in opened} >= {("access", "api_content"), ("access", "account")}


async def test_a_box_without_its_key_is_exported_as_gone(on: Needs) -> None:
    ada = Person()
    await ada.write(on, count=1)
    on.ring.destroy_holders(ada.id, ["api_content"], on.clock.now())
    vault = Vault(on.ring, on.policy, on.clock)
    found = (await export.collect(on, vault, ada.tenant_id, ada.id, "why"))["stores"]
    vault.close()
    assert [fact["gone"] for fact in found["scratch_note"]] == [True]
