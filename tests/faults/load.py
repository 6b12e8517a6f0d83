"""Customers who call at the same time and write down every cost that they were told."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

import httpx

from avow.base import money
from tests import LIMIT_S
from tests.platform import MODEL, Platform

COST = ": avow-cost "
PAUSE_S = 0.05


@dataclass
class Load:
    """Runs as long as its block. `told` maps each request whose cost was told to that cost in nano-units."""

    platform: Platform
    keys: list[str]
    clients: int
    told: dict[UUID, int] = field(default_factory=dict)
    told_twice: list[UUID] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: list[Exception] = field(default_factory=list)
    """What ended a client before its time: a client that is gone shows nothing."""

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._call, args=(n,), daemon=True) for n in range(self.clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)
        if self.broken and kind is None:
            raise self.broken[0]

    def _call(self, number: int) -> None:
        try:
            self._ask_on(number)
        except Exception as wrong:  # whatever it is, the test has to hear of it
            self.broken.append(wrong)

    def _ask_on(self, number: int) -> None:
        """One client: a JSON answer, a stream, a stream that it leaves, and again."""
        with httpx.Client(base_url=self.platform.base_url, timeout=LIMIT_S) as http:
            turn = number
            while not self._over.is_set():
                turn += 1
                try:
                    self._one(http, self.keys[number % len(self.keys)], turn)
                except httpx.HTTPError:
                    time.sleep(PAUSE_S)

    def _one(self, http: httpx.Client, key: str, turn: int) -> None:
        kind = turn % 3
        body = {"model": MODEL, "messages": [{"role": "user", "content": "?"}], "max_tokens": 8, "stream": kind > 0}
        bearer = {"authorization": f"Bearer {key}"}
        with http.stream("POST", "/v1/chat/completions", json=body, headers=bearer) as answer:
            with self._lock:
                self.statuses[answer.status_code] += 1
            if answer.status_code != 200:
                time.sleep(PAUSE_S)
            elif kind == 0:
                answer.read()
                self._note(answer, answer.headers["avow-cost"])
            elif kind == 1:
                text = answer.read().decode()
                if COST in text:
                    self._note(answer, text.partition(COST)[2].partition("\n")[0])
            else:
                with suppress(StopIteration):
                    next(answer.iter_bytes())

    def _note(self, answer: httpx.Response, cost: str) -> None:
        request_id = UUID(answer.headers["avow-request-id"])
        with self._lock:
            if request_id in self.told:
                self.told_twice.append(request_id)
            self.told[request_id] = money.parse(cost)
