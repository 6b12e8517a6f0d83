"""The figures of `/metrics`: which there are, and what each process tells of itself once a second (the keeper: of the database,
every few seconds). How they are counted and added up: `base.metrics`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts.passwords import Passwords
from avow.base import jobs, log, metrics
from avow.base.clock import Clock
from avow.base.db import Database
from avow.base.metrics import Family, Sheet, Slip
from avow.billing import figures as of_ledger
from avow.billing.holds import Recovered
from avow.billing.ledger import Batcher
from avow.billing.tables import wallet_hold
from avow.catalog import facts
from avow.gateway import spans, watch
from avow.gateway.completion import Gateway
from avow.policy import Policy
from avow.privacy import figures as of_privacy
from avow.privacy.retention import Swept
from avow.proof import evidence
from avow.vault.tables import outbox

TELL_S = 1.0
LOOK_S = 15.0
_STATM = Path("/proc/self/statm")

FAMILIES = (
    *watch.FAMILIES,
    *of_ledger.FAMILIES,
    *spans.FAMILIES,
    Family("avow_running", "gauge", "Requests to /v1 under way."),
    *watch.UPSTREAMS,
    Family("avow_visits_total", "counter", "Public pages and visits of those who let them be counted.", ("what",)),
    Family(
        "avow_http_requests_total",
        "counter",
        "Requests to pages and to /api, by the class of their status.",
        ("status",),
    ),
    Family("avow_passwords_waiting", "gauge", "Passwords that are being hashed or wait for it."),
    Family("avow_process_resident_bytes", "gauge", "Memory that a process holds.", ("process",), largest=True),
    Family("avow_process_cpu_seconds_total", "counter", "Processor time.", ("process",)),
    Family("avow_process_tasks", "gauge", "Tasks of a process's loop.", ("process",), largest=True),
    Family("avow_holds", "gauge", "Money reserved for requests under way.", ("state",)),
    Family("avow_holds_recovered_total", "counter", "Holds of dead processes that were ended.", ("how",)),
    Family("avow_jobs", "gauge", "Jobs in the queue by state; a failed one waits for the operator.", ("state",)),
    Family("avow_job_late_seconds", "gauge", "How long the job that is due longest has waited."),
    Family("avow_mail", "gauge", "Messages in the outbox.", ("state",)),
    *of_privacy.FAMILIES,
    Family(
        "avow_probe",
        "gauge",
        "1 for the verdict that a probe came to last, of the policy in force.",
        ("probe", "verdict"),
    ),
    Family(
        "avow_probe_at_seconds", "gauge", "When a probe looked last, in seconds since 1970.", ("probe",), largest=True
    ),
)


def collect(home: Path) -> Sheet:
    """The figures of all processes, at most a second or so old."""
    return metrics.collect(home / "run" / metrics.FOLDER, FAMILIES)


class Telling:
    """Leaves the figures of this process in its file, on top of those of the process before it in its place."""

    def __init__(self, home: Path, place: str) -> None:
        self._place = place
        self._slip = Slip(home / "run" / metrics.FOLDER, place)
        self._before = self._slip.before()

    async def go_on(self, tell: Callable[[Sheet], None]) -> None:
        """Each second, until it is cancelled."""
        while True:
            sheet = Sheet(FAMILIES)
            sheet.take(self._before, gauges=False)
            tell(sheet)
            _tell_process(sheet, self._place)
            try:
                await asyncio.to_thread(self._slip.write, sheet)
            except OSError as wrong:
                structlog.get_logger().warning("figures_not_written", **log.failure(wrong))
            await asyncio.sleep(TELL_S)


def tell_worker(
    sheet: Sheet,
    gateway: Gateway,
    batcher: Batcher,
    passwords: Passwords,
    pages: Mapping[int, int],
    visits: Mapping[str, int],
) -> None:
    """What a gateway process tells. `pages`: answers of the platform by the class of their status; `visits`: of the site, of
    those who let them be counted."""
    gateway.watch.tell(sheet)
    batcher.tell(sheet)
    if gateway.spans is not None:
        gateway.spans.tell(sheet)
    sheet.set("avow_running", (), gateway.running)
    for name, health in gateway.fleet.healths():
        sheet.set("avow_upstream_running", (name,), health.in_flight)
        sheet.set("avow_upstream_open", (name,), health.is_open)
        sheet.set("avow_upstream_call_seconds", (name,), health.call_s)
    for status, count in pages.items():
        sheet.add("avow_http_requests_total", (f"{status}xx",), count)
    for what, count in visits.items():
        sheet.add("avow_visits_total", (what,), count)
    sheet.set("avow_passwords_waiting", (), passwords.waiting)


def _tell_process(sheet: Sheet, place: str) -> None:
    pages = int(_STATM.read_text().split()[1])
    sheet.set("avow_process_resident_bytes", (place,), pages * os.sysconf("SC_PAGESIZE"))
    sheet.add("avow_process_cpu_seconds_total", (place,), sum(os.times()[:2]))
    sheet.set("avow_process_tasks", (place,), len(asyncio.all_tasks()))


class Lookout:
    """What the keeper tells: what it did, and what it saw in the database last."""

    def __init__(self, keeper: Database, clock: Clock) -> None:
        self._keeper, self._clock = keeper, clock
        self._seen = Sheet(FAMILIES)
        self._did = Sheet(FAMILIES)

    def tell(self, sheet: Sheet) -> None:
        """Write the figures on a sheet."""
        sheet.take(self._did.rows())
        sheet.take(self._seen.rows())

    def swept(self, done: Swept) -> None:
        """A sweep has ended."""
        self._did.add("avow_sweeps_total", ())
        self._did.set("avow_sweep_at_seconds", (), self._clock.now().timestamp())
        self._did.set("avow_clock_refused", (), done.clock_jump)
        for store, count in done.ended.items():
            self._did.add("avow_ended_total", (store,), count)

    def recovered(self, found: Recovered) -> None:
        """A pass over dead processes has ended."""
        for how, count in (("told", found.replayed), ("crashed", found.crashed)):
            self._did.add("avow_holds_recovered_total", (how,), count)

    async def look(self, policy: Policy) -> None:
        """Look at the database; what is seen counts until the next look."""
        seen = Sheet(FAMILIES)
        async with self._keeper.begin() as c:
            await self._look_at_holds(c, seen)
            await self._look_at_queues(c, seen)
            await self._look_at_ends(c, seen)
            for category, since in (await of_privacy.oldest(c, policy)).items():
                seen.set(of_privacy.OLDEST_AT, (category,), since.timestamp())
            for found in await evidence.latest(c, policy.hash, self._clock.now()):
                probe = found.probe.partition(".")[0]
                seen.set("avow_probe", (probe, found.verdict), 1)
                seen.set("avow_probe_at_seconds", (probe,), found.at.timestamp())
        self._seen = seen

    async def _look_at_holds(self, c: AsyncConnection, seen: Sheet) -> None:
        late = func.count().filter(wallet_hold.c.expires_at < self._clock.now())
        every, overdue = (await c.execute(select(func.count(), late).select_from(wallet_hold))).one()
        seen.set("avow_holds", ("open",), every - overdue)
        seen.set("avow_holds", ("overdue",), overdue)

    async def _look_at_queues(self, c: AsyncConnection, seen: Sheet) -> None:
        for state, count in (await jobs.counts(c)).items():
            seen.set("avow_jobs", (state,), count)
        seen.set("avow_job_late_seconds", (), await jobs.late_s(c))
        states = select(outbox.c.state, func.count()).group_by(outbox.c.state)
        for state, count in await c.execute(states):
            seen.set("avow_mail", (state,), count)

    async def _look_at_ends(self, c: AsyncConnection, seen: Sheet) -> None:
        now = self._clock.now()
        tables = dict.fromkeys(table for table, _ in facts())
        ends = [await c.scalar(select(func.min(table.c.ends_at))) for table in tables]
        late = max(((now - end).total_seconds() for end in ends if end is not None), default=0.0)
        seen.set("avow_ending_late_seconds", (), max(0.0, late))
