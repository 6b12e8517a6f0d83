import multiprocessing
import os
import select
import signal
from pathlib import Path

import asyncpg
import pytest

from avow.base.postgres import Cluster, PostgresFailed


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    if os.geteuid() == 0:
        pytest.skip("PostgreSQL does not run as root: use `make test`")
    return Cluster(tmp_path_factory.mktemp("h"), "secret")


def kill(cluster: Cluster) -> None:
    pid = cluster.pid() or 0
    process = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select([process], [], [])
    os.close(process)


async def ask(cluster: Cluster, sql: str) -> object:
    connection = await asyncpg.connect(**cluster.dsn(database="postgres").arguments())
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_a_second_start_adopts_the_running_server_and_a_killed_one_keeps_its_rows(own: Cluster) -> None:
    own.start()
    try:
        await ask(own, "CREATE TABLE kept (x int)")
        await ask(own, "INSERT INTO kept VALUES (7)")
        first = own.pid()
        Cluster(own.home, "secret").start()
        assert own.pid() == first
        kill(own)
        own.start()
        assert own.pid() not in (None, first)
        assert await ask(own, "SELECT x FROM kept") == 7
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(**own.dsn(database="postgres", password="wrong").arguments())
        assert await ask(own, "SHOW listen_addresses") == ""
    finally:
        own.stop()
    assert own.pid() is None


async def test_the_watch_starts_a_killed_server_again(own: Cluster) -> None:
    own.start()
    first = own.pid() or 0
    watcher = multiprocessing.get_context("fork").Process(target=own.watch, daemon=True)
    watcher.start()
    try:
        os.kill(first, signal.SIGKILL)
        while own.pid() in (None, first):
            assert watcher.is_alive()
        own.start()
        assert await ask(own, "SELECT 1") == 1
    finally:
        watcher.kill()
        watcher.join()
        own.stop()


async def test_no_value_of_a_statement_reaches_the_log(own: Cluster) -> None:
    own.start()
    try:
        with pytest.raises(asyncpg.PostgresError):
            await ask(own, "SELECT 'marker-4711'::int")
        with pytest.raises(asyncpg.PostgresError):
            await ask(own, "SELEC 'marker-4711'")
    finally:
        own.stop()
    written = "".join(path.read_text() for path in own.log.parent.iterdir())
    assert "ready to accept connections" in written
    assert "marker-4711" not in written


def test_a_long_home_gets_a_short_socket_folder(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    assert len(os.fsencode(Cluster(deep, "x").socket_folder / ".s.PGSQL.5432")) <= 90


def test_a_socket_folder_that_others_could_use_is_refused(own: Cluster, tmp_path: Path) -> None:
    """The short folder's parent is open to everybody: somebody may have been there before us."""
    prepared = tmp_path / "prepared"
    prepared.mkdir(mode=0o700)
    folder = own.socket_folder
    folder.symlink_to(prepared)
    with pytest.raises(PostgresFailed, match="ours alone"):
        own.start()
    folder.unlink()
    folder.mkdir()
    folder.chmod(0o770)
    with pytest.raises(PostgresFailed, match="ours alone"):
        own.start()
    assert own.pid() is None
