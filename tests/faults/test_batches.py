"""kill -9 of workers in the midst of a batch: each line is answered once, charged once, and told at what cost."""

from __future__ import annotations

import json
import os
import random
import signal
from typing import Any
from uuid import UUID

import httpx
import pytest

from avow.base import money
from avow.gateway.scripted import Script
from tests.faults import LONG
from tests.faults.ground import Ground
from tests.platform import MODEL, wait_until

KILLS = 20 if LONG else 3
LINES = 16 * KILLS
CHAT = "/v1/chat/completions"
LINE_NANO = 11 * 3000 + 3 * 7000


def begun(http: httpx.Client, bearer: dict[str, str]) -> str:
    """A batch of which no line leaves a trace: nothing but its own rows can tell what was answered. Returns its path."""
    lines = (
        {
            **{"custom_id": f"line {number}", "method": "POST", "url": CHAT},
            "body": {"model": MODEL, "messages": [{"role": "user", "content": str(number)}], "max_tokens": 8},
        }
        for number in range(LINES)
    )
    named = {"file": ("lines.jsonl", "\n".join(map(json.dumps, lines)))}
    file = http.post("/v1/files", data={"purpose": "batch"}, files=named, headers=bearer).json()
    wanted = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h"}
    made = http.post("/v1/batches", json=wanted, headers={**bearer, "avow-retention": "1"})
    return f"/v1/batches/{made.json()['id']}"


def answered(pair: Ground) -> int:
    return int(pair.platform.sql("SELECT count(*) FROM batch_line WHERE state <> 'waiting'")[0]["count"])


def told(http: httpx.Client, bearer: dict[str, str], file_id: str | None) -> list[dict[str, Any]]:
    said = http.get(f"/v1/files/{file_id}/content", headers=bearer).text if file_id else ""
    return [json.loads(each) for each in said.splitlines()]


@pytest.mark.timeout(3600 if LONG else 300)
def test_kill_9_of_workers_in_the_midst_of_a_batch(pair: Ground, chance: random.Random) -> None:
    """All workers at once, between and within any two steps of a line; others go on when its lease has ended."""
    pair.upstream.answer(Script(delay_s=0.02))
    with pair.platform.http() as http:
        pair.platform.sign_up(http)
        assert http.patch("/api/tenant", json={"keep_h": 24}).is_success
        key = pair.platform.key(http)
        bearer = {"authorization": f"Bearer {key['secret']}"}
        where = begun(http, bearer)
        for kill in range(KILLS):
            if kill:
                pair.platform.move_clock(31)  # a lease ends only by time
            wanted = min(LINES - 1, answered(pair) + chance.randrange(1, LINES // KILLS))
            wait_until(lambda wanted=wanted: answered(pair) >= wanted, 120)  # type: ignore[misc]
            for worker in pair.workers():
                os.kill(worker, signal.SIGKILL)
        pair.platform.move_clock(31)
        wait_until(lambda: http.get(where, headers=bearer).json()["status"] == "completed", 120)
        done = http.get(where, headers=bearer).json()
        lines = told(http, bearer, done["output_file_id"]) + told(http, bearer, done["error_file_id"])
    pair.settled()
    assert sorted(each["custom_id"] for each in lines) == sorted(f"line {number}" for number in range(LINES))
    costs = {UUID(each["response"]["request_id"]): money.parse(each["response"]["avow_cost"]) for each in lines}
    charged = pair.platform.sql(
        "SELECT c.id, c.amount FROM charge c JOIN usage u USING (id) WHERE u.key_id = $1 AND amount > 0",
        UUID(key["id"]),
    )
    assert {row["id"]: row["amount"] for row in charged} == costs
    assert set(costs.values()) == {LINE_NANO}
    assert done["request_counts"] == {"total": LINES, "completed": LINES, "failed": 0}
    pair.told.update(costs)
    pair.check_money()
    print(f"{KILLS} kills, {LINES} lines, {pair.upstream.calls} calls; each charged once and answered")
