"""Does signing in make the gateway wait? The p99 of `/v1` with and without ten sign-ins a second, in one run.

One worker, a scripted upstream that answers at once, sequential completions on one connection: without sign-ins, with them,
and again, in turns, so that both see the same machine. Sign-ins hash with production's Argon2id (64 MiB, 3 passes).

    python -m bench.signin [--seconds 10] [--turns 6]        writes bench/results/signin.json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import secrets
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import httpx
from tests.platform import Platform, wait_until
from tests.upstream import scripted_platform

from bench import machine

RESULTS = Path(__file__).parent / "results" / "signin.json"
RATE = 10
"""Sign-ins a second."""
MODEL, PRICES = "bench", ("--input", "0.0001", "--output", "0.0001")
"""Cheap enough that the first credit lasts."""


def sign_in(base_url: str, over: Event, statuses: Queue[Counter[int]]) -> None:
    """Sign in `RATE` times a second, each time as another account, until it is over; for a process of its own."""
    counted = Counter[int]()

    def go(number: int) -> None:
        """One a second, however long each takes: a slow answer makes nobody ask less."""
        begun = time.monotonic() + number / RATE
        with httpx.Client(base_url=base_url, timeout=60, headers={"sec-fetch-site": "same-origin"}) as http:
            while not over.wait(max(0.0, begun - time.monotonic())):
                begun += 1
                body = {"email": f"p-{secrets.token_hex(8)}@example.org", "password": secrets.token_hex(12)}
                counted[http.post("/api/auth/login", json=body).status_code] += 1

    threads = [threading.Thread(target=go, args=(number,)) for number in range(RATE)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    statuses.put(counted)


@contextmanager
def signing_in(platform: Platform, total: Counter[int]) -> Iterator[None]:
    """Somebody signs in meanwhile; how it ended is added to `total`."""
    spawn = multiprocessing.get_context("spawn")
    over, statuses = spawn.Event(), spawn.Queue()
    other = spawn.Process(target=sign_in, args=(platform.base_url, over, statuses))
    other.start()
    try:
        yield
    finally:
        over.set()
        total += statuses.get(timeout=120)
        other.join()


def completions(http: httpx.Client, key: str, seconds: float) -> list[float]:
    """Milliseconds of one completion after the other."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        begun = time.perf_counter()
        answer = http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == 200, answer.text
        times.append((time.perf_counter() - begun) * 1000)
    return times


def figures(times: list[float]) -> dict[str, Any]:
    """Milliseconds."""
    parts = statistics.quantiles(times, n=100)
    return {"requests": len(times), "p50": round(parts[49], 2), "p90": round(parts[89], 2), "p99": round(parts[98], 2)}


def main() -> None:
    """Measure in turns, print the table, write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--turns", type=int, default=6)
    asked = parser.parse_args()
    times: dict[str, list[float]] = {"without": [], "with": []}
    statuses = Counter[int]()
    with scripted_platform(as_a_stranger=True) as (platform, _), platform.http() as http:
        key = platform.demo["api_key"]
        platform.cli("model", "add", MODEL, "--upstream", "scripted", *PRICES)
        bearer = {"authorization": f"Bearer {key}"}
        wait_until(lambda: f'"{MODEL}"' in http.get("/v1/models", headers=bearer).text)
        completions(http, key, 2)
        for _turn in range(asked.turns):
            times["without"] += completions(http, key, asked.seconds)
            with signing_in(platform, statuses):
                times["with"] += completions(http, key, asked.seconds)
    told = {name: figures(values) for name, values in times.items()}
    for name, row in told.items():
        print(f"{name:8} {row}")
    print(f"sign-ins answered: {dict(statuses)}")
    head = {"measured_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}", "machine": machine.describe()}
    counted = {str(status): count for status, count in statuses.items()}
    RESULTS.write_text(json.dumps({**head, "sign_ins": counted, "completions_ms": told}, indent=1) + "\n")


if __name__ == "__main__":
    main()
