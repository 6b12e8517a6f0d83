"""Jobs on a real queue: what is put in a transaction, what runs again, what a failure leaves behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from avow.base import jobs
from avow.base.ids import uuid7
from tests import LIMIT_S
from tests.conftest import Databases

HUNG_WORKER = """
import asyncio, json, sys
from datetime import timedelta
from avow.base import jobs
from avow.base.db import Database, Dsn

async def hang(id):
    print(id, flush=True)
    await asyncio.Event().wait()

asyncio.run(jobs.Worker(Database(Dsn(**json.loads(sys.stdin.readline()))), {"hang": hang},
                        heartbeat_timeout=timedelta(seconds=1)).run())
"""


async def worked(
    database: Databases, kind: str, handler: Callable[[UUID], Awaitable[None]], until: Callable[[], Awaitable[bool]]
) -> None:
    """Run a worker until `until` holds."""
    worker = jobs.Worker(
        database.keeper, {kind: handler}, heartbeat_timeout=timedelta(seconds=1), first_pause=timedelta(0)
    )
    running = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(LIMIT_S):
            while not await until():
                await asyncio.wait([running], timeout=0.05)
                assert not running.done(), running
    finally:
        worker.stop()
        await running


async def rows(database: Databases, query: str) -> list[Any]:
    async with database.keeper.begin() as connection:
        return list((await connection.execute(text(query))).all())


async def test_a_job_put_by_the_app_runs_with_its_id(database: Databases) -> None:
    id, seen = uuid7(), []
    async with database.app.begin() as connection:
        await jobs.put(connection, "greet", id)

    async def handler(found: UUID) -> None:
        seen.append(found)

    async def done() -> bool:
        return bool(seen)

    await worked(database, "greet", handler, done)
    assert seen == [id]
    assert await rows(database, "SELECT 1 FROM jobs.pgqueuer") == []


async def test_a_job_of_a_transaction_that_failed_is_not_there(database: Databases) -> None:
    with pytest.raises(RuntimeError):
        async with database.app.begin() as connection:
            await jobs.put(connection, "greet", uuid7())
            raise RuntimeError
    assert await rows(database, "SELECT 1 FROM jobs.pgqueuer") == []


async def test_the_same_job_waits_once(database: Databases) -> None:
    id = uuid7()
    async with database.app.begin() as connection:
        await jobs.put(connection, "greet", id, datetime.now(UTC) + timedelta(hours=1))
        await jobs.put(connection, "greet", id)
        await jobs.put(connection, "greet", uuid7())
    assert len(await rows(database, "SELECT 1 FROM jobs.pgqueuer")) == 2


async def test_the_app_sees_nothing_of_the_queue(database: Databases) -> None:
    with pytest.raises(ProgrammingError, match="permission denied"):
        async with database.app.begin() as connection:
            await connection.execute(text("SELECT * FROM jobs.pgqueuer"))


async def test_a_job_of_a_killed_worker_is_run_by_the_next(database: Databases) -> None:
    id, seen = uuid7(), []
    async with database.app.begin() as connection:
        await jobs.put(connection, "hang", id)
    source = Path(jobs.__file__).parents[2]
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HUNG_WORKER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(source)},
    )
    assert child.stdin and child.stdout
    dsn = database.dsn("avow_keeper")
    child.stdin.write(json.dumps({name: getattr(dsn, name) for name in dsn.__slots__}).encode() + b"\n")
    await child.stdin.drain()
    started = await asyncio.wait_for(child.stdout.readline(), LIMIT_S)
    child.send_signal(signal.SIGKILL)
    await child.wait()
    assert started.decode().strip() == str(id)

    async def handler(found: UUID) -> None:
        seen.append(found)

    async def done() -> bool:
        return bool(seen)

    await worked(database, "hang", handler, done)
    assert seen == [id]


async def test_a_failing_job_is_held_and_its_text_is_nowhere(
    database: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    secret, tries = "ada@example.org", []
    async with database.app.begin() as connection:
        await jobs.put(connection, "break", uuid7())

    async def handler(_: UUID) -> None:
        tries.append(1)
        try:
            raise KeyError(secret)
        except KeyError:
            raise ValueError(secret) from None

    async def held() -> bool:
        return bool(await rows(database, "SELECT 1 FROM jobs.pgqueuer WHERE status = 'failed'"))

    await worked(database, "break", handler, held)
    assert len(tries) == jobs.TRIES_MAX
    kept = await rows(database, "SELECT l::text FROM jobs.pgqueuer_log l UNION ALL SELECT q::text FROM jobs.pgqueuer q")
    written = caplog.text + "".join(row[0] for row in kept)
    assert "ValueError" in written
    assert secret not in written


async def test_a_lost_connection_ends_the_worker(database: Databases) -> None:
    worker = jobs.Worker(database.keeper, {})
    running = asyncio.create_task(worker.run())
    admin = await asyncpg.connect(**database.admin.arguments())
    killed = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'avow_keeper'"
    async with asyncio.timeout(LIMIT_S):
        while not running.done():
            await admin.execute(killed)
            await asyncio.wait([running], timeout=0.2)
    await admin.close()
    with pytest.raises(jobs.Unavailable):
        await running


async def test_the_log_is_kept_for_30_days(database: Databases) -> None:
    test_start = datetime.now(UTC)
    async with database.app.begin() as connection:
        await jobs.put(connection, "greet", uuid7())
    async with database.keeper.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO jobs.pgqueuer_log (job_id, status, priority, entrypoint) VALUES (1, 'successful', 0, 'a')"
            )
        )
        assert await jobs.trim(connection, test_start + timedelta(days=29)) == 0
        assert await jobs.trim(connection, test_start + timedelta(days=31)) == 1
    assert len(await rows(database, "SELECT 1 FROM jobs.pgqueuer")) == 1
