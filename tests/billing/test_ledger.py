"""What a request may hold and what it is charged, on the real ledger."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
import structlog

from avow.accounts.directory import KeyRefused
from avow.base.ids import uuid7
from avow.base.metrics import Sheet
from avow.billing.calls import Batch, Calls, Waiting, nobody, settling
from avow.billing.events import Open, Opened, Settle, Settled
from avow.billing.figures import FAMILIES
from avow.billing.ledger import SHARED_EVENTS_MIN
from avow.billing.refusals import BalanceShort, LedgerUnavailable, RequestSettled, WalletFrozen
from tests import LIMIT_S
from tests.billing.conftest import COMPLETION, NOW, Bank, gathered, settle

COUNTED_LATER = 120
_ROWS_READ = "SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) AS rows FROM pg_stat_xact_user_tables"


async def test_an_open_holds_and_a_settle_charges_and_frees_the_rest(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher() as ledger:
        opened = payer.open(300)
        assert (await ledger.open(opened)).policy_epoch == 7
        assert await bank.wallet(payer) == (1_000, 300)
        assert (await ledger.settle(settle(opened, 90))).charged == 90
    assert await bank.wallet(payer) == (910, 0)
    charge = await bank.admin.fetchrow("SELECT * FROM charge")
    usage = await bank.admin.fetchrow("SELECT * FROM usage")
    assert (charge["id"], charge["amount"], charge["held"], charge["absorbed"]) == (opened.request_id, 90, 300, 0)
    assert (usage["key_id"], usage["model"], usage["output_tokens"], usage["why"]) == (payer.key_id, "smol", 30, "done")
    assert (charge["subject_id"], usage["tenant_id"]) == (payer.subject_id, payer.tenant_id)
    assert (charge["ends_at"], usage["ends_at"]) == (opened.money_ends_at, opened.usage_ends_at)


async def test_a_charge_never_exceeds_its_hold_and_the_excess_is_counted(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher() as ledger:
        opens = [payer.open(300), payer.open(300), payer.open(300)]
        await asyncio.gather(*map(ledger.open, opens))
        assert (await ledger.settle(settle(opens[0], 450))).charged == 300
        assert [s.charged for s in await asyncio.gather(*(ledger.settle(settle(o, 450)) for o in opens[1:]))] == [
            300,
            300,
        ]
    assert await bank.wallet(payer) == (100, 0)
    assert await bank.admin.fetchval("SELECT sum(absorbed) FROM charge") == 450


async def test_p09_many_events_at_once_go_through_the_batch_and_all_are_kept(bank: Bank) -> None:
    payers = [await bank.payer(10_000) for _ in range(5)]
    async with bank.batcher() as ledger:
        opens = [p.open(100) for p in payers for _ in range(20)]
        assert [o.policy_epoch for o in await asyncio.gather(*map(ledger.open, opens))] == [7] * 100
        for payer in payers:
            assert await bank.wallet(payer) == (10_000, 2_000)
        settled = await asyncio.gather(*(ledger.settle(settle(o, 30)) for o in opens))
        assert [s.charged for s in settled] == [30] * 100
    for payer in payers:
        assert await bank.wallet(payer) == (9_400, 0)


async def test_a_hold_ends_with_its_money_however_it_was_placed(bank: Bank) -> None:
    """Alone, with others for which there is enough, and with one for which there is not."""
    rich, poor = await bank.payer(10_000), await bank.payer(500)
    later = [NOW + timedelta(days=days) for days in range(100, 106)]
    opens = [rich.open(100, money_ends_at=end) for end in later[:4]] + [
        poor.open(300, money_ends_at=end) for end in later[4:]
    ]
    async with bank.batcher() as ledger:
        await ledger.open(opens[0])
        await asyncio.gather(*map(ledger.open, opens[1:4]))
        tried = await gathered(*map(ledger.open, opens[4:]))
    assert [isinstance(each, BalanceShort) for each in tried] == [False, True]
    rows = await bank.admin.fetch("SELECT id, ends_at FROM wallet_hold")
    assert {row["id"]: row["ends_at"] for row in rows} == {each.request_id: each.money_ends_at for each in opens[:5]}


async def test_a_hot_wallet_runs_exactly_as_many_requests_as_it_affords(bank: Bank) -> None:
    payer = await bank.payer(1_050)
    async with bank.batcher() as one, bank.batcher() as other:
        tried = await gathered(*((one, other)[n % 2].open(payer.open(100)) for n in range(300)))
    refused = [e for e in tried if isinstance(e, BalanceShort)]
    assert len(tried) - len(refused) == 10
    assert await bank.wallet(payer) == (1_050, 1_000)
    assert all(e.affordable == 50 for e in refused[-50:])


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in a batch"])
async def test_a_short_balance_says_what_it_affords(bank: Bank, alone: bool) -> None:
    payer, rich = await bank.payer(500), await bank.payer(500)
    async with bank.batcher() as ledger:
        await ledger.open(payer.open(200))
        short, *_ = await gathered(ledger.open(payer.open(301)), *([] if alone else [ledger.open(rich.open(1))]))
        assert isinstance(short, BalanceShort)
        assert (short.affordable, short.status) == (300, 402)
        assert "0.000000300" in short.sentence


async def test_one_big_request_does_not_deny_the_small_ones_after_it(bank: Bank) -> None:
    payer = await bank.payer(100)
    async with bank.batcher() as ledger:
        amounts = [60, 90, 30, 20, 10]
        tried = await gathered(*(ledger.open(payer.open(a)) for a in amounts))
    assert [isinstance(t, BalanceShort) for t in tried] == [False, True, False, True, False]
    assert await bank.wallet(payer) == (100, 100)


@pytest.mark.parametrize("alone", [True, False], ids=["alone", "in a batch"])
async def test_a_revoked_expired_or_unknown_key_opens_nothing_from_the_next_event_on(bank: Bank, alone: bool) -> None:
    payer, other = await bank.payer(1_000), await bank.payer(1_000)
    expired = await bank.payer(1_000, key_expires_at=NOW)
    async with bank.batcher() as ledger:
        running = payer.open(100)
        await ledger.open(running)
        await bank.admin.execute("UPDATE api_key SET state = 'revoked' WHERE id = $1", payer.key_id)
        for bad in (payer.open(1), expired.open(1), payer.open(1, key_id=uuid7())):
            refused, *_ = await gathered(ledger.open(bad), *([] if alone else [ledger.open(other.open(1))]))
            assert isinstance(refused, KeyRefused)
        # What runs is settled: the key was good when the money was promised.
        assert (await ledger.settle(settle(running, 30))).charged == 30
    assert await bank.wallet(payer) == (970, 0)


async def test_a_frozen_wallet_opens_nothing(bank: Bank) -> None:
    payer, other = await bank.payer(1_000), await bank.payer(1_000)
    await bank.admin.execute("UPDATE wallet SET state = 'frozen' WHERE id = $1", payer.wallet_id)
    async with bank.batcher() as ledger:
        tried = await gathered(ledger.open(payer.open(1)), ledger.open(other.open(1)))
        assert isinstance(tried[0], WalletFrozen) and not isinstance(tried[1], Exception)
        assert isinstance((await gathered(ledger.open(payer.open(1))))[0], WalletFrozen)


async def test_a_key_never_spends_the_money_of_another_tenant(bank: Bank) -> None:
    payer, other = await bank.payer(1_000), await bank.payer(1_000)
    await bank.admin.execute("UPDATE api_key SET wallet_id = $1 WHERE id = $2", other.wallet_id, payer.key_id)
    async with bank.batcher() as ledger:
        assert isinstance((await gathered(ledger.open(payer.open(1))))[0], WalletFrozen)
        tried = await gathered(ledger.open(payer.open(1)), ledger.open(other.open(1)))
        assert isinstance(tried[0], WalletFrozen) and not isinstance(tried[1], Exception)
    assert (await bank.wallet(payer), await bank.wallet(other)) == ((1_000, 0), (1_000, 1))


async def test_a_batch_that_waits_does_not_hold_up_many_others(bank: Bank) -> None:
    slow, other = await bank.payer(1_000), await bank.payer(100_000)
    async with bank.batcher() as ledger:
        async with bank.admin.transaction():
            await bank.admin.execute("SELECT 1 FROM wallet WHERE id = $1 FOR UPDATE", slow.wallet_id)
            waiting = asyncio.create_task(ledger.open(slow.open(5)))
            await bank.blocked()
            opened = [other.open(100) for _ in range(SHARED_EVENTS_MIN)]
            async with asyncio.timeout(LIMIT_S):
                await asyncio.gather(*map(ledger.open, opened))
            assert not waiting.done()
        await waiting
        charged = await asyncio.gather(*(ledger.settle(settle(each, 30)) for each in opened))
        assert {each.charged for each in charged} == {30}
    assert (await bank.wallet(slow), await bank.wallet(other)) == ((1_000, 5), (100_000 - 30 * len(opened), 0))


async def test_a_batch_waits_for_those_about_to_settle_and_for_nobody_who_is_alone(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher(rest_s=3600) as ledger:
        first, second = payer.open(100), payer.open(100)
        await ledger.open(first)
        waiting = asyncio.create_task(ledger.open(second))
        await bank.wallet(payer)
        await ledger.settle(settle(first, 30))
        await waiting
        await ledger.settle(settle(second, 30))
        sheet = Sheet(FAMILIES)
        ledger.tell(sheet)
    assert await bank.wallet(payer) == (940, 0)
    (told,) = sheet.rows_of("avow_ledger_batch_events")
    *batches, events = told.values
    assert (sum(batches), events) == (3, 4)


async def test_an_id_that_was_charged_opens_no_second_time(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher() as ledger:
        opened = payer.open(100)
        await ledger.open(opened)
        await ledger.settle(settle(opened, 30))
        tried = await gathered(ledger.open(opened), ledger.open(payer.open(1)))
        assert isinstance(tried[0], RequestSettled)
        assert isinstance((await gathered(ledger.open(opened)))[0], RequestSettled)
    assert await bank.wallet(payer) == (970, 1)


async def test_a_settle_again_answers_the_same_and_charges_once(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher() as ledger:
        opened, second = payer.open(100), payer.open(100)
        await asyncio.gather(ledger.open(opened), ledger.open(second))
        assert (await ledger.settle(settle(opened, 30))).charged == 30
        assert (await ledger.settle(settle(opened, 60))).charged == 30
        both = await asyncio.gather(ledger.settle(settle(opened, 60)), ledger.settle(settle(second, 60)))
        assert [s.charged for s in both] == [30, 60]
    assert await bank.wallet(payer) == (910, 0)


async def test_p18_an_open_that_is_not_durable_in_time_fails_and_its_late_success_is_voided(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher(wait_s_max=0.1) as ledger, bank.admin.transaction():
        while not ledger.ready:  # noqa: ASYNC110  what waits for the first connection is never sent
            await asyncio.sleep(0.01)
        await bank.admin.execute("SELECT 1 FROM wallet FOR UPDATE")
        opened = payer.open(100)
        failed = (await gathered(ledger.open(opened)))[0]
        assert isinstance(failed, LedgerUnavailable)
        assert failed.status == 503 and "retry-after" in failed.headers
    assert await bank.wallet(payer) == (1_000, 0)
    assert await bank.admin.fetchval("SELECT why FROM usage WHERE id = $1", opened.request_id) == "void"


async def test_a_caller_that_leaves_while_opening_leaves_no_hold(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher() as ledger:
        async with bank.admin.transaction():
            await bank.admin.execute("SELECT 1 FROM wallet FOR UPDATE")
            leaving = [asyncio.create_task(ledger.open(payer.open(100))) for _ in range(3)]
            await wait_for_lock(bank)
            for task in leaving:
                task.cancel()
        await gathered(*leaving)
    assert await bank.wallet(payer) == (1_000, 0)


async def test_a_settle_survives_its_cancelled_caller(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher() as ledger:
        opened = payer.open(100)
        await ledger.open(opened)
        leaving = asyncio.create_task(ledger.settle(settle(opened, 30)))
        await asyncio.sleep(0)
        leaving.cancel()
        await gathered(leaving)
    assert await bank.wallet(payer) == (970, 0)


async def test_a_caller_that_leaves_as_its_answer_comes_leaves_no_hold(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher() as ledger:

        async def between() -> None:
            ledger.opening(payer.open(100), lambda _: [task.cancel() for task in leaving])

        # All in one batch: one has its answer when it is told to leave, the other gets it then.
        told, _, untold = tasks = [
            asyncio.create_task(c) for c in (ledger.open(payer.open(100)), between(), ledger.open(payer.open(100)))
        ]
        leaving = [told, untold]
        assert [type(t) for t in await gathered(*tasks)] == [asyncio.CancelledError, type(None), asyncio.CancelledError]
    assert await bank.wallet(payer) == (1_000, 100)


async def test_who_fails_to_take_an_answer_keeps_nobody_from_theirs(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    told: list[object] = []

    def fail(_: object) -> None:
        raise RuntimeError("Ada Lovelace")

    with structlog.testing.capture_logs() as said:
        async with bank.batcher() as ledger:
            opens = [payer.open(100) for _ in range(4)]
            for each, taken in zip(opens, (told.append, fail, told.append), strict=False):
                ledger.opening(each, taken)
            await ledger.open(opens[3])
            for each, taken in zip(opens, (told.append, fail, told.append), strict=False):
                ledger.settling(settle(each, 30), taken)
            assert (await ledger.settle(settle(opens[3], 30))).charged == 30
    assert told == [Opened(7), Opened(7), Settled(30), Settled(30)]
    assert await bank.wallet(payer) == (880, 0)
    lost = {"event": "ledger_answer_not_taken", "error": "RuntimeError", "log_level": "error"}
    assert [each for each in said if each["log_level"] == "error"] == [lost, lost]


async def test_nothing_of_an_event_is_held_on_to_once_it_is_answered(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    gone: list[weakref.ref[Callable[[object], None]]] = []

    def caller() -> Callable[[object], None]:
        def told(_: object) -> None: ...

        gone.append(weakref.ref(told))
        return told

    async with bank.batcher() as ledger:
        opens = [payer.open(100) for _ in range(3)]
        ledger.opening(opens[0], caller())
        ledger.opening(opens[1], caller())
        await ledger.open(opens[2])
        ledger.settling(settle(opens[0], 30), caller())
        ledger.settling(settle(opens[1], 30), caller())
        await ledger.settle(settle(opens[2], 30))
        assert [ref() for ref in gone] == [None] * 4


async def test_of_a_refusal_nothing_is_left(bank: Bank) -> None:
    """Future, refusal, traceback and frame hold each other: the collector must be able to see all of it."""
    payer = await bank.payer(1)
    async with bank.batcher() as ledger:
        for _ in range(20):
            with pytest.raises(BalanceShort):
                await ledger.open(payer.open(100))
        gc.collect()
        assert sum(type(each) is BalanceShort for each in gc.get_objects()) < 3


async def test_an_event_that_postgresql_refuses_does_not_spoil_its_batch(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher() as ledger:
        tried = await gathered(
            *(ledger.open(payer.open(10)) for _ in range(5)),
            ledger.open(payer.open(10, model="\ud800")),
            *(ledger.open(payer.open(10)) for _ in range(5)),
        )
        assert [n for n, t in enumerate(tried) if isinstance(t, Exception)] == [5]
        assert isinstance(tried[5], LedgerUnavailable)
    assert await bank.wallet(payer) == (1_000, 100)


async def test_nonsense_is_refused_before_it_is_sent(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher() as ledger:
        bad: list[Open] = [payer.open(-1), payer.open(2**63), payer.open(1, model="a\0b")]
        assert [type(t) for t in await gathered(*map(ledger.open, bad))] == [ValueError] * 3
        with pytest.raises(ValueError, match="counts"):
            await ledger.settle(settle(payer.open(1), 1, output_tokens=-5))


async def test_a_full_queue_answers_unavailable_at_once(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    async with bank.batcher(queue_max=10) as ledger:
        tried = await gathered(*(ledger.open(payer.open(1)) for _ in range(50)))
    assert sum(isinstance(t, LedgerUnavailable) for t in tried) == 40


async def test_the_trace_is_written_with_the_charge_and_never_brought_back(bank: Bank) -> None:
    payer = await bank.payer(1_000)
    ends = NOW + timedelta(hours=1)
    async with bank.batcher(functions=COMPLETION) as ledger:
        opens = [payer.open(100) for _ in range(4)]
        await asyncio.gather(*map(ledger.open, opens))
        traced = [settle(o, 30, extra=(ends, b"box %d" % n, False, False)) for n, o in enumerate(opens[:3])]
        await ledger.settle(traced[0])
        await asyncio.gather(ledger.settle(traced[1]), ledger.settle(traced[2]), ledger.settle(settle(opens[3], 30)))
        rows = await bank.admin.fetch("SELECT id, subject_id, since, ends_at, box FROM trace ORDER BY box")
        assert [tuple(r) for r in rows] == [
            (o.request_id, payer.subject_id, NOW, ends, b"box %d" % n) for n, o in enumerate(opens[:3])
        ]
        await bank.admin.execute("DELETE FROM trace")
        await ledger.settle(traced[0])
        late = payer.open(100)
        await ledger.open(late)
        await asyncio.gather(
            ledger.settle(traced[1]), ledger.settle(settle(late, 30, extra=(ends, b"late", False, False)))
        )
        assert [r["box"] for r in await bank.admin.fetch("SELECT box FROM trace")] == [b"late"]


@pytest.mark.usefixtures("new_database")
async def test_batches_probe_indexes_even_when_planned_over_empty_tables(bank: Bank) -> None:
    payer = await bank.payer(10**9)
    async with bank.batcher() as ledger:
        for _ in range(12):
            opens = [payer.open(100) for _ in range(50)]
            await asyncio.gather(*map(ledger.open, opens))
            await asyncio.gather(*(ledger.settle(settle(o, 30)) for o in opens), ledger.settle(settle(opens[0], 30)))
    read_whole = """
        SELECT relname FROM pg_stat_user_tables
        WHERE relname IN ('charge', 'usage', 'wallet', 'wallet_hold', 'api_key') AND seq_scan > 0
    """
    assert await bank.admin.fetch(read_whole) == []


@pytest.mark.usefixtures("new_database")
async def test_a_batch_reads_its_own_rows_only_when_the_tables_were_counted_while_they_were_empty(bank: Bank) -> None:
    """What PostgreSQL takes for empty (`ANALYZE` while nothing was held) it would rather read whole than probe."""
    first = await bank.payer(10**9)
    await bank.limit(first, budget_total_nano=10**9)
    async with bank.batcher() as ledger:
        opened = [first.open(100) for _ in range(20)]
        await asyncio.gather(*map(ledger.open, opened))
        await asyncio.gather(*(ledger.settle(settle(o, 30)) for o in opened))
    await bank.admin.execute("ANALYZE")

    payers = [await bank.payer(10**9) for _ in range(COUNTED_LATER)]
    await bank.admin.execute("UPDATE api_key SET budget_total_nano = 1000000000")
    connection = await bank.databases.writer.raw()
    calls = await Calls.prepare(connection, COMPLETION, await connection.fetchval("SELECT worker_begin($1, 1)", NOW))
    opened = [payer.open(100) for payer in payers]
    await calls.send(batch(opens=opened))
    told = batch(
        opens=[payer.open(100) for payer in payers[:10]],
        settles=[settle(o, 30, extra=(None, None, False, True)) for o in opened[:10]],
    )
    told.checkpoints.extend((o.request_id, 1, 0, 1) for o in opened[10:20])
    async with connection.transaction():
        before = {row["relname"]: row["rows"] for row in await connection.fetch(_ROWS_READ)}
        assert (await calls.send(told)).charged == {}
        after = {row["relname"]: row["rows"] for row in await connection.fetch(_ROWS_READ)}
    await connection.close()
    read = {name: rows - before[name] for name, rows in after.items()}
    assert {"api_key", "key_use", "usage", "wallet", "wallet_hold"} <= {name for name, rows in read.items() if rows}
    assert {name: rows for name, rows in read.items() if rows >= COUNTED_LATER} == {}


def batch(opens: Sequence[Open] = (), settles: Sequence[Settle] = ()) -> Batch:
    """Of events that nobody waits for."""
    return Batch([Waiting(o, nobody, 0.0) for o in opens], settling(settles).settles, [])


async def wait_for_lock(bank: Bank) -> None:
    """Until a session waits for a lock that a test holds."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while not await bank.admin.fetchval(waiting):
        await bank.admin.execute("SELECT pg_stat_clear_snapshot()")
