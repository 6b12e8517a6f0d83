"""A migrated database with keys, wallets and a price; a batcher over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from avow.base.clock import SystemClock
from avow.base.db import Database
from avow.base.ids import uuid7
from avow.billing import credit, prices
from avow.billing.events import Functions, Open, Settle
from avow.billing.ledger import Batcher
from avow.billing.prices import Price, Seal
from tests import LIMIT_S
from tests.conftest import Databases

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SEAL = Seal(bytes(range(32)))
PRICE = Price(uuid7(), "smol", "USD", 1_000_000, 500_000, 3_000_000, NOW - timedelta(days=1))

SET_EPOCH = "INSERT INTO policy_epoch VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET epoch = 7"

_KEY = """
    INSERT INTO api_key (id, tenant_id, subject_id, since, policy_version, wallet_id, public_id, secret_hmac, box, state,
                         expires_at)
    VALUES ($1, $2, $3, $4, 1, $5, $7, $7::text::bytea, '', 'active', $6)
"""


@dataclass
class Payer:
    """A person with a tenant, a wallet and a key."""

    tenant_id: UUID
    subject_id: UUID
    wallet_id: UUID
    key_id: UUID

    def open(self, amount: int, **changed: Any) -> Open:
        values: dict[str, Any] = {
            "request_id": uuid7(),
            "key_id": self.key_id,
            "amount": amount,
            "price_id": PRICE.id,
            "model": PRICE.model,
            "at": NOW,
            "expires_at": NOW + timedelta(minutes=10),
            "money_ends_at": NOW + timedelta(days=3650),
            "usage_ends_at": NOW + timedelta(days=30),
            "policy_version": 1,
            "tokens_max": 10,
        }
        return Open(**{**values, **changed})


def settle(opened: Open, amount: int, **changed: Any) -> Settle:
    """A settle whose output tokens cost `amount` at PRICE (3 nano-units each)."""
    values: dict[str, Any] = {
        "request_id": opened.request_id,
        "amount": amount,
        "input_tokens": 0,
        "cached_tokens": 0,
        "output_tokens": amount // 3,
        "latency_ms": 12,
        "status": 200,
        "why": "done",
    }
    return Settle(**{**values, **changed})


@dataclass
class Bank:
    """The database under test, and what tests do to it."""

    databases: Databases
    admin: asyncpg.Connection
    spool: Path

    async def payer(self, balance: int, key_expires_at: datetime | None = None) -> Payer:
        made = Payer(uuid7(), uuid7(), uuid7(), uuid7())
        async with self.databases.keeper.begin() as c:
            await credit.begin(
                c, made.tenant_id, made.subject_id, made.wallet_id, NOW, amount=balance, policy_version=1
            )
        await self.key(made, made.key_id, key_expires_at)
        return made

    async def limit(self, of: Payer, **limits: int) -> None:
        """Give the payer's key limits, by column."""
        for name, most in limits.items():
            await self.admin.execute(f"UPDATE api_key SET {name} = $2 WHERE id = $1", of.key_id, most)

    async def used(self, of: Payer) -> dict[str, Any] | None:
        row = await self.admin.fetchrow("SELECT * FROM key_use WHERE id = $1", of.key_id)
        return None if row is None else dict(row)

    async def key(self, of: Payer, key_id: UUID, expires_at: datetime | None = None) -> None:
        await self.admin.execute(_KEY, key_id, of.tenant_id, of.subject_id, NOW, of.wallet_id, expires_at, key_id.hex)

    async def blocked(self) -> None:
        """Return once a session of the ledger waits for a lock."""
        waits = """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND usename = 'avow_writer' AND wait_event_type = 'Lock'
        """
        async with asyncio.timeout(LIMIT_S):
            while not await self.admin.fetchval(waits):
                await self.admin.execute("SELECT pg_stat_clear_snapshot()")
                await asyncio.sleep(0.01)

    async def wallet(self, of: Payer) -> tuple[int, int]:
        row = await self.admin.fetchrow("SELECT posted, held FROM wallet WHERE id = $1", of.wallet_id)
        return row["posted"], row["held"]

    @asynccontextmanager
    async def batcher(self, database: Database | None = None, **options: Any) -> AsyncIterator[Batcher]:
        raw = (database or self.databases.writer).raw
        made = Batcher(raw, SystemClock(), self.spool, **{"wait_s_max": 30.0, **options})
        made.start()
        try:
            yield made
        finally:
            await made.close()


COMPLETION = Functions("completion_batch", "completion_settle", extra=7, extra_type="told_trace")


@pytest.fixture
async def bank(database: Databases, tmp_path: Path) -> AsyncIterator[Bank]:
    admin = await asyncpg.connect(**database.admin.arguments())
    await admin.execute(SET_EPOCH)
    async with database.keeper.begin() as c:
        await prices.put(c, PRICE, SEAL)
    yield Bank(database, admin, tmp_path / "spool")
    await admin.close()


async def gathered(*awaitables: Any) -> list[Any]:
    """Results and exceptions, in order."""
    return await asyncio.gather(*awaitables, return_exceptions=True)


async def until(holds: Callable[[], object]) -> None:
    """Wait for a condition that another process brings about; the test's own time limit is the only one."""
    while not holds():  # noqa: ASYNC110  no event crosses processes
        await asyncio.sleep(0.01)
