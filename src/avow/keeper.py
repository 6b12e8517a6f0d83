"""The keeper: one process that ends what is due, sends what waits, recovers what was left, and looks.

It is one by an advisory lock, so that a second Avow on the same database waits its turn. The request path never waits
for it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta

import asyncpg
import structlog

from avow.app import Parts
from avow.base import access, log
from avow.billing.holds import Recovery
from avow.supervisor import Ready, Reaped
from avow.vault import Vault, outbox
from avow.worker import SETTLING

LOCK = 726175
RETRY_S = 1.0
LOGS_KEPT = timedelta(days=30)


def run(parts: Parts, reaped: Reaped, ready: Ready) -> None:
    """Keep until SIGTERM."""
    asyncio.run(Keeper(parts, reaped).keep(ready))


class Keeper:
    """The keeper's loops, each on its own time; one that fails says so and comes again."""

    def __init__(self, parts: Parts, reaped: Reaped) -> None:
        self.parts, self.reaped = parts, reaped
        self.database = parts.database(access.KEEPER, pool_size=4)
        self.vault = Vault(parts.ring, parts.policy, parts.clock)
        self.recovery = Recovery(self.database.raw, parts.clock, parts.home / "run" / "spool", functions=SETTLING)

    async def keep(self, ready: Ready) -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        ready()
        while not stop.is_set():
            try:
                await self._while_alone(stop)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as wrong:
                structlog.get_logger().warning("keeper_disconnected", **log.failure(wrong))
                await _pause(stop, RETRY_S)
        self.vault.close()
        await self.database.close()

    async def _while_alone(self, stop: asyncio.Event) -> None:
        """Hold the lock and work; when the connection that holds it is lost, all work ends."""
        connection = await self.database.raw()
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
                if await _pause(stop, RETRY_S):
                    return
            loops = [asyncio.create_task(each) for each in self._loops()]
            waits = [asyncio.create_task(stop.wait()), asyncio.create_task(lost.wait())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in (*loops, *waits):
                task.cancel()
            await asyncio.gather(*loops, *waits, return_exceptions=True)
        finally:
            await connection.close()

    def _loops(self) -> list[Coroutine[None, None, None]]:
        return [
            _every(1, "mail", self._send_mail),
            _every(30, "holds", self._recover),
            _every(3600, "logs", self._end_logs),
        ]

    async def _send_mail(self) -> None:
        await outbox.drain(self.database, self.vault, self.parts.mail)

    async def _recover(self) -> None:
        await self.recovery.run([pid for name, pid in self.reaped.take() if name.startswith("worker")])

    async def _end_logs(self) -> None:
        await asyncio.to_thread(log.sweep, self.parts.home / "log", self.parts.clock.now() - LOGS_KEPT)


async def _every(seconds: float, name: str, act: Callable[[], Awaitable[None]]) -> None:
    """Do something again and again, at once first; a failure is written down and not the end."""
    while True:
        try:
            await act()
        except asyncio.CancelledError:
            raise
        except Exception as wrong:
            structlog.get_logger().error("keeper_failed", kind=name, **log.failure(wrong))
        await asyncio.sleep(seconds)


async def _pause(stop: asyncio.Event, seconds: float) -> bool:
    """Wait, at most until asked to stop; says whether that came."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
