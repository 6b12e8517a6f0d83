"""The worker's path of a completion without sockets and PostgreSQL: its CPU time, and that of its steps alone.

    python -m bench.path [--requests 300] [--rounds 25] [--at_once 64]

Everything is the product's but the far ends: connections are given bytes and take them, and PostgreSQL says yes to each event
in the next turn of the loop. Steps are measured hot, one after the other many times, so they add up to less than the whole
path: there 64 requests are under way at once. Fastest of the rounds. Writes bench/results/path.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import asyncpg
import msgspec
import uvicorn
import uvloop
from uvicorn.server import ServerState

from avow import server
from avow.accounts import key_text, tokens
from avow.accounts.directory import Directory, KeyRecord, _Seen
from avow.base.clock import SystemClock
from avow.base.ids import uuid7
from avow.billing.ledger import Batcher
from avow.billing.prices import Price, Prices
from avow.gateway import FUNCTIONS, asgi, kept, meter, orders, upstreams, wire
from avow.gateway.cache import Cache
from avow.gateway.client import Client, Pool, Target
from avow.gateway.completion import Gateway
from avow.gateway.connection import Connection
from avow.gateway.direct import Direct
from avow.gateway.fleet import Route
from avow.gateway.meter import Outcome
from avow.gateway.orders import Wish
from avow.gateway.rules import Model, RuleBook, Rules
from avow.policy import parse
from avow.vault import Ref, Ring, Vault
from bench import gateway, machine

RESULTS = Path(__file__).parent / "results" / "path.json"
POLICY = Path(__file__).parents[1] / "profiles" / "default.toml"
NONE: Any = None
ANSWER = json.dumps(
    {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion",
        "created": 1741569952,
        "model": "gpt-4o-2024-08-06",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello! " * 10, "refusal": None, "annotations": []},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 219, "completion_tokens": 18, "total_tokens": 237},
    }
).encode()
UPSTREAM_SAYS = b"HTTP/1.1 200 OK\r\nServer: mock\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(ANSWER),
    ANSWER,
)


class Wire(asyncio.Transport):
    """One end of a connection without a socket: what is written goes to `far`, in the next turn of the loop."""

    def __init__(self, far: Callable[[bytes], None]) -> None:
        super().__init__()
        self._far, self._loop = far, asyncio.get_running_loop()

    def write(self, data: Any) -> None:
        self._loop.call_soon(self._far, data)

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def close(self) -> None: ...

    def abort(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class WiredPool(Pool):
    """Connections to an upstream that answers everything alike."""

    async def _connect(self) -> Connection:
        connection = Connection(self)
        connection.connection_made(Wire(lambda _: connection.data_received(UPSTREAM_SAYS)))
        return connection


class WiredClient(Client):
    def _pool(self, target: Target) -> Pool:
        pool = self._pools.get(target.key)
        if pool is None:
            pool = self._pools[target.key] = WiredPool(target, self.limits, self.timeouts)
        return pool


class Statement:
    """A statement of the ledger whose every event is taken."""

    def __init__(self, query: str) -> None:
        self._query = query

    async def fetchval(self, *_: Any) -> None:
        await asyncio.sleep(0)

    async def fetchrow(self, *arguments: Any) -> tuple[Any, ...]:
        await asyncio.sleep(0)
        if "ledger_open" in self._query:
            return (None, 0, 1, None)
        if "_settle" in self._query:
            return (arguments[1], True, 1)
        return (None, None, None, None, None, None, 1, None, None)


class Answering:
    """A connection to a PostgreSQL that says yes."""

    async def fetchval(self, *_: Any) -> int:
        return 1

    async def execute(self, *_: Any) -> None: ...

    async def set_type_codec(self, *_: Any, **__: Any) -> None: ...

    async def prepare(self, query: str) -> Statement:
        return Statement(query)

    async def close(self, timeout: float = 0) -> None: ...

    def terminate(self) -> None: ...


class House:
    """A worker's gateway with a key whose content is kept, and the bytes of a request."""

    def __init__(self, folder: Path, clock: SystemClock) -> None:
        self.clock, self.folder = clock, folder
        self.vault = Vault(Ring(folder / "keyring" / "ring.db"), parse(POLICY.read_text()), clock)
        self.key_text = key_text.make()
        self.record = KeyRecord(uuid7(), uuid7(), uuid7(), uuid7(), 24, 24, None)
        self.directory = self._directory()
        self.upstream = upstreams.provider("compatible", "mock", "http://127.0.0.1:1/v1", "sk", processor=None)
        self.price = Price(uuid7(), "bench", "USD", 100, 100, 100, clock.now())
        self.body = msgspec.json.encode(gateway.request(False))
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\nAccept: */*\r\n"
            f"User-Agent: OpenAI/Python 2.0\r\nAuthorization: Bearer {self.key_text.text}\r\n"
            f"Content-Length: {len(self.body)}\r\n\r\n"
        )
        self.request = head.encode() + self.body

    def _directory(self) -> Directory:
        pepper = bytes(32)
        made = Directory(NONE, pepper, self.clock, must_confirm=False, monotonic=lambda: 0.0)
        digest = tokens.digest(pepper, "api_key", self.key_text.text)
        made._seen[self.key_text.public_id] = _Seen(0.0, digest, "active", True, self.record)
        return made

    def rules(self) -> Rules:
        model = Model("bench", (Route(self.upstream, "bench"),), 8192, 4096)
        return Rules(1, self.vault.policy, {"bench": model}, Prices([self.price]))

    async def gateway(self) -> Gateway:
        async def rules() -> Rules:
            return self.rules()

        async def connect() -> asyncpg.Connection:
            return cast(asyncpg.Connection, Answering())

        book = RuleBook(rules)
        await book.start()
        ledger = Batcher(connect, self.clock, self.folder, functions=FUNCTIONS, wait_s_max=60)
        ledger.start()
        made = Gateway(
            *(book, self.directory, ledger, self.vault, WiredClient(), self.clock, NONE, NONE),
            cache=Cache(NONE, self.vault, self.clock),
            decisions=NONE,
            calls_per_key_max=10_000,
        )
        return made


class Callers:
    """Connections of clients that ask again as soon as they are answered, until `requests` were answered."""

    def __init__(self, house: House, made: Gateway, at_once: int) -> None:
        self._house, self._left, self._done = house, 0, asyncio.Event()
        short = server.protocol(Direct(made).take)  # type: ignore[arg-type]
        config = uvicorn.Config(
            _nobody, interface="asgi3", ws="none", log_config=None, server_header=False, access_log=False
        )
        config.load()
        state, self._protocols = ServerState(), []
        for _ in range(at_once):
            protocol = short(config, state, {}, asyncio.get_running_loop())
            protocol.connection_made(Wire(self._answered(protocol)))
            self._protocols.append(protocol)

    def _answered(self, protocol: Any) -> Callable[[bytes], None]:
        def answered(data: bytes) -> None:
            assert data.startswith(b"HTTP/1.1 200"), data
            self._left -= 1
            if self._left >= len(self._protocols):
                protocol.data_received(self._house.request)
            elif self._left == 0:
                self._done.set()

        return answered

    async def ask(self, requests: int) -> float:
        """CPU seconds of the process for so many requests."""
        self._left = requests
        self._done.clear()
        began = time.process_time()
        for protocol in self._protocols:
            protocol.data_received(self._house.request)
        await self._done.wait()
        return time.process_time() - began


async def _nobody(*_: Any) -> None:
    raise AssertionError("a request took the long way")


@contextlib.contextmanager
def furnished() -> Iterator[House]:
    with tempfile.TemporaryDirectory() as folder:
        yield House(Path(folder), SystemClock())


async def whole(house: House, requests: int, rounds: int, at_once: int) -> list[float]:
    """Microseconds of CPU per request, for each round."""
    made = await house.gateway()
    callers = Callers(house, made, at_once)
    await callers.ask(max(requests, 2 * at_once))
    took = [await callers.ask(requests) / requests * 1e6 for _ in range(rounds)]
    await made.close()
    await cast(Batcher, made.ledger).close()
    return took


async def steps(house: House) -> list[tuple[str, float]]:
    """Microseconds of CPU of each step, hot."""
    made = await house.gateway()
    book, at, plan_of = made.rules, house.clock.now(), made.rules.current.plan
    head = [(b"content-type", b"application/json"), (b"authorization", b"Bearer " + house.key_text.text.encode())]
    head.append((b"content-length", b"%d" % len(house.body)))
    request = wire.parse(house.body)
    wish = Wish(request, house.record, len(house.body), None)
    order = orders.judge(wish, book, at, None)
    way = house.upstream.ways["chat"][0]
    read = way.dialect.read(ANSWER)
    outcome = Outcome(usage=read.usage, answer=ANSWER)
    ref = Ref(house.record.tenant_id, "trace", "api_content", order.request_id, house.record.subject_id)
    fields = {"request": request.fields, "response": msgspec.Raw(ANSWER)}
    await house.vault.prepare(ref.subject_id, ref.category, cast(datetime, order.kept_until))
    alone: list[tuple[str, Callable[[], object]]] = [
        ("the head judged", lambda: asgi.judge(head)),
        ("the key: HMAC and memory", lambda: _run(house.directory.admit(house.key_text.text, "inference", None))),
        ("the body parsed and checked", lambda: wire.parse(house.body)),
        ("the compiled plan found", lambda: plan_of(house.record)),
        ("judged, priced, an id, the hold's fields", lambda: orders.opening(orders.judge(wish, book, at, None))),
        ("encoded again for the upstream", lambda: house.upstream.message(way, request, "bench", 64)),
        ("the upstream's answer read", lambda: way.dialect.read(ANSWER)),
        ("metered", lambda: meter.measure(outcome, order.price, request.fields)),
        ("sealed", lambda: house.vault.seal(ref, fields, cast(datetime, order.kept_until))),
        ("the headers of the answer", lambda: kept.headers(order, True)),
    ]
    found = [(name, _alone_us(step)) for name, step in alone]
    await cast(Batcher, made.ledger).close()
    return found


def _run(coroutine: Coroutine[Any, Any, object]) -> None:
    """A coroutine that need not wait."""
    with contextlib.suppress(StopIteration):
        coroutine.send(None)


def _alone_us(step: Callable[[], object], times: int = 500, rounds: int = 15) -> float:
    fastest = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(times):
            step()
        fastest = min(fastest, time.process_time() - began)
    return fastest / times * 1e6


def report(rows: Sequence[tuple[str, float]]) -> None:
    for name, us in rows:
        print(f"{name:60}{us:8.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--at_once", type=int, default=64)
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, furnished() as house:
        took = runner.run(whole(house, options.requests, options.rounds, options.at_once))
        rows = runner.run(steps(house))
    rows += [("whole path, fastest", min(took)), ("whole path, median", statistics.median(took))]
    report(rows)
    told = {
        "bench": "path",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.describe(),
        "us": {name: round(us, 2) for name, us in rows},
    }
    RESULTS.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
