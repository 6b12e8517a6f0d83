"""What a key may use: rates and budgets, judged and debited in the call that reserves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avow.accounts.directory import KeyRefused
from avow.base.clock import SystemClock
from avow.base.ids import uuid7
from avow.billing import invariants
from avow.billing.calls import Batch, Calls, Waiting, nobody
from avow.billing.events import Functions, Open, Settle
from avow.billing.refusals import BudgetExceeded, RateExceeded
from tests.billing.conftest import NOW, Bank, Payer, gathered, settle

MIDNIGHT = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)
RICH = 1_000_000

ways = pytest.mark.parametrize("alone", [True, False], ids=["alone", "in a batch"])


class Desk:
    """Opens and settles through one prepared connection, alone or beside a stranger's request."""

    def __init__(self, calls: Calls, stranger: Payer, alone: bool) -> None:
        self.calls, self.stranger, self.alone = calls, stranger, alone

    async def open(self, *events: Open) -> list[tuple[str, int] | None]:
        """What each was answered: None, or why not and what would be possible."""
        if self.alone:
            return [(await self.calls.send(batch([e]))).refused.get(0) for e in events]
        answer = await self.calls.send(batch([*events, self.stranger.open(1)]))
        return [answer.refused.get(n) for n in range(len(events))]

    async def settle(self, *events: Settle) -> None:
        if self.alone:
            for event in events:
                await self.calls.send(batch([], [event]))
        else:
            await self.calls.send(batch([self.stranger.open(1)], list(events)))


def batch(opens: list[Open], settles: list[Settle] | None = None) -> Batch:
    return Batch(
        [Waiting(e, nobody, 0) for e in opens],
        [Waiting(e, nobody, 0) for e in settles or []],
        [],
    )


@pytest.fixture
async def desk(bank: Bank, request: pytest.FixtureRequest) -> Any:
    connection = await bank.databases.writer.raw()
    yield Desk(await Calls.prepare(connection, Functions(), 1), await bank.payer(RICH), request.param)
    await connection.close()


both = pytest.mark.parametrize("desk", [True, False], ids=["alone", "in a batch"], indirect=True)


async def sound(bank: Bank) -> bool:
    async with bank.databases.keeper.begin() as c:
        return await invariants.violations(c, NOW) == []


@both
async def test_so_many_requests_a_minute_and_then_a_refusal_that_says_how_long(bank: Bank, desk: Desk) -> None:
    payer = await bank.payer(RICH)
    await bank.limit(payer, requests_per_min=3)
    at = NOW + timedelta(seconds=12.5)
    tried = await desk.open(*(payer.open(100, at=at) for _ in range(5)))
    assert tried == [None, None, None, ("requests", 48), ("requests", 48)]
    assert await bank.wallet(payer) == (RICH, 300)
    assert await desk.open(payer.open(100, at=NOW + timedelta(seconds=59.9))) == [("requests", 1)]
    assert await desk.open(payer.open(100, at=NOW + timedelta(seconds=60))) == [None]
    assert await sound(bank)


@both
async def test_tokens_are_reserved_and_corrected_when_the_request_settles(bank: Bank, desk: Desk) -> None:
    payer = await bank.payer(RICH)
    await bank.limit(payer, tokens_per_min=100)
    first = payer.open(100, tokens_max=60)
    assert await desk.open(first, payer.open(100, tokens_max=60)) == [None, ("tokens", 60)]
    await desk.settle(settle(first, 30))  # 10 tokens
    assert await desk.open(payer.open(100, tokens_max=91), payer.open(100, tokens_max=90)) == [("tokens", 60), None]
    assert await sound(bank)


@both
@pytest.mark.parametrize("window", ["day", "month", "total"])
async def test_a_budget_is_never_passed_and_says_what_it_leaves(bank: Bank, desk: Desk, window: str) -> None:
    payer = await bank.payer(RICH)
    await bank.limit(payer, **{f"budget_{window}_nano": 250})
    first = payer.open(200)
    assert await desk.open(first, payer.open(60), payer.open(50), payer.open(1)) == [
        None,
        (window, 50),
        None,
        (window, 0),
    ]
    await desk.settle(settle(first, 90))
    assert await desk.open(payer.open(111), payer.open(110)) == [(window, 110), None]
    assert await bank.wallet(payer) == (RICH - 90, 160)
    assert await sound(bank)


@both
async def test_windows_begin_at_the_minute_the_day_and_the_month_in_utc(bank: Bank, desk: Desk) -> None:
    payer = await bank.payer(RICH)
    await bank.limit(payer, budget_day_nano=100, budget_month_nano=250, budget_total_nano=400)
    day = timedelta(days=1)
    assert await desk.open(payer.open(100, at=MIDNIGHT - 2 * day), payer.open(1, at=MIDNIGHT - 2 * day)) == [
        None,
        ("day", 0),
    ]
    assert await desk.open(payer.open(100, at=MIDNIGHT - day)) == [None]
    assert await desk.open(payer.open(51, at=MIDNIGHT), payer.open(50, at=MIDNIGHT)) == [("month", 50), None]
    # The next month, one second on.
    later = MIDNIGHT + timedelta(seconds=1)
    assert await desk.open(payer.open(101, at=later), payer.open(100, at=later)) == [("day", 100), None]
    assert await desk.open(payer.open(51, at=later + day), payer.open(50, at=later + day)) == [("total", 50), None]
    used = await bank.used(payer)
    assert used and (used["day_nano"], used["month_nano"], used["total_nano"]) == (50, 150, 400)


@both
async def test_a_request_that_settles_in_another_window_corrects_only_what_still_counts(bank: Bank, desk: Desk) -> None:
    payer = await bank.payer(RICH)
    await bank.limit(payer, budget_day_nano=100, budget_month_nano=1_000, tokens_per_min=100)
    running = payer.open(90, at=MIDNIGHT - timedelta(days=1), tokens_max=90)
    assert await desk.open(running, payer.open(70, at=MIDNIGHT, tokens_max=30)) == [None, None]
    await desk.settle(settle(running, 30))
    used = await bank.used(payer)
    assert used and [used[n] for n in ("tokens", "day_nano", "month_nano", "total_nano", "held_nano")] == [
        30,
        70,
        100,
        100,
        70,
    ]


@both
async def test_a_minute_that_was_seen_is_not_gone_back_from(bank: Bank, desk: Desk) -> None:
    payer = await bank.payer(RICH)
    await bank.limit(payer, requests_per_min=2)
    late = payer.open(10, at=NOW - timedelta(seconds=1))
    tried = await desk.open(payer.open(10, at=NOW)) + await desk.open(late) + await desk.open(payer.open(10, at=NOW))
    assert tried == [None, None, ("requests", 60)]


@both
async def test_the_same_events_again_count_once(bank: Bank, desk: Desk) -> None:
    payer = await bank.payer(RICH)
    await bank.limit(payer, requests_per_min=2, budget_total_nano=100)
    opened = payer.open(60)
    assert await desk.open(opened) == [None]
    assert await desk.open(opened) == [None]
    ended = settle(opened, 30)
    await desk.settle(ended)
    await desk.settle(ended)
    assert await desk.open(opened) == [("settled", 0)]
    used = await bank.used(payer)
    assert used and (used["requests"], used["total_nano"], used["held_nano"]) == (1, 30, 0)
    assert await sound(bank)


@both
async def test_what_is_given_back_unused_was_no_request(bank: Bank, desk: Desk) -> None:
    payer = await bank.payer(RICH)
    await bank.limit(payer, requests_per_min=1, tokens_per_min=10, budget_day_nano=100)
    voided = payer.open(100)
    await desk.open(voided)
    await desk.settle(settle(voided, 0, why="void"))
    assert await desk.open(payer.open(100)) == [None]


@both
async def test_a_refused_request_uses_nothing_of_any_limit(bank: Bank, desk: Desk) -> None:
    payer = await bank.payer(50)
    await bank.limit(payer, requests_per_min=5, budget_day_nano=1_000)
    await desk.open(payer.open(10))
    assert await desk.open(payer.open(41)) == [("money", 40)]
    await bank.admin.execute("UPDATE api_key SET state = 'revoked' WHERE id = $1", payer.key_id)
    assert await desk.open(payer.open(10)) == [("key", 0)]
    used = await bank.used(payer)
    assert used and (used["requests"], used["day_nano"]) == (1, 10)
    assert await sound(bank)


@both
async def test_a_key_without_limits_is_not_counted_and_one_that_lost_them_is_not_refused(
    bank: Bank, desk: Desk
) -> None:
    payer = await bank.payer(RICH)
    await desk.open(payer.open(10))
    assert await bank.used(payer) is None
    await bank.limit(payer, requests_per_min=1)
    assert await desk.open(payer.open(10), payer.open(10)) == [None, ("requests", 60)]
    await bank.admin.execute("UPDATE api_key SET requests_per_min = NULL WHERE id = $1", payer.key_id)
    assert await desk.open(payer.open(10), payer.open(10)) == [None, None]
    assert await sound(bank)


async def test_two_workers_together_stay_within_every_limit(bank: Bank) -> None:
    payer = await bank.payer(RICH)
    await bank.limit(payer, requests_per_min=40, tokens_per_min=10_000, budget_day_nano=2_500)
    async with bank.batcher() as one, bank.batcher() as other:
        opens = [payer.open(100, tokens_max=10) for _ in range(300)]
        tried = await gathered(*((one, other)[n % 2].open(each) for n, each in enumerate(opens)))
        refused = [e for e in tried if isinstance(e, BudgetExceeded)]
        assert len(tried) - len(refused) == 25
        assert refused[-1].affordable == 0 and refused[-1].status == 402 and "this day" in refused[-1].sentence
        await asyncio.gather(
            *(one.settle(settle(o, 30)) for o, t in zip(opens, tried, strict=True) if t not in refused)
        )
        # 750 are spent, so 17 would fit by money and 15 by rate.
        tried = await gathered(*((one, other)[n % 2].open(payer.open(100, tokens_max=10)) for n in range(100)))
        limited = [e for e in tried if isinstance(e, RateExceeded)]
        assert len(tried) - len(limited) == 15
        assert limited[0].status == 429 and limited[0].headers["retry-after"] == "60"
    assert await bank.wallet(payer) == (RICH - 750, 1_500)
    assert await sound(bank)


async def test_many_keys_with_limits_in_one_batch_are_each_judged_by_their_own(bank: Bank) -> None:
    payers = [await bank.payer(RICH) for _ in range(6)]
    for n, payer in enumerate(payers):
        await bank.limit(payer, requests_per_min=n + 1)
    second = Payer(payers[5].tenant_id, payers[5].subject_id, payers[5].wallet_id, uuid7())
    await bank.key(second, second.key_id)
    async with bank.batcher() as ledger:
        for _ in range(2):
            tried = await gathered(*(ledger.open(p.open(10)) for _ in range(4) for p in [*payers, second]))
    for n, payer in enumerate(payers):
        used = await bank.used(payer)
        assert used and used["requests"] == min(n + 1, 8)
    assert sum(isinstance(e, RateExceeded) for e in tried[6::7]) == 0
    assert await sound(bank)


async def test_an_unknown_key_makes_no_counter(bank: Bank) -> None:
    payer = await bank.payer(RICH)
    async with bank.batcher() as ledger:
        tried = await gathered(ledger.open(payer.open(1, key_id=uuid7())), ledger.open(payer.open(1, key_id=uuid7())))
    assert [type(t) for t in tried] == [KeyRefused] * 2
    assert await bank.admin.fetchval("SELECT count(*) FROM key_use") == 0


@pytest.mark.parametrize(
    ("damage", "seen"),
    [
        ("UPDATE key_use SET held_nano = held_nano - 1", "I15"),
        ("UPDATE wallet_hold SET counted_at = NULL", "I15"),
        ("UPDATE key_use SET day_nano = month_nano + 1", "I16"),
        ("UPDATE key_use SET tokens = -1", "I16"),
        ("UPDATE key_use SET total_nano = held_nano + 29, month_nano = 0, day_nano = 0", "I17"),
    ],
)
async def test_a_damaged_counter_is_seen(bank: Bank, damage: str, seen: str) -> None:
    payer = await bank.payer(RICH)
    await bank.limit(payer, budget_total_nano=RICH)
    async with bank.batcher() as ledger:
        opens = [payer.open(100), payer.open(100, at=NOW + timedelta(minutes=6)), payer.open(100)]
        await asyncio.gather(*map(ledger.open, opens))
        await ledger.settle(settle(opens[1], 30))
        await ledger.settle(settle(opens[0], 30))
    assert await sound(bank)
    await bank.admin.execute(damage)
    async with bank.databases.keeper.begin() as c:
        assert seen in {v.invariant.split()[0] for v in await invariants.violations(c, NOW)}


async def test_only_the_ledger_writes_counters(bank: Bank) -> None:
    payer = await bank.payer(RICH)
    await bank.limit(payer, requests_per_min=1)
    async with bank.batcher() as ledger:
        await ledger.open(payer.open(1))
    for role in ("app", "writer"):
        connection = await getattr(bank.databases, role).raw()
        try:
            await connection.execute("SELECT set_config('app.tenant', $1, false)", str(payer.tenant_id))
            with pytest.raises(Exception, match="permission denied"):
                await connection.execute("UPDATE key_use SET requests = 0")
            with pytest.raises(Exception, match="permission denied"):
                await connection.execute("SELECT key_correct($1, $2, true, 0, 0, 0)", payer.key_id, NOW)
        finally:
            await connection.close()


@pytest.mark.usefixtures("new_database")
async def test_counting_never_reads_a_table_whole(bank: Bank) -> None:
    payer = await bank.payer(RICH)
    await bank.limit(payer, requests_per_min=10_000, budget_day_nano=RICH)
    async with bank.batcher() as ledger:
        for _ in range(6):
            opens = [payer.open(100) for _ in range(30)]
            await asyncio.gather(*map(ledger.open, opens))
            await asyncio.gather(*(ledger.settle(settle(o, 30)) for o in opens))
        alone = payer.open(100)
        await ledger.open(alone)
        await ledger.settle(settle(alone, 30))
    # The one read is the key's first, which finds the table empty.
    scans = "SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname IN ('key_use', 'api_key') AND seq_scan > 0"
    assert await bank.admin.fetch(scans) == []


@dataclass
class Model:
    """A key with limits: what it has used, by the words of the documentation."""

    limits: dict[str, int]
    minute: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    events: dict[UUID, tuple[datetime, int, int, bool]] = field(
        default_factory=dict
    )  # counted at, tokens, amount, held

    def within(self, at: datetime, form: str) -> list[tuple[datetime, int, int, bool]]:
        return [e for e in self.events.values() if e[0].strftime(form) == at.strftime(form)]

    def open(self, event: Open) -> str | None:
        if event.request_id in self.events:
            return None
        at = max(event.at.replace(second=0, microsecond=0), self.minute)
        used = {
            "requests": (len(self.within(at, "%F %R")), 1, "requests_per_min"),
            "tokens": (sum(e[1] for e in self.within(at, "%F %R")), event.tokens_max, "tokens_per_min"),
            "day": (sum(e[2] for e in self.within(at, "%F")), event.amount, "budget_day_nano"),
            "month": (sum(e[2] for e in self.within(at, "%Y-%m")), event.amount, "budget_month_nano"),
            "total": (sum(e[2] for e in self.events.values()), event.amount, "budget_total_nano"),
        }
        for reason, (before, more, limit) in used.items():
            if limit in self.limits and before + more > self.limits[limit]:
                return reason
        self.minute = at
        self.events[event.request_id] = (at, event.tokens_max, event.amount, True)
        return None

    def settle(self, event: Settle) -> None:
        at, _, amount, held = self.events[event.request_id]
        if held:
            tokens = event.input_tokens + event.output_tokens
            self.events[event.request_id] = (at, tokens, min(amount, event.amount), False)


limits = st.fixed_dictionaries(
    {},
    optional={
        "requests_per_min": st.integers(1, 6),
        "tokens_per_min": st.integers(1, 300),
        "budget_day_nano": st.integers(0, 400),
        "budget_month_nano": st.integers(0, 600),
        "budget_total_nano": st.integers(0, 900),
    },
).filter(bool)
opening = st.tuples(st.just("open"), st.integers(0, 90), st.integers(0, 60))
settling = st.tuples(st.just("settle"), st.integers(0, 20), st.integers(0, 120))
steps = st.lists(
    st.tuples(
        st.sampled_from([0, 20, 60, 3600, 86400]), st.lists(st.one_of(opening, settling), min_size=1, max_size=8)
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)
@given(most=limits, program=steps)
async def test_every_answer_is_what_the_model_says(bank: Bank, most: dict[str, int], program: Any) -> None:
    payer = await bank.payer(RICH)
    await bank.limit(payer, **most)
    model, at, history = Model(most), MIDNIGHT - timedelta(hours=30), []
    connection = await bank.databases.writer.raw()
    try:
        calls = await Calls.prepare(connection, Functions(), 1)
        for seconds, events in program:
            at += timedelta(seconds=seconds)
            opens = [payer.open(a, tokens_max=t, at=at) for kind, a, t in events if kind == "open"]
            ended = {n: amount for kind, n, amount in events if kind == "settle" and n < len(history)}
            ends = [settle(history[n], amount) for n, amount in ended.items()]
            for end in ends:
                model.settle(end)
            wanted = [model.open(o) for o in opens]
            if opens or ends:
                answer = await calls.send(batch(opens, ends))
                assert [answer.refused.get(n, (None,))[0] for n in range(len(opens))] == wanted
            history += [o for o, why in zip(opens, wanted, strict=True) if why is None]
    finally:
        await connection.close()
    used = await bank.used(payer)
    if model.events:
        now = model.minute
        assert used is not None
        assert used["requests"] == len(model.within(now, "%F %R"))
        assert used["tokens"] == sum(e[1] for e in model.within(now, "%F %R"))
        assert used["day_nano"] == sum(e[2] for e in model.within(now, "%F"))
        assert used["month_nano"] == sum(e[2] for e in model.within(now, "%Y-%m"))
        assert used["total_nano"] == sum(e[2] for e in model.events.values())
        assert used["held_nano"] == sum(e[2] for e in model.events.values() if e[3])
    async with bank.databases.keeper.begin() as c:
        found = await invariants.violations(c, SystemClock().now())
        assert [v for v in found if v.invariant.split()[0] in ("I15", "I16", "I17")] == []
