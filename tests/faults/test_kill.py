"""kill -9 under load: no charge that was told is lost, none is doubled, no balance is negative, every hold is resolved.

And the races over money, between two worker processes. The long form (`make faults`) kills the server 200 times and
PostgreSQL 50 times.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest

from avow.gateway.scripted import Script
from tests.faults import LONG
from tests.faults.ground import Ground, check_invariants
from tests.faults.load import Load
from tests.platform import MODEL, Platform, wait_until

SERVER_KILLS, POSTGRES_KILLS = (200, 50) if LONG else (3, 2)
CLIENTS, PEOPLE = 12, 3
ANSWERS_BETWEEN = 40
WHOLE_ANSWER_NANO = 11 * 3000 + 3 * 7000
AT_ONCE, STORM = 100, 500 if LONG else 120
DEAR_MODEL, DEAR_PRICE = "scripted/dear", "11900"
"""A million tokens of output at this price: eight hold 0.0952 of the first credit of 1, so ten can run and no eleventh."""
AFFORDABLE = 10
ENDS: tuple[signal.Signals, ...] = (signal.SIGKILL, signal.SIGQUIT, signal.SIGINT)
"""How PostgreSQL is ended: dead at once, its immediate stop, and its fast one, after which it is started again."""


@pytest.fixture(autouse=True)
def sound_answers(pair: Ground) -> None:
    pair.upstream.answer(Script())


def customers(platform: Platform) -> list[str]:
    """Keys of different people, so that there are hot and quiet wallets."""
    keys = []
    for _ in range(PEOPLE):
        with platform.http() as http:
            platform.sign_up(http)
            keys.append(platform.key(http)["secret"])
    return keys


def more_answers(load: Load, count: int = ANSWERS_BETWEEN) -> None:
    """Wait until enough further answers were paid for, so that the next kill meets requests at every stage."""
    wanted = len(load.told) + count
    wait_until(lambda: len(load.told) >= wanted, 120)


def check_money(pair: Ground, load: Load) -> None:
    """What clients were told against what the database has, by sums of our own and by the ledger's invariants."""
    platform, since_s = pair.platform, time.monotonic()
    wait_until(lambda: not platform.sql("SELECT FROM wallet_hold LIMIT 1"), 120)
    resolved_s = time.monotonic() - since_s
    charges = {row["id"]: row["amount"] for row in platform.sql("SELECT id, amount FROM charge")}
    lost = {each: cost for each, cost in load.told.items() if charges.get(each) != cost}
    assert lost == {}
    assert load.told_twice == []
    assert len([each for each in charges.values() if each]) <= pair.upstream.calls, "more was charged than was called"
    dearest = platform.sql("SELECT max(amount) FROM charge JOIN usage USING (id) WHERE model = $1", MODEL)[0][0]
    assert dearest <= WHOLE_ANSWER_NANO, "somebody paid more than was sent"
    for wallet in platform.sql("SELECT * FROM wallet"):
        credit = platform.sql(
            "SELECT coalesce(sum(amount), 0) FROM ledger_entry WHERE wallet_id = $1 AND account = 'wallet'",
            wallet["id"],
        )[0][0]
        spent = platform.sql("SELECT coalesce(sum(amount), 0) FROM charge WHERE wallet_id = $1", wallet["id"])[0][0]
        assert wallet["posted"] == credit - spent
        assert wallet["posted"] >= 0
        assert wallet["held"] == 0
    check_invariants(platform, load.told)
    print(f"{len(load.told)} told, {dict(load.statuses)}; 0 lost, 0 double, 0 negative; resolved in {resolved_s:.1f} s")


@pytest.mark.timeout(3600 if LONG else 300)
def test_kill_9_of_the_server_under_load(pair: Ground, chance: random.Random) -> None:
    with Load(pair.platform, customers(pair.platform), CLIENTS) as load:
        for kill in range(SERVER_KILLS):
            more_answers(load, chance.randrange(1, ANSWERS_BETWEEN))
            if kill % 4 == 1:  # more often, and the parent waits longer each time before it starts another
                os.kill(chance.choice(pair.workers()), signal.SIGKILL)
            else:
                pair.platform.kill()
                pair.platform.start()
        more_answers(load)
    check_money(pair, load)


@pytest.mark.timeout(3600 if LONG else 300)
def test_kill_9_of_postgresql_under_load(pair: Ground, chance: random.Random) -> None:
    """Streams that run go on to their end, and nobody is told of an error that is ours."""
    slowest_s = 0.0
    with Load(pair.platform, customers(pair.platform), CLIENTS) as load:
        for kill in range(POSTGRES_KILLS):
            more_answers(load, chance.randrange(1, ANSWERS_BETWEEN))
            slowest_s = max(slowest_s, end_postgres(pair.platform, ENDS[kill % len(ENDS)]))
        more_answers(load)
    check_money(pair, load)
    assert set(load.statuses) <= {200, 503}
    print(f"PostgreSQL was away for {slowest_s:.1f} s at most")


def end_postgres(platform: Platform, how: signal.Signals) -> float:
    """Returns how long it took until another one took connections, in seconds."""
    postgres = platform.postgres_pid()
    assert postgres
    since_s = time.monotonic()
    os.kill(postgres, how)
    wait_until(lambda: platform.postgres_pid() not in (None, postgres) and answers(platform))
    return time.monotonic() - since_s


def answers(platform: Platform) -> bool:
    try:
        return bool(platform.sql("SELECT 1"))
    except Exception:  # whatever a database says that is coming up
        return False


def test_a_stream_that_runs_while_postgresql_dies_comes_to_its_end_and_is_paid(pair: Ground) -> None:
    gate = asyncio.Event()
    pair.upstream.answer(Script(gate=gate, gate_after=2))
    body = {"model": MODEL, "messages": [{"role": "user", "content": "?"}], "max_tokens": 8, "stream": True}
    bearer = {"authorization": f"Bearer {pair.key}"}
    with pair.http.stream("POST", "/v1/chat/completions", json=body, headers=bearer) as answer:
        pieces = answer.iter_text()
        text = next(pieces)
        end_postgres(pair.platform, signal.SIGKILL)
        pair.upstream.loop.call_soon_threadsafe(gate.set)
        text += "".join(pieces)
    assert text.rstrip().endswith("data: [DONE]")
    assert ": avow-cost 0.000054000" in text
    pair.check_money()


def storm(pair: Ground, ask: Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]) -> list[httpx.Response]:
    """Many requests at once, over connections of their own, so that both workers get some."""

    async def blow() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=pair.platform.base_url, limits=limits, timeout=120) as http:
            return await asyncio.gather(*(ask(http) for _ in range(STORM)))

    return asyncio.run(blow())


def asking(key: str, word: str = "?", **fields: Any) -> Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]:
    headers = {"authorization": f"Bearer {key}", **fields.pop("headers", {})}
    body = {"model": MODEL, "messages": [{"role": "user", "content": word}], "max_tokens": 8, **fields}
    return lambda http: http.post("/v1/chat/completions", json=body, headers=headers)


@pytest.fixture
def dear(pair: Ground) -> None:
    add = ("--upstream", "scripted", "--input", "0", "--output", DEAR_PRICE)
    pair.platform.cli("model", "add", DEAR_MODEL, *add)
    bearer = {"authorization": f"Bearer {pair.key}"}
    wait_until(lambda: DEAR_MODEL in pair.http.get("/v1/models", headers=bearer).text)


def test_of_many_at_once_just_those_run_that_the_balance_pays_for(pair: Ground, dear: None) -> None:
    gate = asyncio.Event()
    pair.upstream.answer(Script(gate=gate, tokens=("word",) * 8))
    [key] = customers(pair.platform)[:1]
    refused: Counter[int] = Counter()
    ask = asking(key, model=DEAR_MODEL)

    async def one(http: httpx.AsyncClient) -> httpx.Response:
        answer = await ask(http)
        refused[answer.status_code] += 1
        if refused[402] == STORM - AFFORDABLE:
            pair.upstream.loop.call_soon_threadsafe(gate.set)
        return answer

    found = Counter(answer.status_code for answer in storm(pair, one))
    assert found == {200: AFFORDABLE, 402: STORM - AFFORDABLE}
    assert pair.calls_with("dear") == AFFORDABLE
    pair.check_money()
    assert min(row["posted"] - row["held"] for row in pair.platform.sql("SELECT posted, held FROM wallet")) >= 0


def test_a_budget_that_is_lowered_under_load_is_not_passed(pair: Ground) -> None:
    with pair.platform.http() as http:
        pair.platform.sign_up(http)
        key = pair.platform.key(http)
        budget_nano = 20 * WHOLE_ANSWER_NANO
        begun = seen = 0
        lowered = asyncio.Event()

        async def one(client: httpx.AsyncClient) -> httpx.Response:
            nonlocal begun, seen
            begun += 1
            if begun > STORM // 8:  # the others come all at once when it is lowered
                await lowered.wait()
            answer = await asking(key["secret"])(client)
            seen += 1
            if seen == STORM // 10:
                limits = {"limits": {"budget_total_nano": budget_nano}}
                changed = await asyncio.to_thread(http.patch, f"/api/keys/{key['id']}", json=limits)
                assert changed.is_success, changed.text
                lowered.set()
            return answer

        statuses = Counter(answer.status_code for answer in storm(pair, one))
    assert set(statuses) <= {200, 402} and statuses[402], statuses
    pair.check_money()
    left = next(n for n in range(STORM) if asyncio.run(one_more(pair, key["secret"])) == 402)
    [used] = pair.platform.sql("SELECT total_nano, held_nano FROM key_use WHERE id = $1", UUID(key["id"]))
    assert (used["held_nano"], used["total_nano"] <= budget_nano) == (0, True), f"and {left} more ran"


async def one_more(pair: Ground, key: str) -> int:
    async with httpx.AsyncClient(base_url=pair.platform.base_url, timeout=60) as http:
        return (await asking(key)(http)).status_code


def test_a_storm_of_retries_with_a_key_has_one_effect_over_all_workers(pair: Ground) -> None:
    again = {"headers": {"idempotency-key": "storm-1"}}
    found = Counter(answer.status_code for answer in storm(pair, asking(pair.key, "storm-with-key", **again)))
    assert found == {200: 1, 409: STORM - 1}
    other = storm(pair, asking(pair.key, "storm-with-key", max_tokens=7, **again))
    assert {answer.status_code for answer in other} == {422}
    assert pair.calls_with("storm-with-key") == 1
    pair.check_money()


def test_a_storm_on_an_upstream_that_refuses_is_not_passed_on_larger(pair: Ground) -> None:
    """Retries are a tenth of the requests, and some that each worker had saved; then the breaker lets none through."""
    before = pair.wallet()
    pair.upstream.answer(Script(status=500))
    found = Counter(answer.status_code for answer in storm(pair, asking(pair.key, "storm-on-refusals")))
    assert set(found) <= {502, 503}
    assert pair.calls_with("storm-on-refusals") <= STORM * 3 // 2  # unlimited, they were three times as many
    pair.settled()
    assert pair.wallet() == before
