"""An older database that comes back is brought to what was tightened since: one restore, and what must not come back."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from avow import catalog, start
from avow.accounts.tables import (
    api_key,
    ceremony,
    confirmation,
    invitation,
    person,
    project,
    reset,
    second_factor,
    session,
    staff,
    tenant,
)
from avow.base import access
from avow.base.actor import KEEPER, PLATFORM
from avow.base.clock import FileClock
from avow.base.db import Database
from avow.base.ids import uuid7
from avow.base.postgres import Cluster
from avow.gateway.tables import model, route, upstream
from avow.policy import parse
from avow.privacy import backup, erase, folders, memory, renewal, retention, standings, versions
from avow.privacy.needs import Needs
from avow.privacy.standings import Whose
from avow.privacy.tables import backup_folder, newest_noted, newest_state, rights_request
from avow.vault import Act, Chain, Ring, Vault, standing
from avow.vault.tables import audit
from tests.conftest import PASSWORDS, Databases
from tests.platform import policy_text
from tests.privacy import scratch
from tests.privacy.scratch import Person

LATER = datetime(2030, 1, 1, tzinfo=UTC)
FIRST = policy_text()
SHORTER = policy_text(
    ("version = 1", "version = 2"),
    ('purposes = ["service", "history"]\nbasis = "contract"\nkeep = "at most 30 days"',
     'purposes = ["service"]\nbasis = "contract"\nkeep = "at most 2 days"'),
)  # fmt: skip


@dataclass
class House:
    """Rows of every kind, as they were when the backup was made."""

    on: Needs
    ada: Person = field(default_factory=Person)
    bob: Person = field(default_factory=Person)
    ids: dict[str, UUID] = field(default_factory=dict)

    def whose(self, who: Person) -> Whose:
        return Whose(who.tenant_id, who.id)

    async def put(self, c: AsyncConnection, where: Table, name: str, who: Person, **values: Any) -> None:
        """A row about somebody; what the table asks for and nobody looks at is filled in."""
        category = next(held.category for table, held in catalog.facts() if table is where)
        row = who.begin(self.on, category, self.on.clock.now()) | values
        await c.execute(insert(where).values(row))
        self.ids[name] = row["id"]

    async def says(
        self, c: AsyncConnection, who: Person, kind: standing.Kind, purpose: str = "", *, value: bool = True
    ) -> None:
        now = self.on.clock.now()
        await standing.record(c, self.on.policy, *self.whose(who), kind, value=value, at=now, purpose=purpose)

    async def key(self, c: AsyncConnection, name: str, **values: Any) -> None:
        found = {"wallet_id": uuid7(), "public_id": name, "secret_hmac": b"old", "box": b"", "state": "active"}
        await self.put(c, api_key, name, self.ada, **(found | values))


async def fill(house: House) -> None:
    on, now = house.on, house.on.clock.now()
    await house.ada.write(on, since=now - timedelta(days=5))
    async with on.database.begin() as c:
        await versions.begin(c, on.policy, FIRST, now)
        for who, name in ((house.ada, "ada"), (house.bob, "bob")):
            account = {"id": who.id, "email_index": name.encode(), "role": "owner", "box": b""}
            await house.put(c, person, name, who, **account)
            row = {"tenant_id": who.tenant_id, "created_at": now, "wallet_id": uuid7(), "keep_h": 99}
            await c.execute(insert(tenant).values(row))
        for name in ("rotated", "limited", "revoked", "untouched"):
            await house.key(c, name)
        for name in ("eve", "mallory"):
            await house.put(c, staff, name, Person(), role="operator", trained_until=LATER, box=b"")
        await house.put(c, project, "project", house.ada, keep_h=99, box=b"")
        for name, token in ((session, b"s"), (confirmation, b"c"), (reset, b"r")):
            more = {"last_seen_at": now, "absolute_ends_at": LATER} if name is session else {}
            await house.put(c, name, name.name, house.ada, token_hmac=token, **more)
        await house.put(c, invitation, "invitation", house.ada, token_hmac=b"i", role="admin", box=b"")
        await c.execute(insert(ceremony).values(id=uuid7(), kind="passkey", token_hmac=b"t", ends_at=LATER))
        await house.says(c, house.bob, "consent", "training")
        for name in ("near", "far"):
            row = {"id": uuid7(), "name": name, "kind": "openai", "base_url": f"https://{name}.example/v1"}
            await c.execute(insert(upstream).values(row | {"credential": b"old", "retention_h": 0}))
            house.ids[name] = row["id"]
        await c.execute(insert(model).values(id="m", context_tokens=1, output_tokens_max=1))
        for name in ("near", "far"):
            await c.execute(insert(route).values(model_id="m", upstream_id=house.ids[name], their_name="m"))


async def tighten(house: House) -> None:
    """What happens after the backup."""
    on, now, ids = house.on, house.on.clock.now(), house.ids
    new = parse(SHORTER)
    async with on.database.begin() as c:

        async def change(where: Table, name: str, **values: Any) -> None:
            await c.execute(update(where).where(where.c.id == ids[name]).values(values))

        await versions.publish(c, new, SHORTER, now, now, "system:test", material=True)
        await versions.enforce(c, 2, now)
        await house.says(c, house.ada, "restriction")
        await house.says(c, house.ada, "objection", "improve")
        await house.says(c, house.bob, "consent", "training", value=False)
        await change(api_key, "rotated", public_id="new", secret_hmac=b"new", old_public_id="rotated", old_until=now)
        await change(api_key, "limited", budget_total_nano=5, scopes=["read"], expires_at=now, network_digests=["d"])
        await change(api_key, "revoked", state="revoked", revoked_at=now)
        await change(staff, "mallory", role="support", trained_until=now)
        await c.execute(delete(staff).where(staff.c.id == ids["eve"]))
        await change(person, "bob", role="former")
        await c.execute(update(tenant).where(tenant.c.tenant_id == house.ada.tenant_id).values(keep_h=1))
        await change(project, "project", keep_h=1, archived_at=now)
        await change(upstream, "far", credential=b"new", state="draining")
        await c.execute(delete(route).where(route.c.upstream_id == ids["far"]))
        factor = {"confirmed_at": now, "last_step": 1, "box": b"sealed"}
        await house.put(c, second_factor, "factor", house.ada, **factor)
        # A person of whom the backup knows nothing.
        await house.says(c, Person(), "restriction")
        await house.key(c, "made since")
    house.ids["asked"] = await house.ada.ask(on)
    stranger = Person()
    stranger.tenant_id = PLATFORM
    house.ids["asked from outside"] = await stranger.ask(on)


@asynccontextmanager
async def fresh(cluster: Cluster, template: str) -> AsyncIterator[Databases]:
    name = f"n_{secrets.token_hex(6)}"
    admin = await asyncpg.connect(**cluster.dsn(database="postgres").arguments())
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    await admin.execute(f"GRANT CONNECT ON DATABASE {name} TO {', '.join(access.LOGIN_ROLES)}")
    dsn = cluster.dsn(database=name)
    made = Databases(dsn, *(Database(dsn.role(r, PASSWORDS[r])) for r in access.LOGIN_ROLES[:3]))
    try:
        yield made
    finally:
        for each in (made.app, made.writer, made.keeper):
            await each.close()
        for each in (name, f"{name}_back", f"{name}_back_restoring"):
            await admin.execute(f"DROP DATABASE IF EXISTS {each} WITH (FORCE)")
        await admin.close()


@dataclass
class Came:
    """What came back, and the house as it was."""

    house: House
    rows: dict[str, list[Any]]
    heard: bool
    restricted: dict[UUID, Any]
    policy: Any
    hash: str | None
    later_folder: UUID

    def one(self, where: Table, name: str) -> Any:
        return next((row for row in self.rows[where.name] if row.id == self.house.ids[name]), None)


async def walk(cluster: Cluster, template: str, home: Path) -> Came:
    async with fresh(cluster, template) as database:
        ring = Ring(home / "keyring" / "ring.db")
        on = scratch.needs(database.keeper, ring, FileClock(home / "clock"), home, parse(FIRST))
        house = House(on)
        await fill(house)
        reader = database.dsn(access.BACKUP)
        await backup.make(on, home / "monday", reader, cluster.program)
        await tighten(house)
        later = await backup.make(on, home / "tuesday", reader, cluster.program)
        target = replace(database.admin, database=f"{database.admin.database}_back")
        await backup.restore(on, home / "monday", target, PASSWORDS, cluster.program)
        keeper = Database(target.role(access.KEEPER, PASSWORDS[access.KEEPER]))
        came = await look(house, replace(on, database=keeper), later.id)
        await keeper.close()
        ring.close()
        return came


async def look(house: House, back: Needs, later: UUID) -> Came:
    heard = not await renewal.catch_up(back)
    async with back.database.begin() as c:
        rows = {t.name: list((await c.execute(select(t))).all()) for t in catalog.metadata.sorted_tables}
        said = {who.id: await standings.held(c, house.whose(who), back.clock.now()) for who in (house.ada, house.bob)}
        policy = (await versions.in_force(c)).policy
    told = {each.id for each in await folders.tell(back.database, back.tombstones, back.newest) if each.reachable}
    return Came(house, rows, heard, said, policy, policy.hash, later if later in told else UUID(int=0))


@pytest.fixture(scope="module")
def came(cluster: Cluster, template: str) -> Iterator[Came]:
    with tempfile.TemporaryDirectory(prefix="avow-n-") as home:
        yield asyncio.run(walk(cluster, template, Path(home)))


def test_the_policy_is_the_one_that_was_in_force_last(came: Came) -> None:
    assert came.hash == parse(SHORTER).hash
    assert sorted(row.version for row in came.rows["policy_version"]) == [1, 2]


def test_what_a_shorter_policy_ended_sooner_ends_sooner(came: Came) -> None:
    ends = {row.ends_at - row.since for row in came.rows["scratch_note"]}
    assert ends == {timedelta(days=2)}


def test_what_people_said_since_holds(came: Came) -> None:
    ada, bob = (came.restricted[who.id] for who in (came.house.ada, came.house.bob))
    assert (ada.restricted, ada.objected) == (True, frozenset({"improve"}))
    assert "training" not in bob.consented
    known = {came.house.ada.id, came.house.bob.id}
    assert {row.subject_id for row in came.rows["standing"]} == known


def test_a_role_that_was_taken_or_lowered_does_not_come_back(came: Came) -> None:
    assert came.one(staff, "eve") is None
    assert came.one(staff, "mallory").role == "support"
    assert came.one(staff, "mallory").trained_until < LATER
    assert came.one(person, "bob").role == "former"


def test_a_key_is_what_its_owner_made_of_it(came: Came) -> None:
    rotated, limited = came.one(api_key, "rotated"), came.one(api_key, "limited")
    assert (rotated.public_id, rotated.secret_hmac, rotated.old_public_id) == ("new", b"new", "rotated")
    assert (limited.budget_total_nano, limited.scopes, limited.network_digests) == (5, ["read"], ["d"])
    assert limited.expires_at is not None
    assert came.one(api_key, "revoked").state == "revoked"
    assert came.one(api_key, "untouched").secret_hmac == b"old"
    assert came.one(api_key, "made since") is None


def test_an_organisation_keeps_its_shorter_wishes(came: Came) -> None:
    (tenant_row,) = (row for row in came.rows["tenant"] if row.tenant_id == came.house.ada.tenant_id)
    assert (tenant_row.keep_h, came.one(project, "project").keep_h) == (1, 1)
    assert came.one(project, "project").archived_at is not None


def test_an_upstream_that_was_drained_gets_nothing_and_its_credential_is_the_new_one(came: Came) -> None:
    far = came.one(upstream, "far")
    assert (far.state, far.credential) == ("draining", b"new")
    assert [row.upstream_id for row in came.rows["route"]] == [came.house.ids["near"]]


def test_a_second_factor_that_was_added_is_asked_for(came: Came) -> None:
    (factor,) = came.rows["second_factor"]
    assert (factor.subject_id, factor.box, factor.last_step) == (came.house.ada.id, b"sealed", 1)


@pytest.mark.parametrize("name", ["asked", "asked from outside"])
def test_a_request_that_somebody_made_is_not_forgotten(came: Came, name: str) -> None:
    assert came.one(rights_request, name).state == "verified"


@pytest.mark.parametrize("name", ["session", "confirmation", "reset", "invitation", "ceremony"])
def test_no_session_and_no_token_of_that_time_works(came: Came, name: str) -> None:
    assert came.rows[name] == []


def test_a_backup_that_was_made_later_is_still_told_and_ended(came: Came) -> None:
    assert came.later_folder.int


def test_a_restored_database_knows_what_it_was_told(came: Came) -> None:
    assert came.heard


# --- without a backup folder


@pytest.fixture
async def house(on: Needs) -> House:
    made = House(on)
    await fill(made)
    await renewal.catch_up(on)
    return made


@asynccontextmanager
async def as_it_was(cluster: Cluster, house: House) -> AsyncIterator[Needs]:
    """The database as it is now, brought back later by other means than `avow restore`: a snapshot of the machine."""
    live = house.on.database
    await live.engine.dispose()
    admin = await asyncpg.connect(**cluster.dsn(database="postgres").arguments())
    name = f"{live.dsn.database}_was"
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {live.dsn.database}")
    await admin.execute(f"GRANT CONNECT ON DATABASE {name} TO {access.KEEPER}")
    back = Database(replace(live.dsn, database=name))
    try:
        yield replace(house.on, database=back)
    finally:
        await back.close()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.close()


async def state_of(on: Needs, house: House, name: str) -> Any:
    async with on.database.begin() as c:
        return (await c.execute(select(api_key.c.state).where(api_key.c.id == house.ids[name]))).scalar_one_or_none()


async def change_key(on: Needs, house: House, name: str, **values: Any) -> None:
    async with on.database.begin() as c:
        await c.execute(update(api_key).where(api_key.c.id == house.ids[name]).values(values))


async def test_a_start_finds_that_its_database_is_an_older_one(on: Needs, cluster: Cluster, house: House) -> None:
    async with as_it_was(cluster, house) as back:
        await change_key(on, house, "limited", state="revoked")
        on.tombstones.bury_person(house.bob.id, on.clock.now())
        await memory.write_down(on)
        assert await renewal.catch_up(back)
        assert await state_of(back, house, "limited") == "revoked"
        async with back.database.begin() as c:
            assert await c.scalar(select(func.count()).select_from(session)) == 0
            assert await c.scalar(select(person.c.id).where(person.c.id == house.bob.id)) is None
        assert not await renewal.catch_up(back)


async def test_a_start_with_an_older_database_begins_the_record_anew_and_says_so(
    on: Needs, cluster: Cluster, house: House, vault: Vault, tmp_path: Path
) -> None:
    chain = Chain(on.ring, tmp_path / "record.head")

    async def act(word: str) -> None:
        async with on.database.begin() as c:
            await vault.record_act(c, Act.of_platform(KEEPER, word))
        await chain.extend(on.database)

    await act("before")
    async with as_it_was(cluster, house) as back:
        await act("since")
        await change_key(on, house, "limited", state="revoked")
        await memory.write_down(on)
        assert (await chain.verify(back.database)).wrong, "it lacks a line"
        parts: Any = SimpleNamespace(
            **{"ring": on.ring, "policy": on.policy, "clock": on.clock, "chain": chain, "home": tmp_path},
            **{"tombstones": on.tombstones, "newest": on.newest},
        )
        # Killed when the chain was to begin anew: the next start does it.
        with pytest.raises(ZeroDivisionError):
            await renewal.catch_up(back, killed)
        await start.catch_up(parts, back.database)
        assert (await chain.verify(back.database)).wrong == ()
        await start.catch_up(parts, back.database)
        async with back.database.begin() as c:
            said = (await c.execute(select(audit.c.act).order_by(audit.c.id))).scalars().all()
        assert said == ["before", "bring up an older database"]


async def killed() -> None:
    raise ZeroDivisionError


async def test_a_kill_between_the_change_and_the_file_is_caught_up(on: Needs, cluster: Cluster, house: House) -> None:
    async with as_it_was(cluster, house) as back:
        await change_key(on, house, "limited", state="revoked")
        assert [state.table for state in on.newest.read() if state.key == {"id": str(house.ids["limited"])}] == []
        # The next start of the database that was not restored.
        assert not await renewal.catch_up(on)
        assert await state_of(on, house, "limited") == "revoked"
        assert await renewal.catch_up(back)
        assert await state_of(back, house, "limited") == "revoked"


async def test_a_kill_between_the_file_and_its_commit_takes_nothing_back(on: Needs, house: House) -> None:
    await change_key(on, house, "limited", state="revoked")
    async with on.database.begin() as c:
        was, noted = (await c.execute(select(newest_state))).one(), (await c.execute(select(newest_noted))).all()
    await memory.write_down(on)
    async with on.database.begin() as c:
        # The file knows; the commit that takes the note away and says so never came.
        await c.execute(update(newest_state).values(told=was.told))
        await c.execute(insert(newest_noted), [{"of_table": row.of_table, "key": row.key} for row in noted])
    await change_key(on, house, "limited", state="active")
    assert not await renewal.catch_up(on)
    assert await state_of(on, house, "limited") == "active"
    newest = [state for state in on.newest.read() if state.key == {"id": str(house.ids["limited"])}]
    assert newest[-1].row is not None
    assert newest[-1].row["state"] == "active"


async def test_a_row_that_cannot_be_what_it_was_last_goes(on: Needs, cluster: Cluster, house: House) -> None:
    async with as_it_was(cluster, house) as back:
        await change_key(on, house, "limited", public_id="taken", state="revoked")
        await memory.write_down(on)
        await change_key(back, house, "untouched", public_id="taken")
        assert await renewal.catch_up(back)
        assert await state_of(back, house, "limited") is None


async def test_states_that_follow_each_other_in_the_way_of_one_another_are_all_taken(
    on: Needs, cluster: Cluster, house: House
) -> None:
    async with as_it_was(cluster, house) as back:
        await change_key(on, house, "limited", public_id="free")
        await change_key(on, house, "revoked", public_id="limited")
        await change_key(on, house, "limited", public_id="last")
        await memory.write_down(on)
        on.newest.keep(lambda state: state.row is None or state.row.get("public_id") != "free", 0)
        assert await renewal.catch_up(back)
        async with back.database.begin() as c:
            found = set((await c.execute(select(api_key.c.public_id))).scalars())
    assert found == {"rotated", "last", "limited", "untouched"}


async def test_a_lost_list_lets_no_older_database_come_back(on: Needs, cluster: Cluster, house: House) -> None:
    async with as_it_was(cluster, house) as back:
        await change_key(on, house, "limited", state="revoked")
        await memory.write_down(on)
        on.newest.path.unlink()
        assert not await renewal.catch_up(on)
        with pytest.raises(renewal.NewestMissing):
            await renewal.catch_up(back)


async def test_the_list_of_another_database_is_refused(on: Needs, house: House) -> None:
    on.newest.begin(uuid7(), 0)
    with pytest.raises(memory.NewestForeign):
        await renewal.catch_up(on)


async def test_the_list_forgets_the_erased_and_what_no_backup_can_ask_for(
    on: Needs, cluster: Cluster, house: House, clock: FileClock, database: Databases, tmp_path: Path
) -> None:
    def names() -> set[str]:
        return {state.key["id"] for state in on.newest.read() if state.table == "api_key"}

    limited, revoked = str(house.ids["limited"]), str(house.ids["revoked"])
    await change_key(on, house, "limited", state="revoked")
    await memory.write_down(on)
    await backup.make(on, tmp_path / "monday", database.dsn(access.BACKUP), cluster.program)
    await change_key(on, house, "revoked", state="revoked")
    await memory.write_down(on)
    clock.move(timedelta(days=20))
    await retention.sweep(on, clock.now(), confirm_clock=True)
    assert {limited, revoked} <= names()
    clock.move(timedelta(days=14))
    await retention.sweep(on, clock.now(), confirm_clock=True)
    assert not {limited, revoked} & names()
    assert not await renewal.catch_up(on), "what was dropped was taken for lost"
    async with on.database.begin() as c:
        known = await memory.look(c, on.newest)
    assert known.head.since < known.reserved
    await change_key(on, house, "limited", state="active")
    await memory.write_down(on)
    assert limited in names()
    await erase.lapse(on, house.ada.id)
    await memory.write_down(on)
    assert str(house.ada.id).encode() in on.newest.path.read_bytes()
    await retention.sweep(on, clock.now(), confirm_clock=True)
    assert str(house.ada.id).encode() not in on.newest.path.read_bytes()
    async with on.database.begin() as c:
        assert await c.scalar(select(func.count()).select_from(backup_folder)) == 0


async def test_an_items_tombstone_goes_once_every_database_that_lacks_its_end_is_refused(
    on: Needs, cluster: Cluster, house: House, clock: FileClock, database: Databases, tmp_path: Path
) -> None:
    """It waits for a newest state to be dropped for its age, for only that keeps older databases away."""

    def stones() -> set[bytes]:
        return {stone.name for stone in on.tombstones.read()}

    ended, person = uuid7(), uuid7()
    on.tombstones.bury_item("api_key", ended, clock.now())
    on.tombstones.bury_person(person, clock.now())
    item, names = on.tombstones.item("api_key", ended), {on.tombstones.person(person)}
    await memory.write_down(on)
    on.newest.keep(lambda _: False, 0)
    clock.move(timedelta(days=40))
    await retention.sweep(on, clock.now(), confirm_clock=True)
    assert item in stones(), "no state was dropped, so no older database is refused"
    await change_key(on, house, "limited", state="revoked")
    await memory.write_down(on)
    await backup.make(on, tmp_path / "monday", database.dsn(access.BACKUP), cluster.program)
    clock.move(timedelta(days=20))
    await retention.sweep(on, clock.now(), confirm_clock=True)
    assert item in stones(), "the state is younger than a backup that may be restored"
    clock.move(timedelta(days=14))
    await retention.sweep(on, clock.now(), confirm_clock=True)
    assert item not in stones() and names <= stones()


async def test_many_changes_of_one_row_leave_one_state(on: Needs, house: House) -> None:
    on.newest.keep(lambda _: False, 0)
    for number in range(5):
        await change_key(on, house, "limited", keep_h=number)
        await memory.write_down(on)
    at = on.clock.now()
    await memory.trim(on, at, at - timedelta(days=1))
    kept = [state.row for state in on.newest.read() if state.key == {"id": str(house.ids["limited"])}]
    assert [row["keep_h"] for row in kept if row] == [4]
