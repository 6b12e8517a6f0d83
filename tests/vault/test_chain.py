"""The chain over the record: whoever owns the database alone can break it, and cannot mend it or hide that they did."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import insert, select

from avow.base.actor import KEEPER, PLATFORM
from avow.base.ids import uuid7
from avow.policy import Floor, Keep, Policy, Ratchet
from avow.privacy import shortening
from avow.privacy.stores import Of, Past, end_all, tables
from avow.vault import Act, Chain, ChainBroken, Ring, Vault
from avow.vault.tables import audit
from tests.conftest import Databases
from tests.vault.conftest import SetClock

PERSON, TENANT = UUID(int=7), UUID(int=8)


@pytest.fixture
def chain(ring: Ring, tmp_path: Path) -> Chain:
    return Chain(ring, tmp_path / "record.head")


Write = Callable[..., Awaitable[None]]


@pytest.fixture
def write(database: Databases, vault: Vault) -> Write:
    """Puts lines on the record, of a person or of the platform."""

    async def written(count: int = 5, subject: UUID = PERSON, tenant: UUID = TENANT) -> None:
        async with database.keeper.begin() as c:
            for number in range(count):
                act = Act(KEEPER, f"act {number}", tenant, subject, reason=f"reason {number}", after={"n": number})
                await vault.record_act(c, act)

    return written


async def superuser(database: Databases, *statements: str) -> None:
    """What somebody does who owns the database and not the ring."""
    connection = await asyncpg.connect(**database.admin.arguments())
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def wrong(chain: Chain, database: Databases) -> tuple[str, ...]:
    return (await chain.verify(database.keeper)).wrong


async def test_lines_are_linked_once_and_verified(chain: Chain, database: Databases, write: Write) -> None:
    assert (await chain.verify(database.keeper)).links == 0
    await write()
    assert (await chain.verify(database.keeper)).waiting_since is not None
    assert [await chain.extend(database.keeper) for _ in range(2)] == [5, 0]
    await write(2, PLATFORM, PLATFORM)
    await chain.extend(database.keeper)
    found = await chain.verify(database.keeper)
    assert (found.links, found.wrong, found.waiting_since) == (7, (), None)


CHANGES = {
    "a word": "UPDATE audit SET act = 'nothing' WHERE act = 'act 2'",
    "the actor": "UPDATE audit SET actor = 'staff:somebody else' WHERE act = 'act 2'",
    "the person": "UPDATE audit SET subject_id = gen_random_uuid() WHERE act = 'act 2'",
    "the time": "UPDATE audit SET since = since - interval '1 hour' WHERE act = 'act 2'",
    "the end": "UPDATE audit SET ends_at = since + interval '1 hour' WHERE act = 'act 2'",
    "no end": "UPDATE audit SET ends_at = NULL WHERE act = 'act 2'",
    "the reason": "UPDATE audit SET box = NULL WHERE act = 'act 2'",
    "a line taken out": "DELETE FROM audit WHERE act = 'act 2'",
    "the last line taken out": "DELETE FROM audit WHERE act = 'act 4'",
    "two lines swapped": """UPDATE audit a SET act = b.act, since = b.since, box = b.box FROM audit b
                            WHERE (a.act, b.act) IN (('act 1', 'act 3'), ('act 3', 'act 1'))""",
    "a line and its link": """DELETE FROM audit_link USING audit WHERE row_id = id AND act = 'act 2';
                              DELETE FROM audit WHERE act = 'act 2'""",
    "the end cut off": """DELETE FROM audit_link WHERE number > 3;
                          DELETE FROM audit WHERE act IN ('act 3', 'act 4')""",
    "everything": "DELETE FROM audit_link; DELETE FROM audit",
    "a line let go": """UPDATE audit_link SET released = decode(repeat('00', 32), 'hex') WHERE number = 3;
                        DELETE FROM audit WHERE act = 'act 2'""",
    "the leaf too": """UPDATE audit SET act = 'nothing' WHERE act = 'act 2';
                       UPDATE audit_link SET leaf = sha256('nothing') WHERE number = 3""",
}


@pytest.mark.parametrize("change", CHANGES)
async def test_whatever_the_owner_of_the_database_does_is_seen(
    chain: Chain, database: Databases, write: Write, change: str
) -> None:
    await write()
    await chain.extend(database.keeper)
    assert await wrong(chain, database) == ()
    await superuser(database, CHANGES[change])
    assert await wrong(chain, database) != ()
    # What comes later does not cover it up.
    await write(1)
    with contextlib.suppress(ChainBroken):
        await chain.extend(database.keeper)
    assert await wrong(chain, database) != ()


async def test_a_chain_restamped_with_another_key_is_seen(
    chain: Chain, database: Databases, write: Write, tmp_path: Path
) -> None:
    await write()
    await chain.extend(database.keeper)
    await superuser(database, "UPDATE audit SET act = 'nothing' WHERE act = 'act 2'", "DELETE FROM audit_link")
    forger = Ring(tmp_path / "forged" / "ring.db")
    await Chain(forger, tmp_path / "forged" / "head").extend(database.keeper)
    forger.close()
    assert "link 1 was changed" in await wrong(chain, database)
    with pytest.raises(ChainBroken):
        await chain.extend(database.keeper)


async def test_an_old_line_put_in_later_is_seen(chain: Chain, database: Databases, write: Write) -> None:
    await write()
    await chain.extend(database.keeper)
    columns = "tenant_id, subject_id, since, policy_version, actor, role, act, category, purpose, outcome, count"
    await superuser(
        database, f"INSERT INTO audit (id, {columns}) SELECT '{UUID(int=5)}', {columns} FROM audit WHERE act = 'act 2'"
    )
    assert await chain.extend(database.keeper) == 0
    assert await wrong(chain, database) == ("1 lines were put in from outside",)


async def test_a_changed_or_lost_head_is_seen(chain: Chain, database: Databases, write: Write, tmp_path: Path) -> None:
    head = tmp_path / "record.head"
    await write()
    await chain.extend(database.keeper)
    kept = head.read_bytes()
    head.write_bytes(kept.replace(b'"last":5', b'"last":4'))
    assert "changed" in (await wrong(chain, database))[0]
    head.write_bytes(kept[:20])
    assert "cannot be read" in (await wrong(chain, database))[0]
    head.unlink()
    with pytest.raises(ChainBroken, match="missing"):
        await chain.extend(database.keeper)


async def test_a_kill_between_link_and_head_is_no_break(
    chain: Chain, database: Databases, write: Write, tmp_path: Path
) -> None:
    await write()
    await chain.extend(database.keeper)
    kept = (tmp_path / "record.head").read_bytes()
    await write()
    await chain.extend(database.keeper)
    (tmp_path / "record.head").write_bytes(kept)
    assert await wrong(chain, database) == ()
    await write()
    assert await chain.extend(database.keeper) == 5
    assert await wrong(chain, database) == ()


async def test_an_erased_person_and_lines_at_their_end_leave_the_chain_whole(
    chain: Chain, database: Databases, write: Write, policy: Policy, clock: SetClock
) -> None:
    other = uuid7()
    await write(3)
    await write(4, other)
    await chain.extend(database.keeper)
    (store,) = (each for each in tables({"audit": chain.release}) if each.name == "audit")
    assert await end_all(database.keeper, store, Of(PERSON), policy) == 3
    found = await chain.verify(database.keeper)
    assert (found.links, found.wrong) == (7, ())
    async with database.keeper.begin() as c:
        left = (await c.exec_driver_sql("SELECT count(*) FILTER (WHERE salt IS NULL) FROM audit_link")).scalar_one()
    assert left == 3
    assert await chain.trim(database.keeper) == 3
    assert (await chain.verify(database.keeper)).links == 4
    await write(2)
    await chain.extend(database.keeper)
    await end_all(database.keeper, store, Past(clock.now() + timedelta(days=800)), policy)
    assert (await chain.trim(database.keeper), await chain.trim(database.keeper)) == (6, 0)
    await write(1)
    await chain.extend(database.keeper)
    found = await chain.verify(database.keeper)
    assert (found.links, found.wrong) == (1, ())


EARLY = {
    "the end": "UPDATE audit SET ends_at = since - interval '1 hour' WHERE act = 'act 2'",
    "the end and what holds it": """UPDATE audit SET ends_at = since - interval '1 hour' WHERE act = 'act 2';
                                   UPDATE audit_link SET until = sha256('now') WHERE number = 3""",
    "the person": f"UPDATE audit SET subject_id = '{UUID(int=9)}' WHERE act = 'act 2'",
}


@pytest.mark.parametrize("change", EARLY)
async def test_a_line_made_to_end_early_is_missed(
    chain: Chain, database: Databases, write: Write, policy: Policy, clock: SetClock, change: str
) -> None:
    await write()
    await chain.extend(database.keeper)
    await superuser(database, EARLY[change])
    (store,) = (each for each in tables({"audit": chain.release}) if each.name == "audit")
    ended = [await end_all(database.keeper, store, each, policy) for each in (Past(clock.now()), Of(UUID(int=9)))]
    assert sum(ended) == 1
    assert await wrong(chain, database) == ("the line of link 3 is missing",)
    await chain.trim(database.keeper)
    assert await wrong(chain, database) == ("the line of link 3 is missing",)


async def test_a_line_that_a_policy_shortens_is_held_to_its_new_end(
    chain: Chain, database: Databases, write: Write, clock: SetClock
) -> None:
    await write()
    await chain.extend(database.keeper)
    (store,) = (each for each in tables({"audit": chain.release}, {"audit": chain.moving}) if each.name == "audit")
    async with database.keeper.begin() as c:
        row = (await c.execute(select(audit.c.policy_version, audit.c.ends_at - audit.c.since).limit(1))).one()
        keeps = (Keep("period", row[1].days, "days"), Keep("period", 3, "days"))
        shorter = Ratchet({("audit", row[0]): Floor(keeps)})
        assert (await shortening.shorten(c, store, shorter, clock.now(), None))[0] == 5
    assert await wrong(chain, database) == ()
    await superuser(database, "UPDATE audit SET ends_at = ends_at + interval '1 day' WHERE act = 'act 2'")
    assert await wrong(chain, database) == ("the line of link 3 was changed",)


async def test_a_line_that_ends_while_it_is_linked_is_no_break(
    chain: Chain, database: Databases, write: Write, policy: Policy
) -> None:
    (store,) = (each for each in tables({"audit": chain.release}) if each.name == "audit")
    for _ in range(5):
        await write(20)
        await asyncio.gather(chain.extend(database.keeper), end_all(database.keeper, store, Of(PERSON), policy))
        assert await wrong(chain, database) == ()


async def test_after_a_break_the_operator_begins_anew_and_later_breaks_are_seen(
    chain: Chain, database: Databases, write: Write
) -> None:
    await write()
    await chain.extend(database.keeper)
    await superuser(database, CHANGES["the end cut off"])
    await chain.anchor(database.keeper)
    assert await wrong(chain, database) == ()
    await write(3)
    await chain.extend(database.keeper)
    assert await wrong(chain, database) == ()
    await superuser(database, "DELETE FROM audit WHERE id = (SELECT max(id::text)::uuid FROM audit)")
    assert await wrong(chain, database) != ()


async def test_many_lines_are_linked_in_turns(chain: Chain, database: Databases, vault: Vault) -> None:
    async with database.keeper.begin() as c:
        rows: list[dict[str, Any]] = []
        for _ in range(1100):
            begun = {"id": uuid7(), "tenant_id": TENANT, "subject_id": PERSON, "since": vault.clock.now()}
            rows.append(
                begun | {"policy_version": 1, "actor": "system:keeper", "role": "keeper", "category": "account"}
            )
        await c.execute(insert(audit), [row | {"purpose": "service", "outcome": "done", "count": 1} for row in rows])
    assert [await chain.extend(database.keeper) for _ in range(3)] == [1000, 100, 0]
    assert (await chain.verify(database.keeper)).links == 1100
