"""The keeper: one process that ends what is due, sends what waits, recovers what was left, and looks.

It is one by an advisory lock, so that a second Avow on the same database waits its turn. The request path never waits
for it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from uuid import UUID

import asyncpg
import structlog

from avow import desk, figures
from avow.accounts import unconfirmed
from avow.app import Parts
from avow.base import access, jobs, log, tls
from avow.base.db import Database
from avow.base.mail import SmtpMail
from avow.billing import allowances, invariants, sums
from avow.billing.holds import Recovery
from avow.desk import Desk
from avow.figures import Lookout, Telling
from avow.gateway import FUNCTIONS
from avow.privacy import copies, erase, folders, memory, notices, outsiders, plans, requests, retention, wishes
from avow.proof import probes
from avow.proof.desk_api import LOOK_JOB
from avow.proof.log import CHUNK_ROWS as PUBLISHED_ROWS
from avow.registers import documents
from avow.registers.broker import Broker
from avow.supervisor import Ready, Reaped
from avow.vault import outbox
from avow.vault.chain import CHUNK_LINKS, CHUNK_ROWS

LOCK = 726175
RETRY_S = 1.0
SWEEP_S = 600
RECOVER_S = 30
HOURLY_S, DAILY_S = 3600, 20 * 3600
"""How often each probe looks; what looks daily looks again before its evidence is a day old."""
LINK_S = 2.0
SIGN_S = 1.0
MONEY_S = 60
SUMS_S = 6 * 3600
SUMS_ID = UUID(int=0)
"""There is one such job, which finds out by itself what is to be done."""
DOCUMENTS_S = 60
EVIDENCE_PROBE = "part_evidence"
LOOK_DUE_S = 5
"""How often is asked whether it is time to look: its time has gone by, or another policy has come into force."""
STOP_S = 3.0


def run(parts: Parts, reaped: Reaped, ready: Ready) -> None:
    """Keep until SIGTERM."""

    async def keep() -> None:
        async with desk.opened(parts) as at:
            await Keeper(parts, reaped, at).keep(ready)

    asyncio.run(keep())


class Keeper:
    """The keeper's loops, each on its own time; one that fails says so and comes again."""

    def __init__(self, parts: Parts, reaped: Reaped, at: Desk) -> None:
        self.parts, self.reaped, self.at = parts, reaped, at
        self.recovery = Recovery(at.keeper.raw, parts.clock, parts.home / "run" / "spool", functions=FUNCTIONS)
        self.chain, self.log, self.broker = parts.chain, parts.log, Broker(at.keeper, at.vault)
        self.lookout, self.telling = Lookout(at.keeper, parts.clock), Telling(parts.home, "keeper")
        self.absorbed_news = invariants.AbsorbedNews()
        self._looked_under, self._looked_at_s = "", dict[str, float]()
        self.jobs = jobs.Worker(
            at.keeper,
            {
                requests.ERASE_JOB: lambda id: erase.run(at.privacy, id),
                erase.LOOK_JOB: lambda id: erase.look_again(at.privacy, id),
                plans.CARRY_JOB: lambda id: _done(plans.carry_out(at.privacy, id)),
                plans.LATE_JOB: lambda id: plans.look_late(at.privacy, at.telling, id),
                wishes.WISH_JOB: lambda id: wishes.carry_out(at.wishes, id),
                notices.TELL_JOB: lambda id: _done(notices.tell(at.privacy, at.telling, id)),
                requests.COPY_JOB: lambda id: copies.run(at.copies, id),
                sums.SUMS_JOB: lambda _: self._make_sums(),
                requests.OUTSIDE_JOB: lambda id: outsiders.answer(at.answering, id),
                LOOK_JOB: lambda _: self._look_now(),
            },
            given_up={wishes.WISH_JOB: lambda id: wishes.give_up(at.keeper, id)},
        )

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

    async def _while_alone(self, stop: asyncio.Event) -> None:
        """Hold the lock and work; when the connection that holds it is lost, all work ends."""
        connection = await self.at.keeper.raw()
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK):
                if await _pause(stop, RETRY_S):
                    return
            await self.at.finish_restore()
            loops = [asyncio.create_task(each) for each in self._loops()]
            waits = [asyncio.create_task(stop.wait()), asyncio.create_task(lost.wait())]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for task in (*loops, *waits):
                task.cancel()
            await asyncio.wait([*loops, *waits], timeout=STOP_S if stop.is_set() else None)
            if any(not loop.done() for loop in loops):
                # A job under way may take long; the next keeper takes it up where this one leaves it.
                os._exit(0)
        finally:
            await connection.close()

    def _loops(self) -> list[Coroutine[None, None, None]]:
        first_look_s = self.parts.first_look_s
        looking = () if first_look_s is None else (_every(LOOK_DUE_S, "probes", self._look_if_due, after=first_look_s),)
        return [
            _every(1, "policy", self._follow_policy),
            _every(1, "mail", self._send_mail),
            _every(1, "jobs", self.jobs.run),
            _every(RETRY_S, "holds", self._recover),
            _every(SWEEP_S, "sweep", self._sweep),
            _every(LINK_S, "record", self._link_record),
            _every(SIGN_S, "transparency", self._sign_log),
            _every(MONEY_S, "money", self._check_money),
            _every(1, "newest", self._remember),
            _every(3600, "logs", self._end_logs),
            _every(SUMS_S, "sums", self._have_sums_made),
            _every(DOCUMENTS_S, "documents", self._look_at_documents),
            _every(figures.LOOK_S, "figures", self._look_at_figures),
            self.telling.go_on(self.lookout.tell),
            *looking,
        ]

    async def _follow_policy(self) -> None:
        """Bring into force what is due, and take over what is in force."""
        await plans.switch(self.at.privacy, self.at.telling, self.parts.clock.now())
        await self.at.follow()

    async def _send_mail(self) -> None:
        """Mail waits while no entry of the register lets it go to the relay; it ends in its own time."""
        mail = self.parts.mail
        if isinstance(mail, SmtpMail):
            mail.least = tls.least(self.at.vault.policy)
        if not isinstance(mail, SmtpMail) or await self.broker.is_open("mail", mail.host):
            await outbox.drain(self.at.keeper, self.at.vault, mail)

    async def _sweep(self) -> None:
        await plans.resume(self.at.keeper)
        await wishes.resume(self.at.keeper)
        swept = await retention.sweep(self.at.privacy, self.parts.clock.now())
        self.lookout.swept(swept)
        async with self.at.keeper.begin() as c:
            await allowances.sweep(c)
        while await self.chain.trim(self.at.keeper) == CHUNK_LINKS:
            pass
        if not self.parts.demo:
            await end_unconfirmed(self.at)
        if swept.clock_jump:
            structlog.get_logger().error("clock_jump", kind="no key is destroyed until: avow sweep --confirm-clock")

    async def _check_money(self) -> None:
        """Ask the ledger for what must never be; the proof page shows the same at the next look."""
        now = self.parts.clock.now()
        async with self.at.keeper.begin() as c:
            wrong = Counter(each.invariant for each in await invariants.violations(c, now))
            absorbed = await invariants.absorbed(c, now)
        for name, count in wrong.items():
            structlog.get_logger().error("money_wrong", kind=name, count=count)
        for each in self.absorbed_news.of(absorbed, now):
            structlog.get_logger().error("money_absorbed", model=each.model, nano=each.nano)

    async def _look_if_due(self) -> None:
        """Look with each probe in its time; under a policy that is new, its sentences wait for no older round."""
        under, now_s = self.at.vault.policy.hash, asyncio.get_running_loop().time()
        if under != self._looked_under:
            self._looked_under, self._looked_at_s = under, {}
        due = [
            name for name in await self.at.looks() if now_s >= self._looked_at_s.get(name, -DAILY_S) + _every_s(name)
        ]
        if due:
            self._looked_at_s |= dict.fromkeys(due, now_s)
            await self._look(due)

    async def _look_now(self) -> None:
        """All of them, because somebody at the desk asked."""
        await self._look(await self.at.looks())

    async def _look(self, names: Sequence[str]) -> None:
        async for found in self.at.look(names):
            if found.verdict == "failed":
                structlog.get_logger().error("probe_failed", probe=found.probe, verdict=found.verdict)

    async def _link_record(self) -> None:
        while await self.chain.extend(self.at.keeper) == CHUNK_ROWS:
            pass

    async def _sign_log(self) -> None:
        while await self.log.extend(self.at.keeper) == PUBLISHED_ROWS:
            pass

    async def _remember(self) -> None:
        """Write down what a restore may not take back, beside the ring and in every backup folder."""
        privacy = self.at.privacy
        if await memory.write_down(privacy):
            await folders.tell(privacy.database, privacy.tombstones, privacy.newest)

    async def _recover(self) -> None:
        """Look for holds that a dead worker left: at once when one was reaped, and every 30 s."""
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self.reaped.fileno(), told.set)
        try:
            while True:
                dead = [pid for name, pid in self.reaped.take() if name.startswith("worker")]
                told.clear()
                self.lookout.recovered(await self.recovery.run(dead))
                await _pause(told, RECOVER_S)
        finally:
            loop.remove_reader(self.reaped.fileno())

    async def _look_at_figures(self) -> None:
        await self.lookout.look(self.at.vault.policy)

    async def _look_at_documents(self) -> None:
        """What ran out or was changed is told to the desk and to the history; the proof page learns of it at once."""
        if await documents.look(self.parts.shelf(self.at.keeper)):
            async for found in self.at.look([EVIDENCE_PROBE]):
                if found.verdict != "attested":
                    structlog.get_logger().error("claim_lapsed", probe=found.probe, verdict=found.verdict)

    async def _have_sums_made(self) -> None:
        async with self.at.keeper.begin() as c:
            await jobs.put(c, sums.SUMS_JOB, SUMS_ID)

    async def _make_sums(self) -> None:
        """As a role that can read nothing about anybody, over a connection that lives as long as the work."""
        analyst = Database(self.parts.dsn(access.ANALYST), pool_size=1, statement_timeout_s=sums.STATEMENT_S_MAX)
        try:
            await sums.make(analyst, self.at.vault.policy, self.parts.clock.now())
        finally:
            await analyst.close()

    async def _end_logs(self) -> None:
        await asyncio.to_thread(log.sweep, self.parts.home / "log", self.parts.clock.now() - log.KEPT)


async def end_unconfirmed(at: Desk) -> int:
    """End the sign-ups that nobody confirmed in time; gives how many. Only where an address must be confirmed."""
    async with at.keeper.begin() as c:
        lapsed = await unconfirmed.lapsed(c, at.accounts.policy, at.parts.clock.now())
    for subject_id in lapsed:
        await erase.lapse(at.privacy, subject_id)
    return len(lapsed)


async def _every(seconds: float, name: str, act: Callable[[], Awaitable[None]], after: float = 0) -> None:
    """Do something again and again, first after `after` seconds; a failure is written down and not the end."""
    await asyncio.sleep(after)
    while True:
        try:
            await act()
        except asyncio.CancelledError:
            raise
        except Exception as wrong:
            structlog.get_logger().error("keeper_failed", kind=name, **log.failure(wrong))
        await asyncio.sleep(seconds)


def _every_s(probe: str) -> int:
    return DAILY_S if probe in probes.DAILY else HOURLY_S


async def _done(work: Awaitable[object]) -> None:
    """A job's handler answers nothing."""
    await work


async def _pause(stop: asyncio.Event, seconds: float) -> bool:
    """Wait, at most until asked to stop; says whether that came."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
