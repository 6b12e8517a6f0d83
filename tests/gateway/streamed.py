"""A stream from an upstream's reads to a client, with everything real between but for the sockets, the order and the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import httptools

from avow.base.errors import AvowError
from avow.gateway.assembly import Assembly
from avow.gateway.call import Call
from avow.gateway.connection import Connection, Exchange, Limits, Timeouts
from avow.gateway.dialects import CHAT
from avow.gateway.straight import Outlet
from avow.gateway.upstreams import Way

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CHECKPOINT_TOKENS = 256


class Home:
    """A pool of which nothing is needed."""

    timeouts, keep = Timeouts(), True

    def __init__(self, body_bytes: int = 1 << 26) -> None:
        self.limits = Limits(body_bytes=body_bytes)
        self.released = 0

    def release(self, connection: Connection) -> None:
        self.released += 1

    def forget(self, connection: Connection) -> None:
        pass


class Wire:
    """A transport that is open until it is closed."""

    closed = False

    def is_closing(self) -> bool:
        return self.closed

    def write(self, message: bytes) -> None:
        pass

    def abort(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@dataclass
class Client:
    """Keeps what it gets, by both ways together, and how much came the short way. Reads on after `patience` writes."""

    straightens: bool
    patience: int = 1 << 30
    got: bytes = b""
    straight: int = 0
    fails: bool = False
    write_paused: bool = False
    _unread: int = 0

    def pass_on(self, data: bytes) -> bool:
        self._take(data)
        return not self.write_paused

    def _take(self, data: bytes) -> None:
        if self.fails:
            raise RuntimeError
        self.got += data
        self._unread += 1
        self.write_paused = self._unread >= self.patience

    def delivered(self, tokens: int) -> int:
        return tokens

    async def flush(self) -> None:
        await asyncio.sleep(0)
        self._unread, self.write_paused = 0, False

    def outlet(self) -> Outlet | None:
        return Outlet(self._write, self) if self.straightens else None

    def _write(self, data: bytes) -> None:
        self._take(dechunked(data))
        self.straight += data.count(b"data: ")


@dataclass
class Ledger:
    """Says when it wants to be told, as the real one, and keeps what was due."""

    due: list[tuple[int, int, int]] = field(default_factory=list)
    seen: Callable[[], tuple[int, int, int]] | None = None

    def progress(self, request_id: UUID, seen: Callable[[], tuple[int, int, int]]) -> int:
        self.seen, now = seen, seen()
        told = self.due[-1][2] if self.due else -1
        if told < 0 or now[2] - told >= CHECKPOINT_TOKENS:
            self.due.append(now)
            told = now[2]
        return told + CHECKPOINT_TOKENS


class Stream:
    """One answer on its way."""

    def __init__(
        self,
        client: Client,
        *,
        body_bytes: int = 1 << 26,
        tokens_max: int = 1000,
        engine: bool = False,
        keeps: bool = True,
        flows: bool = False,
    ) -> None:
        self.client, self.ledger, self.home = client, Ledger(), Home(body_bytes)
        self.connection, self.exchange = Connection(self.home), Exchange()
        self.connection.connection_made(cast(Any, Wire()))
        self.connection.start(self.exchange, b"")
        way = Way("/", cast(Any, None), CHAT, shows_progress=engine)
        upstream = SimpleNamespace(ways={"chat": (way, None)}, leaving="drain", processor=None)
        request = SimpleNamespace(stream=True, wants_usage=False, is_raw=False, fields={}, extent=None)
        order = SimpleNamespace(
            routes=[SimpleNamespace(upstream=upstream)],
            surface=SimpleNamespace(name="chat", bills=True),
            keeps=keeps,
            output_tokens_max=tokens_max,
            request=request,
            request_id=UUID(int=1),
        )
        begun = None if flows else self.exchange
        self.call = Call(cast(Any, order), cast(Any, None), cast(Any, None), self.ledger.progress, client, begun)
        self._route = order.routes[0]
        loop = asyncio.get_running_loop()
        self._flowed: asyncio.Future[bool] | None = None
        if flows:
            self._flowed = loop.create_future()
            self.exchange.at_head, self.exchange.told = True, self._begin_to_flow
        self.task = loop.create_task(self._read())

    @property
    def assembly(self) -> Assembly:
        """What the answer that is kept is made of."""
        assert self.call._reading is not None
        return cast(Assembly, self.call._reading.assembly)

    def _begin_to_flow(self, _: bool) -> None:
        assert self.call.flow(self.exchange, self._end_flowing)

    def _end_flowing(self, whole: bool) -> None:
        assert self._flowed is not None
        self.exchange.stay()
        self._flowed.set_result(whole)

    async def _read(self) -> str:
        """As `Plain` does where it flows: the task begins when something is to be waited for, or it is over."""
        try:
            if self._flowed is None or not await self._flowed:
                await self.call._ask(self._route)
        except AvowError as error:
            return str(error.code)
        except asyncio.CancelledError:
            return "cancelled"
        return "whole"

    async def feed(self, reads: Iterable[bytes]) -> None:
        for read in reads:
            await asyncio.sleep(0)
            if not self.connection._transport.is_closing():  # type: ignore[union-attr]
                self.connection.data_received(read)

    async def end(self) -> tuple[Any, ...]:
        """The upstream closes: all that there is to know of the answer."""
        if self.connection._transport is not None:
            self.connection.connection_lost(None)
        ended, outcome, ledger = await self.task, self.call.outcome, self.ledger
        seen = ledger.seen() if ledger.seen is not None else None
        told = (outcome.tokens, outcome.usage, outcome.finish, outcome.tail, outcome.begun)
        assert seen is None or seen[2] - ledger.due[-1][2] < CHECKPOINT_TOKENS
        return ended, self.client.got, outcome.answer, seen, told, self.home.released


async def compared(reads: Sequence[bytes], patience: int = 1 << 30, **how: Any) -> int:
    """That an answer is the same with the short way and without it, in a task and without one; how many chunks took it."""
    clients = [Client(straightens, patience) for straightens in (True, False, True, False)]
    ends = []
    for number, client in enumerate(clients):
        stream = Stream(client, flows=number >= 2, **how)
        await stream.feed([HEAD, *reads])
        ends.append(await stream.end())
    assert all(each == ends[0] for each in ends)
    assert not clients[1].straight and not clients[3].straight
    assert clients[2].straight >= clients[0].straight
    return clients[0].straight


def chunk(event: bytes, form: bytes = b"%x") -> bytes:
    return b"%b\r\n%b\r\n" % (form % len(event), event)


def dechunked(data: bytes) -> bytes:
    """What a client reads of chunks; asserts that nothing is behind them."""
    made: list[bytes] = []
    parser = httptools.HttpResponseParser(SimpleNamespace(on_body=made.append))
    parser.feed_data(HEAD)
    parser.feed_data(data)
    parser.feed_data(b"0\r\n\r\n")
    return b"".join(made)
