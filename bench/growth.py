"""How the cost of money and keys grows with what is stored: tenants, keys, charges.

    python -m bench.growth [--seconds 3] [--tenants 1,1000,100000] [--charges 1000000]

Reserve + settle through the real batcher and the embedded PostgreSQL, loaded on up to 1,000 of the keys, and the look-up of
a key that is not remembered. Charges, each with its usage, are added to the largest number of tenants: one each second, in the
order of their ids, by whoever's turn it is. Everything is put there by SQL. Prints a table and writes bench/results/growth.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import uvloop

from avow.base.clock import SystemClock
from avow.base.postgres import Cluster
from avow.billing import prices
from bench import ledger, machine

RESULTS = Path(__file__).parent / "results" / "growth.json"
LOADED_MAX = 1000
LOOK_UPS = 2000

_WALLETS = """
    INSERT INTO wallet (id, tenant_id, currency, posted, held, credit_limit, state)
    SELECT md5('w' || n)::uuid, md5('t' || n)::uuid, 'USD', 0, 0, $2, 'active' FROM generate_series($1::int, $3::int) n
"""
_KEYS = """
    INSERT INTO api_key (id, tenant_id, subject_id, since, policy_version, wallet_id, public_id, secret_hmac, box, state)
    SELECT md5('k' || n)::uuid, md5('t' || n)::uuid, md5('p' || n)::uuid, $2, 1, md5('w' || n)::uuid, lpad(n::text, 12, '0'),
           lpad(n::text, 32, '0')::bytea, '', 'active'
    FROM generate_series($1::int, $3::int) n
"""
_PEOPLE = """
    INSERT INTO person (id, tenant_id, subject_id, since, policy_version, email_index, box, role)
    SELECT md5('p' || n)::uuid, md5('t' || n)::uuid, md5('p' || n)::uuid, $2, 1, n::text::bytea, '', 'owner'
    FROM generate_series($1::int, $3::int) n
"""
_TENANTS = """
    INSERT INTO tenant (tenant_id, created_at, wallet_id)
    SELECT md5('t' || n)::uuid, $2, md5('w' || n)::uuid FROM generate_series($1::int, $3::int) n
"""
_CHARGES = """
    WITH made AS MATERIALIZED (
        SELECT md5('w' || who)::uuid AS wallet, md5('t' || who)::uuid AS tenant, md5('p' || who)::uuid AS person,
               md5('k' || who)::uuid AS key, uuidv7(ago) AS id, $3::timestamptz + ago AS at,
               $3::timestamptz + ago + interval '90 days' AS ends
        FROM generate_series($4::bigint, $6::bigint) n,
             LATERAL (SELECT n % $1 + 1 AS who, (n - $5) * interval '1 second' AS ago) x
    ), charged AS (
        INSERT INTO charge (id, wallet_id, price_id, held, amount, absorbed,
                            tenant_id, subject_id, since, ends_at, policy_version)
        SELECT id, wallet, $2, 1, 0, 0, tenant, person, at, ends, 1 FROM made
    )
    INSERT INTO usage (id, key_id, model, input_tokens, cached_tokens, output_tokens, latency_ms, status, why,
                       tenant_id, subject_id, since, ends_at, policy_version)
    SELECT id, key, 'bench', 0, 0, 0, 9, 200, 'void', tenant, person, at, ends, 1 FROM made
"""
_LOADED = "SELECT md5('k' || n)::uuid AS id FROM generate_series(1, $1::int) n"
CHUNK = 250_000


async def grow(admin: asyncpg.Connection, begin: int, end: int, at: datetime) -> None:
    """Tenants from `begin` to `end`, each with a wallet, a person and a key."""
    await admin.execute(_WALLETS, begin, ledger.BALANCE, end)
    for query in (_TENANTS, _PEOPLE, _KEYS):
        await admin.execute(query, begin, at, end)
    await admin.execute("ANALYZE")


async def charge(admin: asyncpg.Connection, tenants: int, count: int, price: prices.Price, at: datetime) -> None:
    for first in range(1, count + 1, CHUNK):
        last = min(count, first + CHUNK - 1)
        await admin.execute(_CHARGES, tenants, price.id, at, first, count, last)
    await admin.execute("VACUUM (ANALYZE) charge, usage")  # as it was done meanwhile, had they come over time


async def looked_up_ms(admin: asyncpg.Connection, tenants: int, at: datetime) -> float:
    """How long the look-up of a key takes, one after the other."""
    statement = await admin.prepare("SELECT * FROM api_key_by_public_id($1, $2)")
    names = [f"{n * 7919 % tenants + 1:012}" for n in range(LOOK_UPS)]
    began = time.perf_counter()
    for name in names:
        assert await statement.fetchrow(name, at) is not None
    return (time.perf_counter() - began) / LOOK_UPS * 1000


async def measure(cluster: Cluster, options: argparse.Namespace) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    async with ledger.books(cluster, "bench_growth") as within:
        async with within.keeper.begin() as c:
            await prices.put(c, within.price, prices.Seal(bytes(32)))
        at, tenants, charges = SystemClock().now(), 0, 0

        async def cell() -> None:
            loaded = min(tenants, LOADED_MAX)
            keys = [UUID(bytes=bytes(each["id"].bytes)) for each in await within.admin.fetch(_LOADED, loaded)]
            found = await ledger.pairs(cluster, within, keys, options.clients, options.seconds)
            ms = await looked_up_ms(within.admin, tenants, at)
            rows.append({"tenants": tenants, "loaded": loaded, "charges": charges, **found, "look_up_ms": round(ms, 3)})
            print(rows[-1], flush=True)

        for each in map(int, options.tenants.split(",")):
            await grow(within.admin, tenants + 1, each, at)
            tenants = each
            await cell()
        if options.charges:
            await charge(within.admin, tenants, options.charges, within.price, at)
            charges = options.charges
            await cell()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--tenants", default="1,1000,100000", help="rising numbers, separated by commas")
    parser.add_argument("--charges", type=int, default=1_000_000)
    options = parser.parse_args()
    began = machine.describe()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, ledger.cluster() as cluster:
        rows = runner.run(measure(cluster, options))
    report = {
        "bench": "growth",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m bench.growth --seconds {options.seconds:g} --tenants {options.tenants} "
        f"--charges {options.charges}",
        "machine": began,
        "rows": rows,
    }
    RESULTS.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
