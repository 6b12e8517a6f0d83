"""Opening is asked, answered by policy and standing, and on record before anything is shown."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import RowMapping, insert, select, text
from sqlalchemy.exc import DBAPIError

from avow.base.actor import GATEWAY, KEEPER, Actor
from avow.base.ids import uuid7
from avow.policy import Policy, parse
from avow.vault import (
    BoxBroken,
    Buried,
    Gone,
    NotPrepared,
    OpenRefused,
    Ref,
    Vault,
    fact,
    keys,
    standing,
    tables,
)
from avow.vault import Ring as RingFile
from tests.conftest import Databases
from tests.vault.conftest import POLICY, SetClock

TENANT, OTHER_TENANT = UUID(int=10), UUID(int=11)
ALICE, BOB = UUID(int=1), UUID(int=2)
HERSELF = Actor("subject", str(ALICE), "subject", TENANT, ALICE)
SUPPORT = Actor("staff", "staff-7", "support")
WORDS = {"request": "my secret words", "response": "42"}


def ref(subject: UUID = ALICE, category: str = "api_content", tenant: UUID = TENANT) -> Ref:
    return Ref(tenant, "trace", category, uuid7(), subject)


async def put(vault: Vault, at: Ref, fields: dict[str, Any] = WORDS, hours: int | None = 5) -> bytes:
    ends_at = None if hours is None else vault.clock.now() + timedelta(hours=hours)
    await vault.prepare(at.subject_id, at.category, ends_at)
    return vault.seal(at, fields, ends_at)


async def recorded(database: Databases) -> Sequence[RowMapping]:
    async with database.keeper.begin() as conn:
        return (await conn.execute(select(tables.audit).order_by(tables.audit.c.id))).mappings().all()


async def say(database: Databases, vault: Vault, kind: standing.Kind, purpose: str = "", value: bool = True) -> None:
    async with database.app.tenant(TENANT) as conn:
        now = vault.clock.now()
        await standing.record(conn, vault.policy, TENANT, ALICE, kind, purpose=purpose, value=value, at=now)


async def test_own_reading_is_opened_and_on_record(database: Databases, vault: Vault) -> None:
    here = ref()
    sealed = await put(vault, here)
    assert b"secret" not in sealed
    async with database.app.tenant(TENANT) as conn:
        assert await vault.open(conn, here, sealed, "access", HERSELF) == WORDS
    (row,) = await recorded(database)
    assert (row["subject_id"], row["actor"], row["category"]) == (ALICE, f"subject:{ALICE}", "api_content")
    assert (row["purpose"], row["outcome"], row["count"], row["box"]) == ("access", "opened", 1, None)
    assert row["since"] == vault.clock.now()
    assert row["ends_at"] == vault.clock.now().replace(year=2027)
    assert row["policy_version"] == 3


async def test_others_people_and_other_tenants_people_are_refused(database: Databases, vault: Vault) -> None:
    here = ref()
    sealed = await put(vault, here)
    bob = Actor("subject", str(BOB), "subject", TENANT, BOB)
    same_id_elsewhere = replace(HERSELF, tenant_id=OTHER_TENANT)
    for stranger in (bob, same_id_elsewhere):
        with pytest.raises(OpenRefused) as refused:
            async with database.app.tenant(TENANT) as conn:
                await vault.open(conn, here, sealed, "access", stranger)
        assert refused.value.status == 403
        assert "secret" not in str(refused.value)
    assert [row["outcome"] for row in await recorded(database)] == ["refused", "refused"]


async def test_purpose_is_limited_by_the_policy(database: Databases, vault: Vault) -> None:
    here = ref()
    sealed = await put(vault, here)
    async with database.keeper.begin() as conn:
        assert await vault.open(conn, here, sealed, "service", KEEPER) == WORDS
        with pytest.raises(OpenRefused) as refused:
            await vault.open(conn, here, sealed, "abuse", KEEPER)
    assert refused.value.clause == "use.api_content"
    assert "not used for this purpose" in str(refused.value)
    seen = {(row["purpose"], row["outcome"]) for row in await recorded(database)}
    assert seen == {("abuse", "refused"), ("service", "opened")}


async def test_a_category_without_a_rule_is_not_opened(database: Databases, vault: Vault) -> None:
    here = ref(category="payment")
    sealed = await put(vault, here)
    with pytest.raises(OpenRefused, match="no rule for payment"):
        async with database.keeper.begin() as conn:
            await vault.open(conn, here, sealed, "service", KEEPER)


@pytest.mark.parametrize(("kind", "purpose"), [("restriction", ""), ("objection", "debugging")])
async def test_what_a_person_said_closes_and_opens_the_door(
    database: Databases, vault: Vault, clock: SetClock, kind: standing.Kind, purpose: str
) -> None:
    here = ref()
    sealed = await put(vault, here)
    await say(database, vault, kind, purpose)
    async with database.app.tenant(TENANT) as conn:
        with pytest.raises(OpenRefused):
            await vault.open(conn, here, sealed, "debugging", KEEPER)
        assert await vault.open(conn, here, sealed, "access", HERSELF) == WORDS
    clock.moment += timedelta(seconds=1)
    await say(database, vault, kind, purpose, value=False)
    async with database.app.tenant(TENANT) as conn:
        assert await vault.open(conn, here, sealed, "debugging", KEEPER) == WORDS


async def test_an_objection_closes_its_own_purpose_only(database: Databases, vault: Vault) -> None:
    here = ref()
    sealed = await put(vault, here)
    await say(database, vault, "objection", "debugging")
    async with database.keeper.begin() as conn:
        assert await vault.open(conn, here, sealed, "service", KEEPER) == WORDS


async def test_consent_is_needed_and_can_be_withdrawn(database: Databases, vault: Vault) -> None:
    here = ref(category="usage")
    sealed = await put(vault, here, {"model": "m"})
    for value, opens in ((None, False), (True, True), (False, False)):
        if value is not None:
            await say(database, vault, "consent", "abuse", value)
        async with database.keeper.begin() as conn:
            if opens:
                assert await vault.open(conn, here, sealed, "abuse", KEEPER) == {"model": "m"}
            else:
                with pytest.raises(OpenRefused, match="consented"):
                    await vault.open(conn, here, sealed, "abuse", KEEPER)


async def test_a_consent_that_has_ended_opens_nothing(database: Databases, vault: Vault, clock: SetClock) -> None:
    vault.policy = parse(POLICY.replace("life of the account", "2 hours"))
    here = ref(category="usage")
    sealed = await put(vault, here)
    await say(database, vault, "consent", "abuse")
    async with database.keeper.begin() as conn:
        assert await vault.open(conn, here, sealed, "abuse", KEEPER) == WORDS
        clock.moment += timedelta(hours=2)
        with pytest.raises(OpenRefused, match="consented"):
            await vault.open(conn, here, sealed, "abuse", KEEPER)


async def test_staff_need_a_right_and_a_reason_and_are_recorded_first(database: Databases, vault: Vault) -> None:
    here = ref()
    sealed = await put(vault, here)
    async with database.app.tenant(TENANT) as conn:
        with pytest.raises(OpenRefused, match="billing"):
            await vault.open(conn, here, sealed, "service", replace(SUPPORT, role="billing"), "curious")
        for nothing in (None, "", " \n"):
            with pytest.raises(OpenRefused, match="why"):
                await vault.open(conn, here, sealed, "debugging", SUPPORT, nothing)
        assert await vault.open(conn, here, sealed, "debugging", SUPPORT, "ticket 81") == WORDS
        # The caller's transaction is still open: what is seen here was committed before the reveal.
        seen = await recorded(database)
        await conn.rollback()
    assert [row["outcome"] for row in seen] == ["refused"] * 4 + ["opened"]
    assert seen[-1]["actor"] == "staff:staff-7"
    assert b"ticket" not in seen[-1]["box"]
    reason_at = Ref(TENANT, "audit", "audit", seen[-1]["id"], ALICE)
    async with database.app.tenant(TENANT) as conn:
        assert await vault.open(conn, reason_at, seen[-1]["box"], "access", HERSELF) == {"reason": "ticket 81"}


async def test_nothing_is_revealed_to_staff_when_it_cannot_be_recorded(database: Databases, vault: Vault) -> None:
    here = ref()
    sealed = await put(vault, here)
    async with database.app.tenant(TENANT) as conn:
        readable = Vault(vault.ring, vault.policy, vault.clock)
        async with database.writer.tenant(TENANT) as powerless:
            with pytest.raises(DBAPIError):
                await readable.open(powerless, here, sealed, "debugging", SUPPORT, "ticket 81")
        readable.close()
        assert await vault.open(conn, here, sealed, "debugging", SUPPORT, "ticket 81") == WORDS


async def test_a_record_outlives_the_destroyed_reason(database: Databases, vault: Vault) -> None:
    here = ref()
    sealed = await put(vault, here)
    vault.ring.destroy_holders(ALICE, ["audit"], vault.clock.now())
    async with database.app.tenant(TENANT) as conn:
        assert await vault.open(conn, here, sealed, "debugging", SUPPORT, "ticket 81") == WORDS
    (row,) = await recorded(database)
    assert (row["outcome"], row["box"]) == ("opened", None)


async def test_many_boxes_are_one_record_for_each_person_and_category(database: Databases, vault: Vault) -> None:
    places = [ref(subject, "api_content") for subject in (ALICE, BOB) for _ in range(40)] + [ref(ALICE, "mail")]
    rows = [(place, await put(vault, place, {"n": number})) for number, place in enumerate(places)]
    async with database.keeper.begin() as conn:
        opened = await vault.open_many(conn, rows, "service", KEEPER)
    assert opened == [{"n": number} for number in range(81)]
    seen = {(row["subject_id"], row["category"]): row["count"] for row in await recorded(database)}
    assert seen == {(ALICE, "api_content"): 40, (BOB, "api_content"): 40, (ALICE, "mail"): 1}
    assert len(await recorded(database)) == 3


async def test_many_are_all_opened_or_none(database: Databases, vault: Vault) -> None:
    places = [ref(ALICE), ref(BOB)]
    rows = [(place, await put(vault, place)) for place in places]
    await say(database, vault, "restriction")
    for some in (rows, rows[::-1]):
        with pytest.raises(OpenRefused):
            async with database.keeper.begin() as conn:
                await vault.open_many(conn, some, "service", KEEPER)
    assert {row["outcome"] for row in await recorded(database)} == {"refused"}
    elsewhere = (ref(tenant=OTHER_TENANT), rows[0][1])
    async with database.keeper.begin() as conn:
        assert await vault.open_many(conn, [], "service", KEEPER) == []
        with pytest.raises(ValueError):
            await vault.open_many(conn, [rows[0], elsewhere], "service", KEEPER)


async def test_erased_reads_as_gone_and_takes_nothing_new(database: Databases, vault: Vault) -> None:
    hers, his = ref(ALICE), ref(BOB)
    rows = [(hers, await put(vault, hers)), (his, await put(vault, his))]
    vault.ring.destroy_holders(ALICE, None, vault.clock.now())
    async with database.keeper.begin() as conn:
        assert await vault.open_many(conn, rows, "service", KEEPER) == [Gone, WORDS]
    with pytest.raises(Buried):
        await put(vault, ref(ALICE))
    with pytest.raises(NotPrepared):
        vault.seal(hers, WORDS, None)


async def test_expired_hour_reads_as_gone(database: Databases, vault: Vault, clock: SetClock) -> None:
    short, long = ref(), ref()
    rows = [(short, await put(vault, short, hours=1)), (long, await put(vault, long, hours=2))]
    clock.moment += timedelta(hours=2)
    vault.ring.destroy_slots(clock.now())
    async with database.keeper.begin() as conn:
        assert await vault.open_many(conn, rows, "service", KEEPER) == [Gone, WORDS]


async def test_a_box_of_an_hour_destroyed_by_a_wrong_clock_stays_gone(
    database: Databases, vault: Vault, clock: SetClock
) -> None:
    here = ref()
    sealed = await put(vault, here)
    vault.ring.destroy_slots(clock.now())
    vault.ring.destroy_slots(clock.now() + timedelta(days=900), confirmed=True)
    vault.ring.destroy_slots(clock.now(), confirmed=True)
    again = ref()
    rows = [(here, sealed), (again, await put(vault, again))]
    async with database.keeper.begin() as conn:
        assert await vault.open_many(conn, rows, "service", KEEPER) == [Gone, WORDS]


async def test_a_box_in_another_row_is_broken(database: Databases, vault: Vault) -> None:
    sealed = await put(vault, ref(), hours=None)
    with pytest.raises(BoxBroken):
        async with database.keeper.begin() as conn:
            await vault.open(conn, ref(), sealed, "service", KEEPER)


async def test_credentials_of_upstreams_open_for_the_gateway_only(vault: Vault) -> None:
    row_id = uuid7()
    sealed = vault.seal_credential("upstream", row_id, "sk-upstream")
    assert vault.open_credential("upstream", row_id, sealed, GATEWAY) == "sk-upstream"
    for other in (KEEPER, HERSELF, SUPPORT, replace(SUPPORT, role="gateway")):
        with pytest.raises(OpenRefused):
            vault.open_credential("upstream", row_id, sealed, other)
    with pytest.raises(BoxBroken):
        vault.open_credential("upstream", uuid7(), sealed, GATEWAY)


async def test_other_tenants_see_nothing_and_can_write_nothing(database: Databases, vault: Vault) -> None:
    here = ref()
    sealed = await put(vault, here)
    await say(database, vault, "restriction")
    async with database.app.tenant(TENANT) as conn:
        await vault.open(conn, here, sealed, "access", HERSELF)
    for table in (tables.standing, tables.audit):
        async with database.app.tenant(OTHER_TENANT) as conn:
            assert (await conn.execute(select(table))).all() == []
        async with database.app.tenant(TENANT) as conn:
            assert len((await conn.execute(select(table))).all()) == 1
        with pytest.raises(DBAPIError):
            async with database.app.begin() as conn:
                await conn.execute(select(table))
    with pytest.raises(DBAPIError):
        async with database.app.tenant(OTHER_TENANT) as conn:
            row = fact.begin(vault.policy, "consent", TENANT, ALICE, vault.clock.now())
            await conn.execute(insert(tables.standing), row | {"kind": "consent", "purpose": "abuse", "value": True})
    with pytest.raises(DBAPIError):
        async with database.app.tenant(OTHER_TENANT) as conn:
            await vault.open(conn, here, sealed, "access", HERSELF)


async def test_news_of_destroyed_keys_reaches_other_processes(database: Databases, vault: Vault) -> None:
    worker = RingFile(vault.ring._path)
    raw = await database.app.raw()
    await keys.listen(raw, worker)
    for announced in (ALICE, None):
        subject = announced or BOB
        await vault.prepare(subject, "mail", None)
        assert worker.fact_key(subject, "mail", None)
        vault.ring.destroy_holders(subject, ["mail"], vault.clock.now())
        assert worker.fact_key(subject, "mail", None)
        async with database.keeper.begin() as conn:
            await keys.announce(conn, announced)
        await raw.fetchval("SELECT 1")
        assert worker.fact_key(subject, "mail", None) is None
    await raw.close()
    worker.close()


def test_facts_begin_with_the_end_that_their_rule_gives(policy: Policy, clock: SetClock) -> None:
    row = fact.begin(policy, "mail", TENANT, ALICE, clock.now())
    assert row["ends_at"] == clock.now() + timedelta(hours=24)
    assert fact.begin(policy, "consent", TENANT, ALICE, clock.now())["ends_at"] is None
    assert (row["tenant_id"], row["subject_id"], row["policy_version"]) == (TENANT, ALICE, 3)
    with pytest.raises(KeyError):
        fact.begin(policy, "payment", TENANT, ALICE, clock.now())


async def test_boxes_are_stored_uncompressed(database: Databases) -> None:
    query = text(
        "SELECT attrelid::regclass::text FROM pg_attribute WHERE attname = 'box' AND attstorage = 'e'"
        " AND attrelid IN ('audit'::regclass, 'outbox'::regclass)"
    )
    async with database.keeper.begin() as conn:
        assert sorted((await conn.scalars(query)).all()) == ["audit", "outbox"]


async def test_the_record_of_openings_cannot_be_changed_by_the_application(database: Databases) -> None:
    for statement in ("DELETE FROM audit", "UPDATE audit SET actor = 'nobody'", "DELETE FROM standing"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with database.app.tenant(uuid7()) as c:
                await c.execute(text(statement))
