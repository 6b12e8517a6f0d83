"""The batcher: many requests' money events, one SQL call at a time.

There are two lanes, each a connection with one batch on it. The first sends as soon as it is free and has rested for a
millisecond, for which nobody waits who is alone; so a batch is as large as the load makes it. The second helps when much waits,
so that PostgreSQL works on one batch while the other is made durable or taken apart here. A batch whose answer was lost is sent
again as it was until it is answered; the SQL makes that harmless.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import asyncpg
import structlog

from avow.base.clock import Clock
from avow.base.metrics import Sheet
from avow.billing import refusals
from avow.billing.calls import Batch, Calls, Waiting, nobody
from avow.billing.events import Functions, Open, Opened, Settle, Settled
from avow.billing.figures import Figures
from avow.billing.refusals import LedgerUnavailable
from avow.billing.spool import Spool

log = structlog.get_logger()

EVENTS_MAX = 1_000
QUEUE_MAX = 20_000
TICK_S = 0.05
BEAT_S = 5.0
CHECKPOINT_S = 1.0
CHECKPOINT_TOKENS = 256
LANES = 2
SHARED_EVENTS_MIN = 64  # fewer go by one lane: a small batch costs PostgreSQL nearly as much as a large one
REST_S = 0.001
LOCK_CLASS = 7261  # of the first lane; the others follow
_RETRY_S = (0.02, 0.05, 0.1, 0.2, 0.5)

Connect = Callable[[], Awaitable[asyncpg.Connection]]
Seen = Callable[[], tuple[int, int, int]]
Opening = Waiting[Open, Opened | Exception]
Settling = Waiting[Settle, Settled]
A = TypeVar("A")


class _Stream:
    """How far a stream has come: what tells its tokens (input, cached, output), and those last told to the ledger."""

    __slots__ = ("seen", "told")

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.told = (-1, -1, -1)

    def looked_at(self) -> tuple[int, int, int]:
        """How far it has come now; as it was told last, where whoever tells it fails: that must not end the ledger's work."""
        try:
            return self.seen()
        except Exception as wrong:
            log.error("stream_not_told", error=type(wrong).__name__)
            return self.told if self.told[2] >= 0 else (0, 0, 0)


class _Lane:
    """A connection and the batch on it."""

    __slots__ = ("busy", "calls", "connection", "number", "resting", "wake")

    def __init__(self, number: int) -> None:
        self.number = number
        self.connection: asyncpg.Connection | None = None
        self.calls: Calls | None = None
        self.busy = self.resting = False
        self.wake = asyncio.Event()


class Batcher:
    """A worker's way to the ledger. Start it after the fork, in the worker's loop.

    `connect` gives a connection of role `avow_writer`, which the batcher owns; `spool_folder` is `run/spool` in AVOW_HOME.
    An open that is not durable within `wait_s_max` fails with `LedgerUnavailable`, and is voided should it succeed later.
    `policy_epoch` is the newest epoch that any answer brought (0 before the first), `epoch` this worker's own number.
    """

    def __init__(
        self,
        connect: Connect,
        clock: Clock,
        spool_folder: Path,
        *,
        functions: Functions | None = None,
        wait_s_max: float = 1.0,
        queue_max: int = QUEUE_MAX,
        rest_s: float = REST_S,
    ) -> None:
        self.epoch: int | None = None
        self.policy_epoch = 0
        self._connect_raw, self._clock, self._folder = connect, clock, spool_folder
        self._functions = functions or Functions()
        self._wait_s_max, self._queue_max, self._rest_s = wait_s_max, queue_max, rest_s
        self._lanes = [_Lane(number) for number in range(LANES)]
        self._opens: deque[Opening] = deque()
        self._settles: deque[Settling] = deque()
        self._young_opens: deque[Opening] = deque()
        self._young_settles: deque[Settling] = deque()
        self._held: dict[bytes, int] = {}  # by the bytes of the id: its own hash costs ten of theirs
        self._streams: dict[UUID, _Stream] = {}
        self._due: set[UUID] = set()
        self._spool: Spool | None = None
        self._spooled = 0
        self._figures = Figures()
        self._down = True
        self._beat_due = True
        self._closing = self._ended = False
        self._disk, self._beginning = asyncio.Lock(), asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def ready(self) -> bool:
        """Whether the ledger answers."""
        return not self._down and not any(task.done() for task in self._tasks)

    def tell(self, sheet: Sheet) -> None:
        """Write the figures of this worker's ledger on a sheet."""
        self._figures.tell(sheet, len(self._opens) + len(self._settles), self._spooled, self.ready)

    def start(self) -> None:
        """Connect, and begin to work; does not wait for PostgreSQL."""
        self._loop = asyncio.get_running_loop()
        self._nudge()
        self._tasks = [
            *(asyncio.create_task(self._run(lane)) for lane in self._lanes),
            asyncio.create_task(self._tick()),
        ]

    async def open(self, event: Open) -> Opened:
        """Return when the hold is durable.

        Raises `BalanceShort` and `BudgetExceeded` (with what could be had), `RateExceeded`, `KeyRefused`, `WalletFrozen`,
        `RequestSettled`, `LedgerUnavailable`. A caller that is cancelled leaves no hold behind.
        """
        future: asyncio.Future[Opened] = self._loop.create_future()
        waiting = self.opening(event, partial(_end, future))
        try:
            return await future
        except asyncio.CancelledError:
            if waiting.over and event.request_id.bytes in self._held:  # it came while the caller was told to leave
                self._void(event)
            waiting.over = True
            raise

    def opening(self, event: Open, told: Callable[[Opened | Exception], object]) -> Opening:
        """As `open`, for who does not await: `told` is called with what `open` returns or raises, in a later turn of the loop.
        Raises `LedgerUnavailable` where nothing more can wait."""
        event.check()
        if len(self._opens) >= self._queue_max or self._closing or not self._tasks or self._tasks[0].done():
            raise LedgerUnavailable
        waiting: Opening = Waiting(event, told, self._loop.time())
        self._opens.append(waiting)
        self._young_opens.append(waiting)
        self._nudge()
        return waiting

    async def settle(self, event: Settle) -> Settled:
        """Return when the charge is durable. Never fails and is never dropped, also when the caller is cancelled."""
        future: asyncio.Future[Settled] = self._loop.create_future()
        self.settling(event, partial(_end, future))
        return await future

    def settling(self, event: Settle, told: Callable[[Settled], object]) -> None:
        """As `settle`, for who does not await: `told` is called when the charge is durable."""
        event.check()
        self._enqueue(event, told)

    def progress(self, request_id: UUID, seen: Seen) -> int:
        """Say that a stream has come on. Told to the ledger every second or 256 tokens: `seen` is asked for its tokens (input,
        cached, output) then, until it is settled. Returns at how many of its output this wants to be called again.

        The first call says that the first byte was sent: from then on a crash is charged by the last checkpoint.
        """
        stream = self._streams.get(request_id)
        if stream is None:
            stream = self._streams[request_id] = _Stream(seen)
        told, output_tokens = stream.told[2], seen()[2]
        if told < 0 or output_tokens - told >= CHECKPOINT_TOKENS:
            self._due.add(request_id)
            self._nudge()
            told = output_tokens
        return told + CHECKPOINT_TOKENS

    async def close(self, drain_s_max: float = 10.0) -> None:
        """Finish what waits; what PostgreSQL does not take in time goes to the spool."""
        self._closing = True
        self._nudge()
        if not self._tasks:
            return
        *flushers, ticker = self._tasks
        for lane in self._lanes:
            lane.wake.set()
        await asyncio.wait(flushers, timeout=drain_s_max)
        for flusher in flushers:
            flusher.cancel()
        self._ended = True
        await asyncio.gather(*flushers, ticker, return_exceptions=True)
        self._fail_late(self._loop.time())
        await self._spool_late(self._loop.time())
        for lane in self._lanes:
            if lane.connection is not None:
                await lane.connection.close(timeout=2)
        if self._spool is not None:
            self._spool.close()

    # -- flushing

    def _nudge(self) -> None:
        """Wake the first lane that is free, if enough waits for it."""
        first, second = self._lanes
        if not first.busy or (first.resting and not self._may_grow()):
            first.wake.set()
        elif not second.busy and len(self._opens) + len(self._settles) >= SHARED_EVENTS_MIN:
            second.wake.set()

    async def _run(self, lane: _Lane) -> None:
        while not (self._closing and self._is_over(lane)):
            await lane.wake.wait()
            lane.wake.clear()
            while await self._flush(lane):
                await self._rest(lane)
            lane.busy = False
            if self._closing:
                self._lanes[0].wake.set()

    async def _flush(self, lane: _Lane) -> bool:
        """Send what waits. Nothing here holds on to it then: its memory serves the next requests while it is hot."""
        batch = self._take(lane)
        if batch is None:
            return False
        lane.busy = True
        self._nudge()  # what this lane left may be enough for the next
        await self._deliver(lane, batch)
        self._forget()
        return True

    def _forget(self) -> None:
        """What was answered cannot be late any more."""
        opens, settles = self._young_opens, self._young_settles
        while opens and opens[0].over:
            opens.popleft()
        while settles and settles[0].over:
            settles.popleft()

    def _may_grow(self) -> bool:
        """Whether a batch would be larger a little later: some of those that hold money have not come back to settle, and what
        waits is not worth a second lane. A request that is alone waits for nobody."""
        waiting = len(self._settles)
        return len(self._held) > waiting and len(self._opens) + waiting < SHARED_EVENTS_MIN and not self._closing

    async def _rest(self, lane: _Lane) -> None:
        """After a batch leave PostgreSQL alone for a moment if more is sure to come soon: a small batch costs it, and us, nearly
        as much as a large one."""
        if lane.number or not self._may_grow():
            return
        lane.resting = True
        timer = self._loop.call_later(self._rest_s, lane.wake.set)
        await lane.wake.wait()
        lane.wake.clear()
        timer.cancel()
        lane.resting = False

    def _is_over(self, lane: _Lane) -> bool:
        """The first lane goes last: an answer to another's batch may leave a hold to void."""
        left = self._opens or self._settles or any(other.busy for other in self._lanes[1:])
        return lane.number > 0 or not left

    def _share(self, lane: _Lane) -> int:
        """How many of the waiting events a lane takes: all, or half of many when the other is free."""
        first, second = self._lanes
        waiting = len(self._opens) + len(self._settles)
        if lane is second:
            return EVENTS_MAX if first.busy and waiting >= SHARED_EVENTS_MIN else 0
        return EVENTS_MAX if second.busy else min(EVENTS_MAX, max(SHARED_EVENTS_MIN, (waiting + 1) // 2))

    def _take(self, lane: _Lane) -> Batch | None:
        """What waits; checkpoints go by the first lane only, so that none overtakes a later one."""
        share = self._share(lane)
        batch = Batch([], [], [])
        if len(self._settles) + len(self._opens) <= share:  # nearly always; one by one takes three times as long
            batch.settles += self._settles
            batch.opens += [waiting for waiting in self._opens if not waiting.over]
            self._settles.clear()
            self._opens.clear()
        else:
            self._take_some(batch, share)
        if lane.number:
            return batch if len(batch) else None
        for request_id in self._due:
            stream = self._streams[request_id]
            stream.told = stream.looked_at()
            batch.checkpoints.append((request_id, *stream.told))
        self._due.clear()
        beat, self._beat_due = self._beat_due, False
        return batch if beat or batch.opens or batch.settles or batch.checkpoints else None

    def _take_some(self, batch: Batch, share: int) -> None:
        while self._settles and len(batch.settles) < share:
            batch.settles.append(self._settles.popleft())
        while self._opens and len(batch.settles) + len(batch.opens) < share:
            waiting = self._opens.popleft()
            if not waiting.over:
                batch.opens.append(waiting)

    async def _deliver(self, lane: _Lane, batch: Batch) -> None:
        """Send the same batch until it is answered."""
        for attempt in itertools.count():
            try:
                if lane.calls is None:
                    await self._connect(lane)
                began_s = self._loop.time()
                await self._send(lane, batch)
                self._figures.sent(len(batch), self._loop.time() - began_s)
                self._down = False
                return
            except asyncpg.PostgresError as wrong:
                if (wrong.sqlstate or "")[:2] in ("22", "23", "42"):  # the data is wrong, not the connection
                    return await self._isolate(lane, batch, wrong)
            except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError):
                pass
            self._drop(lane)
            await asyncio.sleep(_RETRY_S[min(attempt, len(_RETRY_S) - 1)])

    async def _isolate(self, lane: _Lane, batch: Batch, wrong: asyncpg.PostgresError) -> None:
        """Find the event that spoils a batch by halving it; the others must not suffer."""
        if len(batch) > 1:
            for half in batch.halves():
                await self._deliver(lane, half)
            return
        log.error("ledger_event_refused", sqlstate=wrong.sqlstate)
        for waiting in batch.opens:
            waiting.end(LedgerUnavailable())
        # The hold stays and so does the record in the spool: money is not forgotten, somebody has to look.
        await self._keep(batch.settles)

    async def _connect(self, lane: _Lane) -> None:
        async with self._beginning:
            connection = await self._connect_raw()
            try:
                if self.epoch is None:
                    self.epoch = await connection.fetchval(
                        "SELECT worker_begin($1, $2)", self._clock.now(), os.getpid()
                    )
                    self._spool = Spool(self._folder, self.epoch)
                # A session that we lost may still be at work on the same batch: its end frees the lock.
                await connection.execute("SELECT pg_advisory_lock($1, $2)", LOCK_CLASS + lane.number, self.epoch)
                lane.calls = await Calls.prepare(connection, self._functions, self.epoch)
            except BaseException:
                connection.terminate()
                raise
        lane.connection = connection

    def _drop(self, lane: _Lane) -> None:
        self._down = True
        lane.calls = None
        if lane.connection is not None:
            lane.connection.terminate()
            lane.connection = None

    async def _send(self, lane: _Lane, batch: Batch) -> None:
        assert lane.calls is not None
        if not len(batch):
            await lane.calls.beat(self._clock.now())
            return
        answer = await lane.calls.send(batch)
        self.policy_epoch = answer.policy_epoch
        refused, rates, charged = answer.refused, answer.rates, answer.charged
        opened = Opened(answer.policy_epoch)
        for n, waiting in enumerate(batch.opens):
            event = waiting.event
            if n in refused:
                waiting.end(refusals.named(*refused[n], rates.get(n), event.at))
            elif waiting.over:
                self._void(event)
            else:
                self._held[event.request_id.bytes] = event.amount
                waiting.end(Opened(answer.policy_epoch, rates[n]) if n in rates else opened)
        for n, settle in enumerate(batch.settles):
            if settle.spooled:
                self._spooled -= 1
                settle.spooled = False
            self._answer(settle, (charged[n] or 0) if n in charged else settle.event.amount)

    def _answer(self, waiting: Settling, charged: int, *, spooled: bool = False) -> None:
        if waiting.over:
            return
        self._held.pop(waiting.event.request_id.bytes, None)
        if charged < waiting.event.amount:
            log.warning("charge_below_cost")
        waiting.end(Settled(charged, spooled))

    def _void(self, event: Open) -> None:
        """End a hold that nobody waits for any more."""
        self._enqueue(Settle(event.request_id, 0, 0, 0, 0, 0, 503, "void"), nobody)

    def _enqueue(self, event: Settle, told: Callable[[Settled], object]) -> None:
        if self._streams:
            self._streams.pop(event.request_id, None)
            self._due.discard(event.request_id)
        waiting: Settling = Waiting(event, told, self._loop.time())
        self._settles.append(waiting)
        self._young_settles.append(waiting)
        self._nudge()

    # -- time

    async def _tick(self) -> None:
        beaten = checked = self._loop.time()
        while not self._ended:
            await asyncio.sleep(TICK_S)
            now = self._loop.time()
            self._fail_late(now - self._wait_s_max)
            await self._spool_late(now if self._down else now - self._wait_s_max)
            if now - checked >= CHECKPOINT_S:
                checked = now
                self._due.update(i for i, stream in self._streams.items() if stream.told != stream.looked_at())
            if now - beaten >= BEAT_S:
                beaten, self._beat_due = now, True
            if self._due or self._beat_due:
                self._nudge()

    def _fail_late(self, limit: float) -> None:
        young = self._young_opens
        while young and (young[0].over or young[0].born <= limit):
            waiting = young.popleft()
            waiting.end(LedgerUnavailable())

    async def _spool_late(self, limit: float) -> None:
        late: list[Settling] = []
        young = self._young_settles
        while young and (young[0].over or young[0].born <= limit):
            waiting = young.popleft()
            if not waiting.over:
                late.append(waiting)
        if late:
            await self._keep(late)
        elif self._spool is not None and self._spool.filled and not self._spooled:
            async with self._disk:
                await asyncio.to_thread(self._spool.clear)

    async def _keep(self, settles: list[Settling]) -> None:
        """Make settles durable on this machine, and tell their callers."""
        if self._spool is None:  # never connected, so nothing was ever opened: these are voids of nothing
            return
        for waiting in settles:
            self._spooled += not waiting.spooled
            waiting.spooled = True
        try:
            async with self._disk:
                await asyncio.to_thread(self._spool.append, [w.event for w in settles])
        except OSError as wrong:
            log.error("spool_failed", error=type(wrong).__name__)
            self._young_settles.extendleft(reversed(settles))  # not told to anybody; tried again at the next tick
            return
        for waiting in settles:
            event = waiting.event
            charged = min(event.amount, self._held.get(event.request_id.bytes, event.amount))
            self._answer(waiting, charged, spooled=True)


def _end(future: asyncio.Future[A], answer: A | Exception) -> None:
    """Answer a caller that awaits, if it still does."""
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
