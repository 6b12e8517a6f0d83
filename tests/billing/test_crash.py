"""kill -9: of PostgreSQL under load, of the worker, of both. Nothing that was told is lost, nothing is charged twice."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import secrets
import select
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from avow.base import access
from avow.base.clock import SystemClock
from avow.base.db import Database
from avow.base.postgres import Cluster
from avow.billing import invariants, prices
from avow.billing.events import Open
from avow.billing.holds import Recovery
from avow.billing.ledger import Batcher
from avow.billing.refusals import BalanceShort, LedgerUnavailable
from tests.billing.conftest import PRICE, SEAL, SET_EPOCH, Bank, Payer, settle, until
from tests.conftest import PASSWORDS, Databases, make_schema


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A PostgreSQL of the test's own, to be killed."""
    if os.geteuid() == 0:
        pytest.skip("PostgreSQL does not run as root: use `make test`")
    made = Cluster(tmp_path_factory.mktemp("k"), secrets.token_hex(8))
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def bank(server: Cluster, tmp_path: Path) -> AsyncIterator[Bank]:
    await make_schema(server.dsn())
    dsn = server.dsn()
    admin = await asyncpg.connect(**dsn.arguments())
    await admin.execute(SET_EPOCH)
    databases = Databases(dsn, *(Database(dsn.role(r, PASSWORDS[r])) for r in access.LOGIN_ROLES[:3]))
    async with databases.keeper.begin() as c:
        await prices.put(c, PRICE, SEAL)
    made = Bank(databases, admin, tmp_path / "spool")
    yield made
    for each in (databases.app, databases.writer, databases.keeper):
        await each.close()
    await made.admin.close()


def kill(pid: int) -> None:
    """kill -9 a process and its children, and wait until they are gone."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    processes = [os.pidfd_open(p) for p in (pid, *map(int, children))]
    for process in processes:
        with suppress(ProcessLookupError):  # children end with their parent
            signal.pidfd_send_signal(process, signal.SIGKILL)
    for process in processes:
        select.select([process], [], [])
        os.close(process)


async def reconnect(bank: Bank) -> None:
    bank.admin.terminate()
    bank.admin = await asyncpg.connect(**bank.databases.admin.arguments())


async def sound(bank: Bank, told: dict[UUID, int]) -> None:
    """No invariant is broken and every charge that was told is there, with that amount."""
    async with bank.databases.keeper.begin() as c:
        assert await invariants.violations(c, SystemClock().now()) == []
        assert await invariants.missing(c, told) == []


def fresh(payer: Payer, amount: int) -> Open:
    return payer.open(amount, expires_at=SystemClock().now() + timedelta(hours=1))


class Load:
    """Clients that open and settle until told to stop; `told` is what they were told was charged."""

    def __init__(self, ledger: Batcher, payers: list[Payer], seed: int) -> None:
        self.ledger, self.payers, self.random = ledger, payers, random.Random(seed)
        self.told: dict[UUID, int] = {}
        self.unavailable = 0
        self.done = asyncio.Event()

    async def client(self) -> None:
        while not self.done.is_set():
            event = fresh(self.random.choice(self.payers), self.random.randrange(3, 90))
            try:
                await self.ledger.open(event)
            except BalanceShort:
                continue
            except LedgerUnavailable:
                self.unavailable += 1
                await asyncio.sleep(0.02)
                continue
            await asyncio.sleep(self.random.random() / 50)  # the answer streams
            due = 3 * self.random.randrange(0, 40)
            self.told[event.request_id] = (await self.ledger.settle(settle(event, due))).charged

    async def reach(self, count: int) -> None:
        """Until so many more settles were told."""
        wanted = len(self.told) + count
        await until(lambda: len(self.told) >= wanted)


async def test_postgresql_is_killed_twice_under_load(server: Cluster, bank: Bank) -> None:
    payers = [await bank.payer(200_000) for _ in range(5)] + [await bank.payer(300)]
    async with bank.batcher(wait_s_max=0.5) as ledger:
        load = Load(ledger, payers, seed=11)
        clients = [asyncio.create_task(load.client()) for _ in range(40)]
        for _ in range(2):
            await load.reach(300)
            kill(server.pid() or 0)
            assert not server.pid()
            await until(lambda: load.unavailable)
            await asyncio.to_thread(server.start)
            load.unavailable = 0
            await load.reach(300)
        load.done.set()
        await asyncio.gather(*clients)
    await reconnect(bank)
    await sound(bank, load.told)
    assert await bank.admin.fetchval("SELECT count(*) FROM wallet_hold") == 0
    assert await bank.admin.fetchval("SELECT min(posted) FROM wallet") >= 0
    assert list(bank.spool.glob("*.spool")) == []


async def test_a_settle_while_postgresql_is_away_is_told_once_it_is_on_disk(server: Cluster, bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher() as ledger:
        opened, capped = fresh(payer, 300), fresh(payer, 60)
        await asyncio.gather(ledger.open(opened), ledger.open(capped))
        kill(server.pid() or 0)
        away = [await ledger.settle(settle(opened, 90)), await ledger.settle(settle(capped, 90))]
        assert [(s.charged, s.spooled) for s in away] == [(90, True), (60, True)]
        assert len(list(bank.spool.glob("*.spool"))) == 1
        await asyncio.to_thread(server.start)
        await until(lambda: not list(bank.spool.glob("*.spool")))
    await reconnect(bank)
    assert await bank.wallet(payer) == (850, 0)


def worker(dsn: Database, spool: Path, payers: list[Payer], told: int, cut: bool) -> None:
    """A worker process that writes each told charge to `told` as "id amount" lines, until it is killed."""

    async def main() -> None:
        ledger = Batcher(dsn.raw, SystemClock(), spool, wait_s_max=0.5)
        ledger.start()
        load = Load(ledger, payers, seed=os.getpid())
        clients = [asyncio.create_task(load.client()) for _ in range(20)]
        said = 0
        while True:
            await asyncio.sleep(0.005)
            news = list(load.told.items())[said:]
            said += len(news)
            os.write(told, "".join(f"{i} {a}\n" for i, a in news).encode())
            if cut and load.unavailable and any(not c.done() for c in clients):
                os.write(told, b"away\n")
                cut_now()

    def cut_now() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    asyncio.run(main())
    sys.exit(1)


async def run_worker(bank: Bank, payers: list[Payer], cut: bool = False) -> tuple[int, asyncio.StreamReader]:
    """Start the worker; answers its pid and what it tells."""
    out, into = os.pipe()
    process = multiprocessing.get_context("fork").Process(
        target=worker, args=(Database(bank.databases.writer.dsn), bank.spool, payers, into, cut), daemon=True
    )
    process.start()
    os.close(into)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(out, "rb")
    )
    return process.pid or 0, reader


def parse(lines: bytes) -> dict[UUID, int]:
    pairs = [line.split() for line in lines.decode().splitlines() if line.count(" ") == 1]
    return {UUID(i): int(a) for i, a in pairs if len(i) == 36}


async def test_a_killed_worker_loses_nothing_and_leaves_no_hold(bank: Bank) -> None:
    payers = [await bank.payer(100_000) for _ in range(4)]
    pid, reader = await run_worker(bank, payers)
    lines = b"".join([await reader.readline() for _ in range(400)])
    kill(pid)
    lines += await reader.read()
    while await bank.admin.fetchval("SELECT count(*) FROM pg_stat_activity WHERE usename = 'avow_writer'"):
        pass  # its session is still at work on the last batch
    orphans = await bank.admin.fetchval("SELECT count(*) FROM wallet_hold")
    found = await Recovery(bank.databases.keeper.raw, SystemClock(), bank.spool).run(reaped={pid})
    assert found.crashed == orphans
    assert await bank.admin.fetchval("SELECT count(*) FROM wallet_hold") == 0
    await sound(bank, parse(lines))


async def test_a_worker_killed_while_postgresql_is_away_is_settled_from_its_spool(server: Cluster, bank: Bank) -> None:
    payers = [await bank.payer(100_000) for _ in range(4)]
    pid, reader = await run_worker(bank, payers, cut=True)
    lines = b"".join([await reader.readline() for _ in range(200)])
    kill(server.pid() or 0)
    lines += await reader.read()
    assert b"away" in lines
    await asyncio.to_thread(server.start)
    await reconnect(bank)
    await bank.databases.keeper.close()
    found = await Recovery(bank.databases.keeper.raw, SystemClock(), bank.spool).run(reaped={pid})
    assert found.replayed > 0
    assert await bank.admin.fetchval("SELECT count(*) FROM wallet_hold") == 0
    await sound(bank, parse(lines))
