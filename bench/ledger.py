"""Reserve + settle pairs per second through the real batcher and the embedded PostgreSQL; prints JSON and keeps it.

    python -m bench.ledger [--seconds 4] [--clients 200] [--wallets 1000]

The load generator shares the machine with PostgreSQL. Every run ends with the invariants; a violation fails it. Writes
bench/results/ledger.json.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import resource
import secrets
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import uvloop

import avow
from avow.base import access
from avow.base.clock import SystemClock
from avow.base.db import Database, Dsn
from avow.base.ids import uuid7
from avow.base.migrate import migrate
from avow.base.postgres import Cluster
from avow.billing import credit, invariants, prices
from avow.billing.events import Open, Settle
from avow.billing.ledger import Batcher
from bench import machine

BALANCE = 10**15
RESULTS = Path(__file__).parent / "results" / "ledger.json"
_KEY = """
    INSERT INTO api_key (id, tenant_id, subject_id, since, policy_version, wallet_id, public_id, secret_hmac, box, state,
                         budget_day_nano, budget_month_nano, budget_total_nano)
    VALUES ($1, $2, $3, $4, 1, $5, $6, $6::text::bytea, '', 'active', $7, $7, $7)
"""


async def fill(
    admin: asyncpg.Connection, keeper: Database, wallets: int, price: prices.Price, budget: int | None
) -> list[UUID]:
    """Wallets with a balance and a key each, with three budgets of `budget` or none; answers the keys."""
    keys = []
    async with keeper.begin() as c:
        await prices.put(c, price, prices.Seal(bytes(32)))
        for _ in range(wallets):
            tenant, subject, wallet, key = uuid7(), uuid7(), uuid7(), uuid7()
            await credit.begin(c, tenant, subject, wallet, price.valid_from, amount=BALANCE, policy_version=1)
            keys.append((key, tenant, subject, price.valid_from, wallet, key.hex, budget))
    await admin.executemany(_KEY, keys)
    return [k[0] for k in keys]


def postgres_cpu_s(cluster: Cluster) -> float:
    """CPU seconds of the server's living processes."""
    pid = cluster.pid()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    fields = [Path(f"/proc/{p}/stat").read_text().rpartition(") ")[2].split() for p in children]
    return sum(int(f[11]) + int(f[12]) for f in fields) / os.sysconf("SC_CLK_TCK")


async def load(
    cluster: Cluster, ledger: Batcher, keys: list[UUID], price: prices.Price, workers: int, seconds: float
) -> dict[str, Any]:
    """`workers` clients that open and settle one request after the other."""
    clock, loop = SystemClock(), asyncio.get_running_loop()
    reserve_ms: list[float] = []
    amount = prices.upper(price, 200, 200)
    due = prices.cost(price, prices.Used(100, 0, 100))
    until = loop.time() + seconds

    async def client(n: int) -> None:
        turn = n
        while (began := loop.time()) < until:
            turn += workers
            now, request = clock.now(), uuid7()
            later = now + timedelta(days=30)
            key = keys[turn % len(keys)]
            await ledger.open(Open(request, key, amount, price.id, price.model, now, later, later, later, 1, 400))
            reserve_ms.append((loop.time() - began) * 1000)
            await ledger.settle(Settle(request, due, 100, 0, 100, 5, 200, "done"))

    began, cpu, postgres = time.perf_counter(), time.process_time(), postgres_cpu_s(cluster)
    await asyncio.gather(*(client(n) for n in range(workers)))
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    postgres = postgres_cpu_s(cluster) - postgres
    cuts = statistics.quantiles(reserve_ms, n=100)
    return {
        "pairs_per_s": round(len(reserve_ms) / took),
        "reserve_ms_p50": round(cuts[49], 2),
        "reserve_ms_p99": round(cuts[98], 2),
        "client_cpu_us_per_pair": round(cpu / len(reserve_ms) * 1e6, 1),
        "postgres_cpu_us_per_pair": round(postgres / len(reserve_ms) * 1e6, 1),
        "pairs": len(reserve_ms),
    }


@dataclass(frozen=True)
class Books:
    """A ledger in a database of its own: as its superuser, as the writer and as the keeper, with one price."""

    admin: asyncpg.Connection
    writer: Database
    keeper: Database
    price: prices.Price


@asynccontextmanager
async def books(cluster: Cluster, name: str) -> AsyncIterator[Books]:
    passwords = {role: secrets.token_hex(16) for role in access.LOGIN_ROLES}
    dsn: Dsn = cluster.dsn(database=name)
    await migrate(dsn, passwords)
    admin = await asyncpg.connect(**dsn.arguments())
    writer, keeper = (Database(dsn.role(r, passwords[r])) for r in (access.WRITER, access.KEEPER))
    try:
        now = SystemClock().now()
        yield Books(admin, writer, keeper, prices.Price(uuid7(), "bench", "USD", 150_000, 75_000, 600_000, now))
    finally:
        for each in (writer, keeper):
            await each.close()
        await admin.close()


async def pairs(cluster: Cluster, within: Books, keys: list[UUID], workers: int, seconds: float) -> dict[str, Any]:
    """Reserve and settle for a while, warmed, through a batcher of its own."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Batcher(within.writer.raw, SystemClock(), Path(folder), wait_s_max=60)
        ledger.start()
        await load(cluster, ledger, keys, within.price, workers, min(1.0, seconds))
        found = await load(cluster, ledger, keys, within.price, workers, seconds)
        await ledger.close()
    return found


async def cell(cluster: Cluster, wallets: int, workers: int, seconds: float, budgets: bool) -> dict[str, Any]:
    """One measurement, and what it left of the invariants."""
    async with books(cluster, f"bench_{wallets}_{workers}_{budgets}") as within:
        keys = await fill(within.admin, within.keeper, wallets, within.price, BALANCE if budgets else None)
        found = await pairs(cluster, within, keys, workers, seconds)
        async with within.keeper.begin() as c:
            found["violations"] = len(await invariants.violations(c, SystemClock().now()))
    return {"wallets": wallets, "clients": workers, "budgets_per_key": 3 * budgets, **found}


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL of its own, as the embedded one is set."""
    for path in sorted(Path(avow.__file__).parent.glob("*/tables.py")):
        importlib.import_module(f"avow.{path.parent.name}.tables")
    with tempfile.TemporaryDirectory(prefix="avow-b-") as home:
        made = Cluster(Path(home), secrets.token_hex(16))
        made.start()
        try:
            yield made
        finally:
            made.stop()


async def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    cells = [(options.wallets, options.clients), (1, options.clients), (options.wallets, 1)]
    with cluster() as made:
        return [await cell(made, *each, options.seconds, budgets) for each in cells for budgets in (False, True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--wallets", type=int, default=1_000)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        options = parser.parse_args()
        began = machine.describe()
        cells = runner.run(measure(options))
    report = {
        "bench": "ledger",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m bench.ledger --seconds {options.seconds:g} --clients {options.clients}",
        "machine": began,
        "cells": cells,
        "load_average_1m": os.getloadavg()[0],
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    text = json.dumps(report, indent=1)
    print(text)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(text + "\n")
    raise SystemExit(any(c["violations"] for c in cells))


if __name__ == "__main__":
    main()
