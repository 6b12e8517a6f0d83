"""Half an hour at 60 % of what this machine can do, with faults: what grows, and whether the money stays right.

    python -m bench.soak [SECONDS]      default 1800

An Avow of its own with two workers; a generator in this process asks it over kept connections, first as fast as it goes, then
at 60 % of that. Every few seconds one fault: a worker is killed, the upstream is slow, it refuses, PostgreSQL is restarted. Every
minute all invariants of money are asked of the running ledger. Prints and writes to bench/results/soak.json, for each process
that lived long enough, memory at the beginning and at the end and its slope, open files and sockets, and tasks.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import signal
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from tests import homes
from tests.faults.ground import METRICS_TOKEN, Ground, check_invariants, made_ground
from tests.platform import wait_until

from avow.app import FIRST_LOOK_S
from avow.base import money
from avow.gateway.scripted import Script
from bench import machine

RESULTS = Path(__file__).parent / "results" / "soak.json"
SECONDS, SHARE = 1800.0, 0.6
CONNECTIONS, FULL_S, SAMPLE_S, CHECK_S = 32, 10.0, 5.0, 60.0
FAULTS_IN_A_RUN = 40
STREAM_EVERY, TOLD_EVERY = 4, 20
MODEL, PRICE = "scripted/soak", "0.000000001"
"""A nano-dollar for an answer, so that one credit lasts."""
FAULTS = ("worker killed", "upstream slow", "upstream refuses", "PostgreSQL restarted")
MIB = 1 << 20


@dataclass
class Asking:
    """The generator, in a loop of its own thread. `per_s` none: as fast as it goes."""

    port: int
    key: str
    per_s: float | None = None
    statuses: Counter[str] = field(default_factory=Counter)
    told: dict[UUID, int] = field(default_factory=dict)
    over: bool = False

    def __enter__(self) -> Asking:
        self._numbers, self._began_s = itertools.count(), time.monotonic()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over = True
        self._thread.join(60)

    async def _run(self) -> None:
        await asyncio.gather(*(self._client() for _ in range(CONNECTIONS)))

    async def _client(self) -> None:
        while not self.over:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                self.statuses["no connection"] += 1
                await asyncio.sleep(0.2)
                continue
            try:
                while not self.over:
                    await self._turn()
                    async with asyncio.timeout(60):
                        await self._one(reader, writer)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, IndexError) as wrong:
                self.statuses[type(wrong).__name__] += 1
            writer.close()

    async def _turn(self) -> None:
        """Wait for the time of the next request, where there is one."""
        self.number = next(self._numbers)
        if self.per_s is not None:
            await asyncio.sleep(max(0.0, self._began_s + self.number / self.per_s - time.monotonic()))

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.number
        writer.write(request(self.key, stream=number % STREAM_EVERY == 0))
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status, body = head[9:12], b""
        if length := re.search(r"content-length: (\d+)", head):
            body = await reader.readexactly(int(length[1]))
        else:
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
            await reader.readexactly(2)
        self.statuses[status] += 1
        cost = re.search(r"avow-cost:? (\d+\.\d+)", head if length else body.decode())
        if cost and number % TOLD_EVERY == 0:
            name = re.search(r"avow-request-id: (\S+)", head)
            assert name is not None
            self.told[UUID(name[1])] = money.parse(cost[1])


def request(key: str, *, stream: bool) -> bytes:
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "?"}], "max_tokens": 8, "stream": stream}
    body = json.dumps(asked).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: avow\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass
class Seen:
    """What a process held, at each look."""

    name: str
    at_s: list[float] = field(default_factory=list)
    rss_mib: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    sockets: list[int] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        half = len(self.at_s) // 2
        slope = statistics.linear_regression(self.at_s[half:], self.rss_mib[half:]).slope * 3600
        return {
            "seconds": round(self.at_s[-1] - self.at_s[0]),
            "rss_mib": [round(each, 1) for each in (self.rss_mib[0], self.rss_mib[half], self.rss_mib[-1])],
            "rss_slope_mib_per_h": round(slope, 1),
            "open_files": [self.files[0], self.files[-1], max(self.files)],
            "sockets": [self.sockets[0], self.sockets[-1], max(self.sockets)],
        }


class Watch:
    """Looks at every process of the platform, and at the tasks that they tell of."""

    def __init__(self, ground: Ground) -> None:
        self._ground, self._began_s = ground, time.monotonic()
        self.seen: dict[int, Seen] = {}
        self.tasks: dict[str, list[int]] = {}

    def look(self) -> None:
        now_s = time.monotonic() - self._began_s
        workers = self._ground.workers()
        parent = self._ground.platform.process
        others = [pid for pid in machine.children(parent.pid if parent else 0) if pid not in workers]
        names = {pid: f"worker {n}" for n, pid in enumerate(workers)} | dict.fromkeys(others, "keeper or watch")
        for pid, name in names.items():
            try:
                links = [str(each.readlink()) for each in Path(f"/proc/{pid}/fd").iterdir()]
                rss = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / MIB
            except OSError:
                continue
            one = self.seen.setdefault(pid, Seen(name))
            one.at_s.append(now_s)
            one.rss_mib.append(rss)
            one.files.append(len(links))
            one.sockets.append(sum(link.startswith("socket:") for link in links))
        self._look_at_tasks()

    def _look_at_tasks(self) -> None:
        token = {"authorization": f"Bearer {METRICS_TOKEN}"}
        try:
            text = self._ground.http.get("/metrics", headers=token, timeout=10).text
        except Exception:  # the one that was asked was just killed
            return
        for name, count in re.findall(r'^avow_process_tasks{process="(.+?)"} (\d+)$', text, re.MULTILINE):
            self.tasks.setdefault(name, []).append(int(count))

    def told(self) -> dict[str, Any]:
        long = {pid: seen for pid, seen in self.seen.items() if len(seen.at_s) >= 12}
        return {f"{seen.name} ({pid})": seen.told() for pid, seen in long.items()}


def faults(ground: Ground) -> Iterator[tuple[str, Callable[[], None]]]:
    """One after the other, without end: its name, and what begins it. The first worker is left alive, to see what grows."""
    kinds = {
        "worker killed": lambda: os.kill(ground.workers()[-1], signal.SIGKILL),
        "upstream slow": lambda: ground.upstream.answer(Script(delay_s=0.2)),
        "upstream refuses": lambda: ground.upstream.answer(Script(status=503)),
        "PostgreSQL restarted": lambda: os.kill(ground.platform.postgres_pid() or 0, signal.SIGINT),
    }
    yield from itertools.cycle(kinds.items())


def soak(ground: Ground, seconds: float) -> dict[str, Any]:
    port = ground.platform.port
    with Asking(port, ground.key) as full:
        time.sleep(min(FULL_S, seconds / 10))
    full_per_s = sum(full.statuses.values()) / min(FULL_S, seconds / 10)
    watch, order, done = Watch(ground), faults(ground), Counter[str]()
    checks, began_s = 0, time.monotonic()
    next_fault_s = next_check_s = 0.0
    with Asking(port, ground.key, full_per_s * SHARE) as asking:
        while (now_s := time.monotonic() - began_s) < seconds:
            watch.look()
            if now_s > next_check_s and ground.platform.postgres_pid():
                checks, next_check_s = checks + invariants_hold(ground), now_s + CHECK_S
            if now_s > next_fault_s:
                ground.upstream.answer(Script())
                name, begin = next(order)
                begin()
                done[name] += 1
                next_fault_s = now_s + seconds / FAULTS_IN_A_RUN
            time.sleep(SAMPLE_S)
    ground.upstream.answer(Script())
    wait_until(lambda: not ground.platform.sql("SELECT FROM wallet_hold LIMIT 1"), 120)
    check_invariants(ground.platform, {**full.told, **asking.told})
    return {
        "seconds": round(seconds),
        "full_per_s": round(full_per_s),
        "asked_per_s": round(sum(asking.statuses.values()) / seconds),
        "answers": dict(asking.statuses),
        "faults": dict(done),
        "told_and_found": len(full.told) + len(asking.told),
        "invariants": {"checks_under_load": checks, "violations": 0},
        "processes": watch.told(),
        "tasks": {name: [counts[0], counts[-1], max(counts)] for name, counts in watch.tasks.items()},
    }


def invariants_hold(ground: Ground) -> bool:
    """Whether they could be asked; raises AssertionError when one does not hold."""
    try:
        check_invariants(ground.platform, {})
    except AssertionError:
        raise
    except Exception:  # whatever a database says that is coming up
        return False
    return True


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    try:
        with made_ground(FIRST_LOOK_S, workers="2") as ground:
            ground.platform.cli("model", "add", MODEL, "--upstream", "scripted", "--input", PRICE, "--output", PRICE)
            bearer = {"authorization": f"Bearer {ground.key}"}
            wait_until(lambda: MODEL in ground.http.get("/v1/models", headers=bearer).text)
            found = soak(ground, seconds)
    finally:
        homes.forget()
    command = f"python -m bench.soak {seconds:g}"
    at = datetime.now(UTC).isoformat(timespec="seconds")
    found = {"at": at, "command": command, "machine": machine.describe(), **found}
    RESULTS.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
