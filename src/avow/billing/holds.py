"""Holds that a dead worker left behind.

A hold is money promised, not spent; it ends by settling, never by time alone. Each lane of a worker holds a session advisory
lock on its epoch, and the worker beats every five seconds. It is taken for dead when the locks were free for 20 s and four beats
are missing, for they also drop when PostgreSQL restarts under a worker that streams on; at once when the supervisor has reaped
it. What a dead worker told its spool is settled as it said; the rest is charged by the last checkpoint, and nothing if no byte
was sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg
import structlog

from avow.base.clock import Clock
from avow.billing import prices, spool
from avow.billing.calls import Calls, settling
from avow.billing.events import Functions, Settle
from avow.billing.ledger import EVENTS_MAX, LANES, LOCK_CLASS, Connect

log = structlog.get_logger()

DEAD_AFTER_S = 20.0
STATUS_CRASHED = 500

_ORPHANS = """
    SELECT h.id AS request_id, h.amount, h.first_byte, h.input_tokens, h.cached_tokens, h.output_tokens,
           p.id, p.model, p.currency, p.input_nano, p.cached_nano, p.output_nano, p.valid_from,
           p.cache_write_nano, p.reasoning_nano, p.image_nano, p.audio_nano, p.counts
    FROM wallet_hold h LEFT JOIN price p ON p.id = h.price_id WHERE h.worker_epoch = $1 LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a pass did: settles replayed from spools, holds charged by checkpoint, live holds past their time (an alarm)."""

    replayed: int = 0
    crashed: int = 0
    overdue: int = 0


class Recovery:
    """The keeper's pass over dead workers: at start, every 30 s, and at once when a worker was reaped.

    `connect` gives a connection of role `avow_keeper`. One object lives as long as the keeper: it remembers since when each
    lock was seen free.
    """

    def __init__(
        self,
        connect: Connect,
        clock: Clock,
        spool_folder: Path,
        *,
        functions: Functions | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect, self._clock, self._folder, self._monotonic = connect, clock, spool_folder, monotonic
        self._functions = functions or Functions()
        self._free_since: dict[int, float] = {}

    async def run(self, reaped: Collection[int] = ()) -> Recovered:
        """One pass. `reaped` are process ids that the supervisor has seen end."""
        connection = await self._connect()
        try:
            replayed = crashed = 0
            for epoch, pid, heartbeat in await connection.fetch("SELECT epoch, pid, heartbeat FROM worker_epoch"):
                if not await self._lock(connection, epoch):
                    self._free_since.pop(epoch, None)
                    continue
                # The locks are ours until the connection closes: the worker cannot come back in between.
                if pid in reaped or self._silent(epoch, heartbeat):
                    more = await self._end(connection, epoch)
                    replayed, crashed = replayed + more[0], crashed + more[1]
                else:
                    await self._unlock(connection, epoch, LANES)
            return Recovered(replayed, crashed, await self._overdue(connection))
        finally:
            await connection.close()

    async def _lock(self, connection: asyncpg.Connection, epoch: int) -> bool:
        """Take the locks of all lanes of a worker: one whose session still works on its last batch may yet place a hold."""
        for lane in range(LANES):
            if not await connection.fetchval("SELECT pg_try_advisory_lock($1, $2)", LOCK_CLASS + lane, epoch):
                await self._unlock(connection, epoch, lane)
                return False
        return True

    async def _unlock(self, connection: asyncpg.Connection, epoch: int, lanes: int) -> None:
        for lane in range(lanes):
            await connection.execute("SELECT pg_advisory_unlock($1, $2)", LOCK_CLASS + lane, epoch)

    def _silent(self, epoch: int, heartbeat: datetime) -> bool:
        seen = self._monotonic()
        free_s = seen - self._free_since.setdefault(epoch, seen)
        return free_s >= DEAD_AFTER_S and self._clock.now() - heartbeat >= timedelta(seconds=DEAD_AFTER_S)

    async def _end(self, connection: asyncpg.Connection, epoch: int) -> tuple[int, int]:
        calls = await Calls.prepare(connection, self._functions, epoch)
        path = self._folder / f"{epoch}.spool"
        told = await asyncio.to_thread(lambda: list(spool.read(path)))
        refused = await self._settle(calls, told)
        crashed = 0
        while orphans := await connection.fetch(_ORPHANS, epoch, EVENTS_MAX):
            lost = await self._settle(calls, [_by_checkpoint(row) for row in orphans])
            crashed += len(orphans) - len(lost)
            if lost:
                break
        if refused:  # somebody has to look: what was told as charged must not be forgotten
            log.error("spool_refused", epoch=epoch, count=len(refused))
            await asyncio.to_thread(path.rename, path.with_suffix(".refused"))
        else:
            await asyncio.to_thread(path.unlink, missing_ok=True)
        await connection.execute("DELETE FROM worker_epoch WHERE epoch = $1", epoch)
        self._free_since.pop(epoch, None)
        log.warning("worker_recovered", epoch=epoch, count=crashed)
        return len(told) - len(refused), crashed

    async def _settle(self, calls: Calls, settles: Sequence[Settle]) -> list[Settle]:
        """Settle all; answers those that PostgreSQL refuses for their data."""
        refused: list[Settle] = []
        for at in range(0, len(settles), EVENTS_MAX):
            part = settles[at : at + EVENTS_MAX]
            try:
                await calls.send(settling(part))
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError):
                refused += part if len(part) == 1 else [r for s in part for r in await self._settle(calls, [s])]
        return refused

    async def _overdue(self, connection: asyncpg.Connection) -> int:
        overdue: int = await connection.fetchval(
            "SELECT count(*) FROM wallet_hold WHERE expires_at < $1", self._clock.now()
        )
        if overdue:
            log.error("holds_overdue", count=overdue)
        return overdue


def _by_checkpoint(row: asyncpg.Record) -> Settle:
    tokens = (row["input_tokens"], row["cached_tokens"], row["output_tokens"])
    amount = 0
    if row["first_byte"] and row["id"] is not None:
        amount = prices.cost(prices.Price(*row[6:18]), prices.Used(*tokens))
    return Settle(row["request_id"], amount, *tokens, 0, STATUS_CRASHED, "crash_recovered", estimated=True)
