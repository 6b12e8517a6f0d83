"""Can a stranger tell from the time of an answer whether an address has an account?

Sign-in, sign-up and reset are called in pairs, once with a known and once with an unknown address, in an order drawn for each
pair, against a running Avow with production's Argon2id. A two-sided Mann-Whitney test (normal approximation, ties
corrected) then asks whether the two sets of times differ; p > 0.01 is wanted.

    python -m bench.timing [--tries 500]        about seven minutes; writes bench/results/timing.json
"""

from __future__ import annotations

import argparse
import json
import math
import random
import secrets
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from tests.platform import new_platform

from bench import machine

RESULTS = Path(__file__).parent / "results" / "timing.json"
P_MIN = 0.01
TRIES_PER_ADDRESS = 3
"""An account is slowed down after more, known or not."""
PASSWORD, WRONG = "four words of nobody at all", "a wrong password, and long enough"


def mann_whitney(one: Sequence[float], other: Sequence[float]) -> float:
    """The two-sided p that two samples come from one distribution."""
    ordered = sorted((value, sample) for sample, values in enumerate((one, other)) for value in values)
    values = [value for value, _ in ordered]
    first: dict[float, int] = {}
    for place, value in enumerate(values):
        first.setdefault(value, place)
    counts = Counter(values)
    rank = {value: first[value] + (counts[value] + 1) / 2 for value in counts}
    n, m = len(one), len(other)
    u = sum(rank[value] for value in one) - n * (n + 1) / 2
    ties = sum(count**3 - count for count in counts.values())
    spread = math.sqrt(n * m / 12 * ((n + m + 1) - ties / ((n + m) * (n + m - 1))))
    z = (abs(u - n * m / 2) - 0.5) / spread
    return math.erfc(max(z, 0) / math.sqrt(2))


def address() -> str:
    return f"p-{secrets.token_hex(8)}@example.org"


def sign_in(email: str) -> tuple[str, dict[str, str]]:
    return "/api/auth/login", {"email": email, "password": WRONG}


def sign_up(email: str) -> tuple[str, dict[str, str]]:
    return "/api/auth/signup", {"email": email, "password": PASSWORD}


def reset(email: str) -> tuple[str, dict[str, str]]:
    return "/api/auth/reset", {"email": email}


Ask = Callable[[str], tuple[str, dict[str, str]]]
ROUTES: dict[str, Ask] = {"sign-in": sign_in, "sign-up": sign_up, "reset": reset}


def timed(http: httpx.Client, ask: Ask, email: str) -> tuple[float, int]:
    """Seconds until the whole answer is there, and its status."""
    path, body = ask(email)
    begun = time.perf_counter()
    answer = http.post(path, json=body)
    return time.perf_counter() - begun, answer.status_code


def measure(http: httpx.Client, ask: Ask, known: list[str], tries: int) -> dict[str, Any]:
    """One route: half of the tries with known addresses, half with unknown ones."""
    pairs = tries // 2
    strangers = [address() for _ in range(math.ceil(pairs / TRIES_PER_ADDRESS))]
    times: dict[str, list[float]] = {"known": [], "unknown": []}
    statuses: dict[str, Counter[int]] = {"known": Counter(), "unknown": Counter()}
    for pair in range(pairs):
        # A new account makes an address known: sign-up takes a fresh one each time.
        unknown = address() if ask is sign_up else strangers[pair % len(strangers)]
        both = [("known", known[pair % len(known)]), ("unknown", unknown)]
        random.shuffle(both)
        for kind, email in both:
            seconds, status = timed(http, ask, email)
            times[kind].append(seconds)
            statuses[kind][status] += 1
    if statuses["known"] != statuses["unknown"]:
        sys.exit(f"The answers themselves differ: {statuses}")
    return {
        "tries": pairs * 2,
        "status": dict(statuses["known"]),
        "median_ms": {kind: round(statistics.median(values) * 1000, 2) for kind, values in times.items()},
        "p99_ms": {kind: round(statistics.quantiles(values, n=100)[98] * 1000, 2) for kind, values in times.items()},
        "p": round(mann_whitney(times["known"], times["unknown"]), 4),
    }


def main() -> None:
    """Measure all routes, print the table, write it down; ends with 1 when one can be told apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=500)
    tries = parser.parse_args().tries
    found = {}
    with new_platform(engine="0", as_a_stranger=True) as platform, platform.start().http() as http:
        known = [address() for _ in range(math.ceil(tries / 2 / TRIES_PER_ADDRESS))]
        for email in known:
            timed(http, sign_up, email)
        for name, ask in ROUTES.items():
            found[name] = measure(http, ask, known, tries)
            row = found[name]
            print(f"{name:8} p {row['p']:.4f}  median {row['median_ms']}  p99 {row['p99_ms']}", flush=True)
    told = {"measured_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}", "machine": machine.describe(), "p_min": P_MIN}
    RESULTS.write_text(json.dumps({**told, "routes": found}, indent=1) + "\n")
    sys.exit(any(row["p"] <= P_MIN for row in found.values()))


if __name__ == "__main__":
    main()
