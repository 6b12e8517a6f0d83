"""One connection to an upstream and the exchange that it carries (HTTP/1.1, RFC 9112).

An exchange is one request and its response. It ends in exactly one of three ways: complete, failed with a named error,
or cancelled; only a complete exchange may leave its connection to the next one.

Everything that an upstream sends is hostile: heads, bodies and buffers are bounded, a second response that nobody asked
for ends the connection, and no error repeats what was received. Times are seconds, sizes bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

import httptools

from avow.base.errors import AvowError
from avow.gateway import whole

INFORMATIONAL_MAX = 8
TOLD_BYTES_MAX = 64 * 1024
FRAMING = frozenset((b"content-length", b"transfer-encoding", b"content-encoding"))
DISCARD_S_MAX = 1.0
NOT_HTTP = "The upstream's answer is not valid HTTP."
HEAD_TOO_LARGE = "The headers of the upstream's answer are larger than the limit."
BODY_TOO_LARGE = "The upstream's answer is larger than the limit."


class UpstreamError(AvowError):
    """The upstream gave no usable answer."""

    status = 502
    code = "upstream_error"
    hint = "Nothing was charged for what did not arrive. Try again, or choose another model."


class UpstreamRefused(UpstreamError):
    """No connection to the upstream could be made."""

    code = "upstream_refused"


class UpstreamTimeout(UpstreamError):
    """The upstream did not answer in time."""

    status = 504
    code = "upstream_timeout"


class UpstreamGarbage(UpstreamError):
    """The upstream answered with something that is not a valid response."""

    code = "upstream_garbage"


class UpstreamTooLarge(UpstreamGarbage):
    """The upstream's answer is larger than the limit."""

    code = "upstream_answer_too_large"
    hint = "Nothing was charged. Ask for less at once: fewer images, smaller ones, or a format that takes less room."


class UpstreamLost(UpstreamError):
    """The connection to the upstream ended before its answer was complete."""

    code = "upstream_lost"


class UpstreamFull(UpstreamError):
    """All connections to the upstream are in use."""

    status = 503
    code = "upstream_full"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each phase of an exchange may take, in seconds."""

    connect_s: float = 5.0
    first_byte_s: float = 300.0
    between_bytes_s: float = 120.0
    total_s: float = 900.0
    idle_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an upstream may make us hold, in bytes, and how many connections one origin may have."""

    head_bytes: int = 64 * 1024
    body_bytes: int = 64 * 1024 * 1024
    buffer_bytes: int = 256 * 1024
    connections: int = 512
    waiters: int = 1024


class Home(Protocol):
    """Where a connection belongs: it comes back there when it is free and is forgotten when it is closed."""

    limits: Limits
    timeouts: Timeouts
    keep: bool

    def release(self, connection: Connection) -> None: ...

    def forget(self, connection: Connection) -> None: ...


class Exchange:
    """One response as it arrives. `status` and `headers` are set once `Client.send` has returned it."""

    __slots__ = (
        *("_chunks", "_connection", "_failure", "_finished", "_has_begun", "_size", "_stopped", "_take", "_waiter"),
        *("at_head", "headers", "status", "told"),
    )

    told: Callable[[bool], None] | None
    """For who does not await: called once, with whether a whole answer is there that `peek` has; False: the head
    came (where `at_head` asks for it), a status other than 200, much of something long, or a failure: it has to be awaited."""
    at_head: bool
    _failure: UpstreamError | None
    _waiter: asyncio.Future[bool] | None
    _take: Callable[[bytes], bool] | None
    _stopped: Callable[[Exception | None], None] | None
    _connection: Connection | None

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self._chunks: list[bytes] = []
        self.status = self._size = 0
        self._finished = self._has_begun = self.at_head = False
        self.told = self._failure = self._waiter = self._take = self._stopped = self._connection = None

    def __repr__(self) -> str:
        return f"Exchange(status={self.status}, finished={self._finished})"

    @property
    def is_under_way(self) -> bool:
        """Whether its end is still to come."""
        return not self._finished

    @property
    def is_complete(self) -> bool:
        """Whether its end has come as it should."""
        return self._finished and self._failure is None

    @property
    def size(self) -> int:
        """Bytes of its body that came and were not taken."""
        return self._size

    @property
    def is_stale(self) -> bool:
        """Whether the connection had been closed before one byte of an answer came, as one that was kept for long may be."""
        return isinstance(self._failure, UpstreamLost) and not self._has_begun

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header; `name` in lower case."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    async def read(self) -> bytes:
        """All bytes of the body that have come since the last call, at least one; `b""` at the end.

        Raises an `UpstreamError` once everything that came before the failure has been read.
        """
        while not self._chunks:
            if self._failure is not None:
                raise self._failure
            if self._finished:
                return b""
            await self._wait()
        return self._pop()

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        """Give `take` what comes as it comes, in the moment it comes, until it says False; True at the end of the body.

        Nobody is woken for a piece, which for a stream is most of what one costs. What comes after `take` has said False
        waits, as for `read`. Raises an `UpstreamError` as `read` does, and what `take` raises.
        """
        while True:
            if self._chunks:
                if not take(self._pop()):
                    return False
                self.straighten(None)  # whether a chunk begins with the next read, only the connection knows
            if self._failure is not None:
                raise self._failure
            if self._finished:
                return True
            self._take = take
            try:
                if await self._wait():
                    return False
            finally:
                self._take = None

    def flow(self, take: Callable[[bytes], bool], stopped: Callable[[Exception | None], None]) -> None:
        """As `pour`, for who does not await: `stopped` is called once, when `take` has said False or raised, or the end has come.
        What comes after, and what is there of the body at the end, waits to be poured."""
        self._take, self._stopped = take, stopped
        self._stop(None) if self._finished else self._came()

    def stay(self) -> None:
        """What flows, flows no more: it waits to be poured. Nothing is told any more."""
        self.told = self._take = self._stopped = None
        self.straighten(None)

    def straighten(self, straight: Callable[[bytes], bytes] | None) -> None:
        """Whoever pours may say, while a piece is taken, what is given before all else what begins where a chunk of HTTP does: it
        takes whole chunks and answers what is left, and has to `count` the bytes of the body in them."""
        if self._connection is not None:
            self._connection.straight = straight

    @property
    def bytes_left(self) -> int:
        """How many bytes its body may still have."""
        connection = self._connection
        return 0 if connection is None else connection._bytes_max - connection._total_bytes

    def count(self, size: int) -> None:
        """So many bytes of the body passed it by."""
        if self._connection is not None:
            self._connection._total_bytes += size

    def _pop(self) -> bytes:
        chunks, self._chunks, self._size = self._chunks, [], 0
        if self._connection is not None and self._connection._paused:
            self._connection.resume()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def rest(self, bytes_max: int) -> bytes:
        """The whole remaining body; `UpstreamTooLarge` when it is longer than `bytes_max`."""
        if self._finished and self._failure is None and self._size <= bytes_max:
            return self._pop() if self._chunks else b""
        parts: list[bytes] = []
        size = 0
        while chunk := await self.read():
            size += len(chunk)
            if size > bytes_max:
                self.cancel()
                raise UpstreamTooLarge
            parts.append(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def cancel(self) -> None:
        """Close the connection at once; the upstream sees it and stops working. No-op on a finished exchange."""
        if self._connection is not None:
            self._connection.fail(UpstreamLost("The call was cancelled."))

    def discard(self) -> None:
        """Nobody reads on: keep the connection if the response ends within a second, else close it."""
        self._chunks.clear()
        if self._connection is not None:
            self._connection.drain()

    async def _wait(self) -> bool:
        """Wait until something came that was not taken, or the end did; whether `take` has said False."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self.cancel()
            raise
        finally:
            self._waiter = None

    def peek(self) -> bytes:
        """The body of a whole answer; it stays here, should the exchange be awaited after all."""
        size, body = self._size, self._pop()
        self._chunks, self._size = [body], size
        return body

    async def head(self) -> None:
        """Wait for the head. Raises an `UpstreamError`."""
        while not self.status:
            if self._failure is not None:
                raise self._failure
            await self._wait()

    def _came(self) -> None:
        """Something came: it is taken at once, or who waits for it is woken."""
        if self.told is not None:
            self._has_begun = True
            if self.status and (self.at_head or self.status != 200 or self._size > TOLD_BYTES_MAX):
                self._tell(False)
            return
        take = self._take
        if take is None or not self._chunks:
            self._wake()
            return
        try:
            more, wrong = take(self._pop()), None
        except Exception as error:
            more, wrong = False, error
        if not more:
            self._stop(wrong)

    def _stop(self, wrong: Exception | None) -> None:
        """Nothing more is taken as it comes."""
        stopped, self._stopped, self._take = self._stopped, None, None
        if stopped is not None:
            stopped(wrong)
        elif wrong is None:
            self._wake(stopped=True)
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(wrong)

    def _tell(self, whole: bool) -> None:
        told, self.told = self.told, None
        if told is not None:
            told(whole)

    def _wake(self, *, stopped: bool = False) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(stopped)

    def _end(self, failure: UpstreamError | None) -> None:
        self._connection = None
        self._finished = True
        self._failure = failure
        if self.told is not None:
            self._tell(failure is None and self.status == 200)
        elif self._stopped is not None:
            self._stop(None)
        else:
            self._wake()


class Connection(asyncio.Protocol):
    """One connection of a pool: carries one exchange at a time and has one timer for its whole life."""

    straight: Callable[[bytes], bytes] | None = None  # see `Exchange.straighten`

    def __init__(self, pool: Home) -> None:
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._exchange: Exchange | None = None
        self._time = self._loop.time
        self._head_bytes_max, self._bytes_max = pool.limits.head_bytes, pool.limits.body_bytes
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._at = self._total_at = self._heard_at = 0.0
        self._reset()

    def _reset(self) -> None:
        self._complete = self._extra = self._head_done = self._is_body = self._keep = False
        self._until_eof = self._paused = self._draining = self.received = self._is_used = self._is_between = False
        self._informational = 0
        self._quiet_bytes = self._total_bytes = 0
        self._fault = ""

    def start(self, exchange: Exchange, message: bytes) -> None:
        """Send `message`; the response goes to `exchange`."""
        if self._is_used:
            self._reset()
        self._exchange = exchange
        exchange._connection = self
        now = self._loop.time()
        self._total_at = now + self._pool.timeouts.total_s
        self._watch(min(now + self._pool.timeouts.first_byte_s, self._total_at))
        if self._transport is None or self._transport.is_closing():
            self.fail(UpstreamLost())
        else:
            self._transport.write(message)

    def fail(self, failure: UpstreamError) -> None:
        """End the exchange with `failure` and close the connection."""
        exchange, self._exchange, self.straight = self._exchange, None, None
        self.close()
        if exchange is not None:
            exchange._end(failure)

    def close(self) -> None:
        self._pool.forget(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._transport is not None:
            self._transport.abort()

    def resume(self) -> None:
        """The reader has caught up: let the upstream send again."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._watch(min(self._loop.time() + self._pool.timeouts.between_bytes_s, self._total_at))
            self._transport.resume_reading()

    def drain(self) -> None:
        self._draining = True
        self.resume()
        self._watch(min(self._loop.time() + DISCARD_S_MAX, self._late_at))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if exc is None and self._until_eof and self._exchange is not None:
            self._complete = True
            self._finish(self._exchange)
        else:
            self.fail(UpstreamLost())

    def data_received(self, data: bytes) -> None:
        straight = self.straight
        if straight is not None:
            data = straight(data)
            if not data:
                self._heard_at = self._time()
                return
        exchange = self._exchange
        if exchange is None:
            self.close()
            return
        is_first = not self.received and exchange.told is not None and not exchange.at_head
        if is_first and (body := whole.body(data, self._head_bytes_max, self._bytes_max)) is not None:
            return self._take_whole(exchange, body)
        self.received = self._is_used = True
        total_before = self._total_bytes
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fault, self._extra = self._fault or ("" if self._complete else NOT_HTTP), True
        self._quiet_bytes = 0 if self._total_bytes > total_before else self._quiet_bytes + len(data)
        if self._quiet_bytes > self._head_bytes_max:
            self._fault = HEAD_TOO_LARGE
        elif self._total_bytes > self._bytes_max:
            self._fault = BODY_TOO_LARGE
        if self._fault:
            self.fail(UpstreamGarbage(self._fault))
        elif self._complete:
            self._finish(exchange)
        else:
            self._advance(exchange)
            if not self._is_between or data[-1:] != b"\n":
                self.straight = None

    def _take_whole(self, exchange: Exchange, body: bytes) -> None:
        """A whole answer that needs no parser, which stays where it was: between two messages."""
        exchange.status, exchange._finished = 200, True
        exchange._chunks.append(body)
        exchange._size = len(body)
        exchange._connection = self._exchange = None
        if self._pool.keep:
            self._watch(self._loop.time() + self._pool.timeouts.idle_s)
            self._pool.release(self)
        else:
            self.close()
        exchange._tell(True)

    def _advance(self, exchange: Exchange) -> None:
        if self._draining:
            exchange._chunks.clear()
            exchange._size = 0
        elif exchange._size > self._pool.limits.buffer_bytes and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
            self._watch(self._total_at)
        else:
            self._wait_on()
        exchange._came()

    def _wait_on(self) -> None:
        """Something came and more is awaited. The time for it is not measured anew for each piece of a body, but by `_tick`."""
        now = self._time()
        if self._is_body:
            self._heard_at = now
            return
        timeouts, self._is_body = self._pool.timeouts, self._head_done
        wait_s = timeouts.between_bytes_s if self._head_done else timeouts.first_byte_s
        self._watch(min(now + wait_s, self._total_at))

    def _finish(self, exchange: Exchange) -> None:
        self._exchange = self.straight = None
        if self._keep and not self._extra and self._transport is not None:
            if self._paused:
                self._transport.resume_reading()
            self._watch(self._loop.time() + self._pool.timeouts.idle_s)
            self._pool.release(self)
        else:
            self.close()
        exchange._end(None)

    # callbacks of the parser: they only note what came, data_received decides

    def on_message_begin(self) -> None:
        if self._complete:
            self._extra = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._exchange is not None and not self._head_done and not self._extra:
            self._exchange.headers.append((name, value))

    def on_headers_complete(self) -> None:
        exchange = self._exchange
        if exchange is None or self._extra:
            return
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self._informational += 1
            exchange.headers.clear()
            if status == 101 or self._informational > INFORMATIONAL_MAX:
                self._fault = NOT_HTTP
            return
        if status < 100:  # none of RFC 9110 §15; 0 would mean that no answer has come yet
            self._fault = NOT_HTTP
            return
        self._head_done = True
        self._read_framing(status, exchange)
        exchange.status = status

    def _read_framing(self, status: int, exchange: Exchange) -> None:
        """RFC 9112 §6.3: how the body ends. A coded body is refused: we asked for none and could not meter it."""
        framed = status in (204, 304)
        size = 0
        for name, value in exchange.headers:
            size += len(name) + len(value)
            lower = name.lower()
            if lower not in FRAMING:
                continue
            if lower == b"content-length":
                framed = True
            elif lower == b"transfer-encoding":
                framed = True
                if value.strip().lower() != b"chunked":
                    self._fault = "The upstream's answer has a transfer coding that was not asked for."
            elif lower == b"content-encoding" and value.strip().lower() != b"identity":
                self._fault = "The upstream's answer has a content coding that was not asked for."
        self._until_eof = not framed
        if size > self._pool.limits.head_bytes:
            self._fault = HEAD_TOO_LARGE

    def on_body(self, body: bytes) -> None:
        exchange = self._exchange
        if exchange is None or self._complete:
            return
        size = len(body)
        exchange._chunks.append(body)
        exchange._size += size
        self._total_bytes += size

    # Behind the line end of a chunk the parser waits for the next as it did before it, so a whole chunk may pass it by.

    def on_chunk_header(self) -> None:
        self._is_between = False

    def on_chunk_complete(self) -> None:
        self._is_between = True

    def on_message_complete(self) -> None:
        if self._head_done and not self._complete:
            self._complete = True
            self._keep = self._pool.keep and self._parser.should_keep_alive()

    # one timer per connection: moved lazily, so that an ordinary request arms none

    def _watch(self, at: float) -> None:
        self._at, self._heard_at = at, 0.0
        if self._timer is None or self._timer_at > at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self._loop.call_at(at, self._tick)

    @property
    def _late_at(self) -> float:
        """When what is awaited is late: the pieces of a body moved nothing but when the last was heard."""
        return min(self._heard_at + self._pool.timeouts.between_bytes_s, self._total_at) if self._heard_at else self._at

    def _tick(self) -> None:
        self._timer = None
        self._at = self._late_at
        if self._loop.time() < self._at:
            self._watch(self._at)
        else:
            self.fail(UpstreamTimeout())
