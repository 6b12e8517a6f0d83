"""A running Avow before an upstream that follows scripts and one that sends whatever bytes a test tells it to."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from avow.base import money
from avow.gateway.scripted import Script
from tests.platform import MODEL, Platform, wait_until
from tests.upstream import PRICES, Upstream, scripted_platform

HOSTILE_MODEL, TLS_MODEL = "scripted/hostile", "scripted/tls"
METRICS_TOKEN = "figures-for-the-faults"
COST = ": avow-cost "
TLS_HELLO = b"\x16"
_ANSWER = b"""{"choices": [{"index": 0, "message": {"role": "assistant", "content": "!"}, "finish_reason": "stop"}]}"""
SOUND = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(_ANSWER) + _ANSWER

Play = Callable[[asyncio.StreamWriter], Coroutine[Any, Any, None]]


def sends(data: bytes) -> Play:
    async def play(writer: asyncio.StreamWriter) -> None:
        writer.write(data)

    return play


class Hostile:
    """An upstream that reads a request and then does what `play` says with the way back."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.play: Play | None = None
        self.calls = 0
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), loop
        ).result()
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError, RuntimeError):
            if (first := await reader.readexactly(1)) == TLS_HELLO:
                return writer.close()
            head = first.lower() + (await reader.readuntil(b"\r\n\r\n")).lower()
            if head.startswith(b"get "):
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            else:
                length = re.search(rb"content-length: *([0-9]+)", head)
                await reader.readexactly(int(length[1]) if length else 0)
                self.calls += 1
                assert self.play is not None
                await self.play(writer)
            await writer.drain()
        writer.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)


@dataclass
class Ground:
    platform: Platform
    upstream: Upstream
    hostile: Hostile
    http: httpx.Client
    key: str
    told: dict[UUID, int] = field(default_factory=dict)
    """What each answer said that it cost."""

    def recover(self) -> None:
        """One answer of each upstream, so that what failed in the test before is forgiven."""
        self.upstream.answer(Script())
        self.hostile.play = sends(SOUND)
        for model in (MODEL, HOSTILE_MODEL):
            wait_until(lambda model=model: self.ask(model=model).status_code == 200)  # type: ignore[misc]

    def ask(self, **fields: Any) -> httpx.Response:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "?"}], "max_tokens": 8, **fields}
        answer = self.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {self.key}"})
        cost = answer.headers.get("avow-cost") or answer.text.partition(COST)[2].partition("\n")[0]
        if cost:
            self.told[UUID(answer.headers["avow-request-id"])] = money.parse(cost)
        return answer

    def calls_with(self, word: str) -> int:
        """How many requests with a word in them the scripted upstream has taken; canaries of the platform call it too."""
        return sum(word in str(each) for each in self.upstream.scripted.requests)

    def wallet(self) -> tuple[str, str]:
        """Balance and what is held."""
        found = self.http.get("/api/wallet").json()
        return found["balance"], found["held"]

    def settled(self) -> None:
        """Wait until nothing is held any more."""
        wait_until(lambda: not self.platform.sql("SELECT FROM wallet_hold LIMIT 1"))

    def charged(self, answer: httpx.Response) -> int:
        """What an answer cost in the end, in nano-units."""
        rows = self.platform.sql("SELECT amount FROM charge WHERE id = $1", UUID(answer.headers["avow-request-id"]))
        return sum(row["amount"] for row in rows)

    def last(self) -> dict[str, Any]:
        row: dict[str, Any] = self.http.get("/api/usage").json()["requests"][0]
        return row

    def check_money(self) -> None:
        """Everything is settled, what was told stands there, and every invariant holds."""
        self.settled()
        check_invariants(self.platform, self.told)

    def figure(self, name: str) -> float:
        """The sum of a figure of `/metrics`, at most a second old."""
        text = self.http.get("/metrics", headers={"authorization": f"Bearer {METRICS_TOKEN}"}).text
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? ([0-9.e+-]+)$", text, re.MULTILINE))

    def __post_init__(self) -> None:
        self._workers = Workers(self.platform)
        self._workers.pids()

    def workers(self) -> list[int]:
        """The processes of the gateway that live."""
        return self._workers.pids()

    def memory_bytes(self) -> int:
        """What all workers together hold."""
        return sum(resident_bytes(pid) for pid in self.workers())

    @contextmanager
    def connection(self, limit_s: float = 20) -> Iterator[socket.socket]:
        """A connection on which a test speaks for itself."""
        with socket.create_connection(("127.0.0.1", self.platform.port), limit_s) as made:
            yield made


@dataclass
class Workers:
    """The gateway workers of a platform by their place, whichever process holds it now."""

    platform: Platform
    _parent: int = 0
    _pids: list[int] = field(default_factory=list)
    _known: set[int] = field(default_factory=set)

    def pids(self) -> list[int]:
        """Those that live. A parent forks them first; who was not there before has the place of one that ended."""
        assert self.platform.process
        parent = self.platform.process.pid
        there = sorted(map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split()))
        if parent != self._parent:
            self._parent, self._pids = parent, there[: int(self.platform.settings.get("workers", "1"))]
        new = [pid for pid in there if pid not in self._known and pid not in self._pids]
        for place, pid in enumerate(self._pids):
            if pid not in there and new:
                self._pids[place] = new.pop(0)
        self._known.update(there)
        return [pid for pid in self._pids if pid in there]


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def check_invariants(platform: Platform, told: dict[UUID, int]) -> None:
    """All rules of `billing/invariants.py`, I5 by what clients were told."""
    assert platform.sql("SELECT * FROM ledger_violations($1)", datetime.now(UTC)) == []
    assert platform.sql("SELECT * FROM ledger_missing($1, $2)", list(told), list(told.values())) == []


@contextmanager
def made_ground(first_look_s: float | None = None, **settings: str) -> Iterator[Ground]:
    with (
        scripted_platform(first_look_s=first_look_s, metrics_token=METRICS_TOKEN, **settings) as (platform, upstream),
        platform.http() as http,
    ):
        hostile = Hostile(upstream.loop)
        for name, model, scheme in (("hostile", HOSTILE_MODEL, "http"), ("tls", TLS_MODEL, "https")):
            platform.cli("upstream", "add", name, f"{scheme}://127.0.0.1:{hostile.port}/v1")
            platform.cli("model", "add", model, "--upstream", name, *PRICES)
        platform.sign_up(http)
        key = platform.key(http)["secret"]
        wait_until(lambda: TLS_MODEL in http.get("/v1/models", headers={"authorization": f"Bearer {key}"}).text)
        try:
            yield Ground(platform, upstream, hostile, http, key)
        finally:
            hostile.close()
