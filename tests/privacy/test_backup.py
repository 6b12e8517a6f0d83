"""A backup brings back everything but what was erased since, and is refused when it is not what was written."""

# ruff: noqa: ASYNC240  a test may look at its own folder

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec
import pytest
from sqlalchemy import select, update

from avow.base import access
from avow.base.clock import FileClock
from avow.base.db import Database, Dsn
from avow.base.postgres import Cluster
from avow.base.progress import Told, nobody
from avow.policy import parse
from avow.privacy import backup, erase, folders, retention
from avow.privacy.backup import Manifest
from avow.privacy.needs import Needs
from avow.privacy.tables import backup_folder
from avow.privacy.tombstones import FILE_NAME, TombstonesBroken
from avow.vault import Gone
from tests.conftest import PASSWORDS, Databases
from tests.privacy import scratch
from tests.privacy.scratch import Person


@pytest.fixture
async def target(cluster: Cluster) -> AsyncIterator[Dsn]:
    """The name of a database that is not there yet."""
    dsn = cluster.dsn(database=f"r_{secrets.token_hex(6)}")
    yield dsn
    admin = await asyncpg.connect(**cluster.dsn(database="postgres").arguments())
    for name in (dsn.database, f"{dsn.database}_restoring"):
        await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "outside" / "monday"


async def made(on: Needs, database: Databases, cluster: Cluster, folder: Path, told: Told = nobody) -> Manifest:
    return await backup.make(on, folder, database.dsn(access.BACKUP), cluster.program, told)


async def restored(on: Needs, folder: Path, target: Dsn, cluster: Cluster, told: Told = nobody) -> Needs:
    await backup.restore(on, folder, target, PASSWORDS, cluster.program, told=told)
    return replace(on, database=Database(target.role(access.KEEPER, PASSWORDS[access.KEEPER])))


async def test_the_erased_stay_erased_and_the_others_come_back(
    on: Needs, database: Databases, cluster: Cluster, folder: Path, target: Dsn
) -> None:
    ada, bob = Person(), Person()
    await ada.write(on)
    await bob.write(on)
    whole = await bob.counts(on)
    async with on.database.begin() as c:
        copies = (await c.execute(select(scratch.note).where(scratch.note.c.subject_id == ada.id))).all()
    heard: list[tuple[str, int, int]] = []
    await made(on, database, cluster, folder, lambda *step: heard.append(step))
    await erase.run(on, await ada.ask(on))
    # The list of erasures beside the ring is lost with the machine: the folder's own copy is enough.
    on.tombstones.path.unlink()
    back = await restored(on, folder, target, cluster, lambda *step: heard.append(step))
    assert [step[1:] for step in heard] == [(0, 2), (1, 2), (0, 3), (1, 3), (2, 3)], "whoever waits sees how far it is"
    assert await bob.counts(back) == whole
    assert Gone not in await bob.opened(back)
    assert await ada.counts(back) == {"scratch_note": 0, "scratch_call": 0, "scratch_bill": 3}
    assert [ada.read(back, row.id, row.box) for row in copies] == [Gone] * 3
    await back.database.close()


async def test_an_older_keyring_loses_the_keys_again(
    on: Needs, database: Databases, cluster: Cluster, folder: Path, target: Dsn
) -> None:
    ada = Person()
    await ada.write(on)
    await made(on, database, cluster, folder)
    on.tombstones.bury_person(ada.id, on.clock.now())
    back = await restored(on, folder, target, cluster)
    assert on.ring.holder(ada.id, "api_content") is None
    assert (await ada.counts(back))["scratch_note"] == 0
    await back.database.close()


async def test_a_single_item_stays_deleted(
    on: Needs, database: Databases, cluster: Cluster, folder: Path, target: Dsn
) -> None:
    ada = Person()
    await ada.write(on, count=2)
    async with on.database.begin() as c:
        await c.execute(scratch.call.delete())
        gone, kept = (await c.execute(select(scratch.note.c.id))).scalars()
    await made(on, database, cluster, folder)
    on.tombstones.bury_item("scratch_note", gone, on.clock.now())
    back = await restored(on, folder, target, cluster)
    async with back.database.begin() as c:
        assert list((await c.execute(select(scratch.note.c.id))).scalars()) == [kept]
    await back.database.close()


async def test_a_restored_database_is_as_guarded_as_a_new_one(
    on: Needs, database: Databases, cluster: Cluster, folder: Path, target: Dsn
) -> None:
    ada = Person()
    await ada.write(on)
    await made(on, database, cluster, folder)
    await restored(on, folder, target, cluster)
    app = Database(target.role(access.APP, PASSWORDS[access.APP]))
    async with app.tenant(ada.tenant_id) as c:
        assert len((await c.execute(select(scratch.note))).all()) == 3
    async with app.tenant(Person().tenant_id) as c:
        assert (await c.execute(select(scratch.note))).all() == []
    await app.close()


async def test_a_backup_holds_neither_words_nor_keys_and_shows_no_password(
    on: Needs, database: Databases, cluster: Cluster, folder: Path, tmp_path: Path
) -> None:
    ada = Person()
    await ada.write(on)
    shim = tmp_path / "pg_dump"
    shim.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/seen\nexec {cluster.program("pg_dump")} --compress=0 "$@"\n')
    shim.chmod(0o700)
    await backup.make(on, folder, database.dsn(access.BACKUP), lambda _: shim)
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    holder = on.ring.holder(ada.id, "api_content")
    assert holder and ada.id.bytes.hex().encode() in written.replace(b"-", b"")
    for secret in (b"my words", b"my words".hex().encode(), holder, holder.hex().encode()):
        assert secret not in written
    assert PASSWORDS[access.BACKUP] not in (tmp_path / "seen").read_text()


async def test_a_folder_out_of_reach_is_named_and_told_later(
    on: Needs, database: Databases, cluster: Cluster, folder: Path
) -> None:
    """It knows from its first moment who was erased before."""
    on.tombstones.bury_person(Person().id, on.clock.now())
    await made(on, database, cluster, folder)
    assert on.tombstones.read(folder / FILE_NAME) == on.tombstones.read() != []
    away = folder.with_name("away")
    folder.rename(away)
    on.tombstones.bury_person(Person().id, on.clock.now())
    assert [told.reachable for told in await folders.tell(on.database, on.tombstones, on.newest)] == [False]
    away.rename(folder)
    await retention.sweep(on, on.clock.now())
    assert on.tombstones.read(folder / FILE_NAME) == on.tombstones.read()
    async with on.database.begin() as c:
        assert await c.scalar(select(backup_folder.c.reachable))


async def test_a_damaged_list_in_one_folder_stops_no_erasure(
    on: Needs, database: Databases, cluster: Cluster, folder: Path
) -> None:
    await made(on, database, cluster, folder)
    (folder / FILE_NAME).write_bytes(b"not a line of ours\n")
    on.tombstones.bury_person(Person().id, on.clock.now())
    assert [told.reachable for told in await folders.tell(on.database, on.tombstones, on.newest)] == [False]


async def test_a_folder_ends_with_its_time_and_only_what_we_wrote_goes(
    on: Needs, database: Databases, cluster: Cluster, folder: Path
) -> None:
    first = await made(on, database, cluster, folder)
    second = await made(on, database, cluster, folder.with_name("tuesday"))
    (folder.with_name("tuesday") / "mine").write_text("the operator's")
    assert await folders.expire(on.database, first.ends_at - timedelta(seconds=1)) == 0
    assert await folders.expire(on.database, second.ends_at) == 2
    assert not folder.exists()
    assert [path.name for path in folder.with_name("tuesday").iterdir()] == ["mine"]


async def test_another_folder_at_that_place_is_not_touched(
    on: Needs, database: Databases, cluster: Cluster, folder: Path
) -> None:
    first = await made(on, database, cluster, folder)
    other = folder.with_name("tuesday")
    await made(on, database, cluster, other)
    async with on.database.begin() as c:
        swapped = update(backup_folder).where(backup_folder.c.id == first.id)
        await c.execute(swapped.values(path=str(other)))
    assert await folders.expire(on.database, first.ends_at) == 0
    assert (other / "manifest.json").exists()


async def test_a_folder_with_something_in_it_is_not_written_to(
    on: Needs, database: Databases, cluster: Cluster, folder: Path
) -> None:
    folder.mkdir(parents=True)
    (folder / "mine").write_text("")
    with pytest.raises(backup.FolderUnfit):
        await made(on, database, cluster, folder)


async def test_a_changed_file_is_not_restored(
    on: Needs, database: Databases, cluster: Cluster, folder: Path, target: Dsn
) -> None:
    await made(on, database, cluster, folder)
    path = folder / "database" / "toc.dat"
    whole = path.read_bytes()
    for changed in (whole[:-1] + bytes([whole[-1] ^ 1]), b""):
        path.write_bytes(changed)
        with pytest.raises(backup.BackupBroken):
            await restored(on, folder, target, cluster)
    path.write_bytes(whole)
    (folder / "database" / "more.dat").write_text("")
    with pytest.raises(backup.BackupBroken):
        await restored(on, folder, target, cluster)


async def test_a_changed_manifest_is_not_believed(
    on: Needs, database: Databases, cluster: Cluster, folder: Path, target: Dsn
) -> None:
    manifest = await made(on, database, cluster, folder)
    manifest.ends_at += timedelta(days=1)
    for document in (msgspec.json.encode(manifest), b"{}", b"\xff"):
        (folder / "manifest.json").write_bytes(document)
        with pytest.raises(backup.BackupBroken):
            await restored(on, folder, target, cluster)


async def test_a_folder_without_a_backup_is_named(on: Needs, cluster: Cluster, folder: Path, target: Dsn) -> None:
    with pytest.raises(backup.NoBackup):
        await restored(on, folder, target, cluster)


async def test_a_backup_whose_end_has_come_is_not_brought_back(
    on: Needs, database: Databases, cluster: Cluster, folder: Path, target: Dsn, clock: FileClock
) -> None:
    await made(on, database, cluster, folder)
    clock.move(backup.KEEP_MAX)
    with pytest.raises(backup.BackupExpired):
        await restored(on, folder, target, cluster)


async def test_a_backup_ends_as_the_policy_says(
    on: Needs, database: Databases, cluster: Cluster, folder: Path, clock: FileClock
) -> None:
    text = (scratch.PROFILE.parent / "infiner.toml").read_text()
    assert backup.end(parse(text), clock.now()) - clock.now() > timedelta(days=29, hours=23)
    weekly = replace(on, policy=parse(re.sub(r'(\[backup\]\n)keep = "30 days"', r'\1keep = "7 days"', text)))
    written = await made(weekly, database, cluster, folder)
    assert written.ends_at - written.made_at == timedelta(days=7)
    clock.move(timedelta(days=7) - timedelta(minutes=5))
    await retention.sweep(weekly, clock.now(), confirm_clock=True)
    assert folder.exists()
    clock.move(timedelta(minutes=6))
    await retention.sweep(weekly, clock.now(), confirm_clock=True)
    assert not folder.exists()


def test_a_backup_does_not_lie_in_what_it_saves(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(home)
    for folder in (home, home / "backup", home / "deep" / ".." / "backup", tmp_path / "link" / "backup"):
        with pytest.raises(backup.FolderUnfit, match="inside AVOW_HOME"):
            backup.check_folder(folder, home)
    assert backup.check_folder(tmp_path / "backup", home) == tmp_path / "backup"


async def test_a_backup_of_tables_that_are_not_known_is_not_restored(
    on: Needs, database: Databases, cluster: Cluster, folder: Path, target: Dsn
) -> None:
    admin = await asyncpg.connect(**database.admin.arguments())
    await admin.execute("UPDATE alembic_version SET version_num = '9999'")
    await admin.close()
    await made(on, database, cluster, folder)
    with pytest.raises(backup.BackupNewer):
        await restored(on, folder, target, cluster)


async def test_a_database_in_use_is_not_written_over(
    on: Needs, database: Databases, cluster: Cluster, folder: Path
) -> None:
    ada = Person()
    await ada.write(on)
    await made(on, database, cluster, folder)
    with pytest.raises(backup.TargetNotEmpty):
        await restored(on, folder, database.admin, cluster)
    assert (await ada.counts(on))["scratch_note"] == 3


async def test_a_database_is_replaced_when_the_operator_says_so(
    on: Needs, database: Databases, cluster: Cluster, folder: Path, target: Dsn
) -> None:
    ada = Person()
    await ada.write(on)
    await made(on, database, cluster, folder)
    back = await restored(on, folder, target, cluster)
    async with back.database.begin() as c:
        await c.execute(scratch.call.delete())
    await backup.restore(on, folder, target, PASSWORDS, cluster.program, replace_database=True)
    await back.database.close()
    again = replace(on, database=Database(target.role(access.KEEPER, PASSWORDS[access.KEEPER])))
    assert await ada.counts(again) == await ada.counts(on)
    await again.database.close()


async def test_what_a_killed_restore_left_is_done_again(
    on: Needs, database: Databases, cluster: Cluster, folder: Path, target: Dsn
) -> None:
    ada = Person()
    await ada.write(on)
    await made(on, database, cluster, folder)
    admin = await asyncpg.connect(**cluster.dsn(database="postgres").arguments())
    await admin.execute(f"CREATE DATABASE {target.database}_restoring")
    await admin.execute(f"CREATE DATABASE {target.database}")
    await admin.close()
    back = await restored(on, folder, target, cluster)
    assert (await ada.counts(back))["scratch_note"] == 3
    await back.database.close()


async def test_a_restore_killed_between_two_databases_is_finished_by_the_next_start(
    on: Needs, database: Databases, cluster: Cluster, folder: Path, target: Dsn
) -> None:
    """The old database was dropped, the restored one has not got its name; an unfinished one never gets it."""
    await made(on, database, cluster, folder)
    admin = await asyncpg.connect(**cluster.dsn(database="postgres").arguments())
    work = f"{target.database}_restoring"
    await admin.execute(f"CREATE DATABASE {work}")
    await backup.take_place(target)
    names = "SELECT datname FROM pg_database WHERE datname IN ($1, $2)"
    assert [row["datname"] for row in await admin.fetch(names, target.database, work)] == [work]
    back = await restored(on, folder, target, cluster)
    await back.database.close()
    await admin.execute(f"ALTER DATABASE {target.database} RENAME TO {work}")
    await backup.take_place(target)
    assert [row["datname"] for row in await admin.fetch(names, target.database, work)] == [target.database]
    await admin.close()


async def test_forged_tombstones_stop_a_restore(
    on: Needs, database: Databases, cluster: Cluster, folder: Path, target: Dsn
) -> None:
    await made(on, database, cluster, folder)
    (folder / FILE_NAME).write_bytes(b"1 0 person " + b"0" * 64 + b" - " + b"0" * 64 + b"\n")
    with pytest.raises(TombstonesBroken):
        await restored(on, folder, target, cluster)


async def test_a_tool_that_fails_is_named_and_what_it_says_is_not(
    on: Needs, database: Databases, folder: Path, tmp_path: Path
) -> None:
    shim = tmp_path / "pg_dump"
    shim.write_text("#!/bin/sh\necho ada@example.org >&2\nexit 3\n")
    shim.chmod(0o700)
    with pytest.raises(backup.ToolFailed, match="status 3") as failed:
        await backup.make(on, folder, database.dsn(access.BACKUP), lambda _: shim)
    assert "ada" not in str(failed.value)
