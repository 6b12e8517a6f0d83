"""kill -9 under load: no charge that was told is lost, none is doubled, no balance is negative, every hold is resolved.

The long form (`make faults`) kills the server 20 times and PostgreSQL 5 times.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from tests.faults.load import Load
from tests.platform import Platform, wait_until
from tests.upstream import Upstream, scripted_platform

LONG = os.environ.get("FAULTS") == "long"
SERVER_KILLS, POSTGRES_KILLS = (20, 5) if LONG else (5, 2)
CLIENTS, PEOPLE = 12, 3
ANSWERS_BETWEEN = 40
RESOLVED_S_MAX = 60.0


def customers(platform: Platform) -> list[str]:
    """Keys of different people, so that there are hot and quiet wallets."""
    keys = [platform.demo["api_key"]]
    for _ in range(PEOPLE - 1):
        with platform.http() as http:
            platform.sign_up(http)
            keys.append(platform.key(http)["secret"])
    return keys


def more_answers(load: Load) -> None:
    """Wait until enough further answers were paid for, so that the next kill meets requests at every stage."""
    wanted = len(load.told) + ANSWERS_BETWEEN
    wait_until(lambda: len(load.told) >= wanted, 120)


def check_money(platform: Platform, load: Load, upstream: Upstream) -> None:
    """What clients were told against what the database has, by sums of our own and by the ledger's invariants."""
    since_s = time.monotonic()
    wait_until(lambda: not platform.sql("SELECT FROM wallet_hold LIMIT 1"), 2 * RESOLVED_S_MAX)
    resolved_s = time.monotonic() - since_s
    charges = {row["id"]: row["amount"] for row in platform.sql("SELECT id, amount FROM charge")}
    lost = {each: cost for each, cost in load.told.items() if charges.get(each) != cost}
    assert lost == {}
    assert load.told_twice == []
    assert sum(load.told.values()) <= sum(charges.values())
    assert len([each for each in charges.values() if each]) <= upstream.calls, "more was charged than was called"
    for wallet in platform.sql("SELECT * FROM wallet"):
        credit = platform.sql(
            "SELECT coalesce(sum(amount), 0) FROM ledger_entry WHERE wallet_id = $1 AND account = 'wallet'",
            wallet["id"],
        )[0][0]
        spent = platform.sql("SELECT coalesce(sum(amount), 0) FROM charge WHERE wallet_id = $1", wallet["id"])[0][0]
        assert wallet["posted"] == credit - spent
        assert wallet["posted"] >= 0
        assert wallet["held"] == 0
    assert platform.cli("verify", "sums").returncode == 0
    assert resolved_s <= RESOLVED_S_MAX


def worker_of(platform: Platform) -> int:
    """The gateway worker is the first process that the parent forks."""
    assert platform.process
    pid = platform.process.pid
    return min(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def test_kill_9_of_the_server_under_load() -> None:
    with scripted_platform() as (platform, upstream):
        with Load(platform, customers(platform), CLIENTS) as load:
            for kill in range(SERVER_KILLS):
                more_answers(load)
                if kill % 2:
                    os.kill(worker_of(platform), signal.SIGKILL)
                else:
                    platform.kill()
                    platform.start()
            more_answers(load)
        check_money(platform, load, upstream)


def test_kill_9_of_postgresql_under_load() -> None:
    with scripted_platform() as (platform, upstream):
        with Load(platform, customers(platform), CLIENTS) as load:
            for _ in range(POSTGRES_KILLS):
                more_answers(load)
                postgres = platform.postgres_pid()
                assert postgres
                os.kill(postgres, signal.SIGKILL)
                wait_until(lambda before=postgres: platform.postgres_pid() not in (None, before))  # type: ignore[misc]
            more_answers(load)
        check_money(platform, load, upstream)
