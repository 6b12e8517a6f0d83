"""What a dead worker leaves behind is settled; a live one is left alone."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from uuid import UUID

from avow.accounts.limits import Limits
from avow.base.clock import SystemClock
from avow.billing import allowances, invariants
from avow.billing.events import Settle
from avow.billing.holds import Recovered, Recovery
from avow.billing.ledger import LANES, LOCK_CLASS, Batcher
from avow.billing.spool import Spool
from tests.billing.conftest import COMPLETION, NOW, Bank, Payer, settle


class Monotonic:
    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s


def recovery(bank: Bank, monotonic: Monotonic | None = None) -> Recovery:
    return Recovery(
        bank.databases.keeper.raw, Later(), bank.spool, functions=COMPLETION, monotonic=monotonic or Monotonic()
    )


class Later(SystemClock):
    """A keeper's clock two minutes ahead, so that every heartbeat is old."""

    def now(self) -> datetime:
        return super().now() + timedelta(minutes=2)


async def dead_epoch(bank: Bank) -> int:
    """A worker that has begun and beats no more."""
    writer = await bank.databases.writer.raw()
    epoch: int = await writer.fetchval("SELECT worker_begin($1, 4711)", SystemClock().now())
    await writer.close()
    return epoch


async def left_behind(bank: Bank, payer: Payer, epoch: int, tokens: tuple[int, int, int] | None) -> UUID:
    """A hold of a dead worker, with its last checkpoint if a first byte was sent."""
    opened = payer.open(10_000, expires_at=SystemClock().now() + timedelta(hours=1))
    async with bank.batcher() as ledger:
        await ledger.open(opened)
    await bank.admin.execute("UPDATE wallet_hold SET worker_epoch = $2 WHERE id = $1", opened.request_id, epoch)
    if tokens:
        await bank.admin.execute(
            "UPDATE wallet_hold SET first_byte = true, input_tokens = $2, cached_tokens = $3, output_tokens = $4"
            " WHERE id = $1",
            opened.request_id,
            *tokens,
        )
    return opened.request_id


async def test_a_reaped_workers_holds_are_charged_by_checkpoint_at_once(bank: Bank) -> None:
    payer, epoch = await bank.payer(100_000), await dead_epoch(bank)
    streamed = await left_behind(bank, payer, epoch, (100, 40, 50))
    silent = await left_behind(bank, payer, epoch, None)
    assert await recovery(bank).run(reaped={4711}) == Recovered(crashed=2)
    usage = {r["id"]: r for r in await bank.admin.fetch("SELECT * FROM usage")}
    charged = dict(await bank.admin.fetch("SELECT id, amount FROM charge"))
    assert charged == {streamed: 60 * 1 + 20 + 50 * 3, silent: 0}
    assert {u["why"] for u in usage.values()} == {"crash_recovered"} and usage[streamed]["output_tokens"] == 50
    assert await bank.wallet(payer) == (100_000 - charged[streamed], 0)
    assert await bank.admin.fetchval("SELECT count(*) FROM worker_epoch WHERE epoch = $1", epoch) == 0


async def test_what_a_dead_worker_ran_runs_no_more(bank: Bank) -> None:
    payer, epoch = await bank.payer(100_000), await dead_epoch(bank)
    await bank.limit(payer, parallel=1)
    async with bank.databases.keeper.begin() as c:
        await allowances.put(c, "organisation", payer.tenant_id, Limits(parallel=1))
    for tokens in (None, (100, 40, 50)):
        await left_behind(bank, payer, epoch, tokens)
        assert (await recovery(bank).run(reaped={4711})).crashed == 1
        epoch = await dead_epoch(bank)
    async with bank.batcher() as ledger:
        await ledger.open(payer.open(10))
        async with bank.databases.keeper.begin() as c:
            assert await invariants.violations(c, NOW) == []


async def test_a_silent_worker_is_dead_only_after_its_lock_was_free_for_twenty_seconds(bank: Bank) -> None:
    payer, epoch = await bank.payer(100_000), await dead_epoch(bank)
    await left_behind(bank, payer, epoch, None)
    clock = Monotonic()
    keeper = recovery(bank, clock)
    assert (await keeper.run()).crashed == 0
    clock.s += 19
    assert (await keeper.run()).crashed == 0
    clock.s += 1
    assert (await keeper.run()).crashed == 1


async def test_a_worker_that_beats_again_is_alive_however_long_its_lock_was_free(bank: Bank) -> None:
    payer, epoch = await bank.payer(100_000), await dead_epoch(bank)
    await left_behind(bank, payer, epoch, None)
    clock = Monotonic()
    keeper = recovery(bank, clock)
    await keeper.run()
    clock.s += 60
    await bank.admin.execute("SELECT worker_beat($1, $2)", epoch, Later().now())
    assert (await keeper.run()).crashed == 0


async def test_a_live_worker_keeps_its_holds_and_its_lock_is_respected(bank: Bank) -> None:
    payer = await bank.payer(100_000)
    clock = Monotonic()
    keeper = recovery(bank, clock)
    async with bank.batcher() as ledger:
        opened = payer.open(500, expires_at=SystemClock().now() + timedelta(hours=1))
        await ledger.open(opened)
        assert (await keeper.run(reaped={os.getpid()})).crashed == 0
        clock.s += 60
        assert (await keeper.run(reaped={os.getpid()})).crashed == 0
        assert (await ledger.settle(settle(opened, 30))).charged == 30


async def test_a_dead_workers_spool_is_settled_as_it_was_told(bank: Bank) -> None:
    payer, epoch = await bank.payer(100_000), await dead_epoch(bank)
    told = await left_behind(bank, payer, epoch, (0, 0, 10))
    file = Spool(bank.spool, epoch)
    file.append([Settle(told, 90, 0, 0, 30, 5, 200, "done", extra=(NOW, b"box", False, False))])
    file.close()
    assert await recovery(bank).run(reaped={4711}) == Recovered(replayed=1)
    assert await bank.admin.fetchval("SELECT amount FROM charge WHERE id = $1", told) == 90
    assert await bank.admin.fetchval("SELECT box FROM trace WHERE id = $1", told) == b"box"
    assert not file.path.exists()


async def test_a_recovery_that_was_cut_off_can_run_again(bank: Bank) -> None:
    payer, epoch = await bank.payer(100_000), await dead_epoch(bank)
    told = await left_behind(bank, payer, epoch, (0, 0, 10))
    settled = Settle(told, 90, 0, 0, 30, 5, 200, "done", extra=(NOW, b"box", False, False))
    file = Spool(bank.spool, epoch)
    file.append([settled])
    file.close()
    async with bank.batcher(functions=COMPLETION) as ledger:  # what the first attempt had done
        await ledger.settle(settled)
    assert (await recovery(bank).run(reaped={4711})).replayed == 1
    assert await bank.wallet(payer) == (100_000 - 90, 0)


async def test_a_hold_past_its_time_is_reported_and_not_freed(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher() as ledger:
        await ledger.open(payer.open(100, expires_at=NOW - timedelta(days=1)))
        assert (await recovery(bank).run()).overdue == 1
    assert await bank.wallet(payer) == (1_000, 100)


async def test_streams_are_checkpointed_at_their_first_byte_and_every_256_tokens(bank: Bank) -> None:
    payer = await bank.payer(100_000)

    async def told(ledger: Batcher, request: UUID) -> tuple[bool, int]:
        # Any later answer comes after the checkpoints that were due before it.
        await ledger.open(payer.open(1))
        row = await bank.admin.fetchrow("SELECT first_byte, output_tokens FROM wallet_hold WHERE id = $1", request)
        return row["first_byte"], row["output_tokens"]

    async with bank.batcher() as ledger:
        opened = payer.open(10_000)
        await ledger.open(opened)
        assert await told(ledger, opened.request_id) == (False, 0)
        come = 0
        assert ledger.progress(opened.request_id, lambda: (100, 0, come)) == 256
        assert await told(ledger, opened.request_id) == (True, 0)
        come = 256
        assert ledger.progress(opened.request_id, lambda: (100, 0, come)) == 512
        assert await told(ledger, opened.request_id) == (True, 256)
        come = 300  # of which nobody says a word
        while await told(ledger, opened.request_id) != (True, 300):  # in time, however few tokens
            pass
        assert ledger.progress(opened.request_id, lambda: (100, 0, come)) == 556
        assert (await ledger.settle(settle(opened, 900))).charged == 900


async def test_a_stream_that_cannot_say_how_far_it_is_keeps_no_other_from_the_ledger(bank: Bank) -> None:
    payer = await bank.payer(100_000)
    tells = True

    def seen() -> tuple[int, int, int]:
        if not tells:
            raise ZeroDivisionError
        return 100, 0, 7

    async with bank.batcher() as ledger:
        opened, other = payer.open(10_000), payer.open(10_000)
        await ledger.open(opened)
        ledger.progress(opened.request_id, seen)
        await ledger.open(other)
        tells = False
        query = "SELECT output_tokens FROM wallet_hold WHERE id = $1"
        for _ in range(3):
            ledger._due.add(opened.request_id)
            assert (await ledger.settle(settle(other, 900))).charged == 900
            other = payer.open(10_000)
            await ledger.open(other)
        assert await bank.admin.fetchval(query, opened.request_id) == 7
        assert ledger.ready and (await ledger.settle(settle(opened, 900))).charged == 900
        assert (await ledger.settle(settle(other, 900))).charged == 900


async def test_a_session_that_may_yet_place_a_hold_keeps_its_worker_from_being_ended(bank: Bank) -> None:
    payer, epoch = await bank.payer(100_000), await dead_epoch(bank)
    await left_behind(bank, payer, epoch, None)
    for lane in range(LANES):
        session = await bank.databases.writer.raw()
        await session.execute("SELECT pg_advisory_lock($1, $2)", LOCK_CLASS + lane, epoch)
        assert await recovery(bank).run(reaped={4711}) == Recovered()
        await session.close()
    assert await recovery(bank).run(reaped={4711}) == Recovered(crashed=1)
