"""The HTTP client of the gateway: targets, a pool of kept connections per origin, one call that sends a request."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from avow.gateway.connection import (
    Connection,
    Exchange,
    Limits,
    Timeouts,
    UpstreamFull,
    UpstreamLost,
    UpstreamRefused,
    UpstreamTimeout,
)


class Target:
    """Where a request goes and what its head says; made once per upstream, so that a request costs one concatenation.

    The head holds a credential: it never appears in `repr`. With `keep=False` each request has a connection of its own.
    """

    __slots__ = ("context", "head", "host", "keep", "key", "path", "port", "unix")

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        method: str = "POST",
        unix: str | None = None,
        context: ssl.SSLContext | None = None,
        keep: bool = True,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ValueError("an upstream URL is http or https, has a host and holds no credential")
        secure = parts.scheme == "https"
        self.host = parts.hostname
        self.port = parts.port or (443 if secure else 80)
        self.path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self.unix = unix
        self.context = (context or default_context()) if secure else None
        self.keep = keep
        self.key = (self.host, self.port, unix, id(self.context) if secure else 0, keep)
        self.head = _head(method, self.path, parts.netloc, headers if keep else {**headers, "connection": "close"})

    def __repr__(self) -> str:
        return f"Target({self.unix or f'{self.host}:{self.port}'})"


@functools.cache
def default_context() -> ssl.SSLContext:
    """The TLS context of all upstreams: TLS 1.3, verifies the name and speaks HTTP/1.1 only (INF-5.1)."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    return context


def _head(method: str, path: str, host: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", "accept-encoding: identity"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if any(c in line for line in lines for c in "\r\n\0"):
        raise ValueError("a header of an upstream may hold no line break")
    return ("\r\n".join(lines) + "\r\ncontent-length: ").encode("latin-1")


class Pool:
    """The connections to one origin: those waiting for work, newest first, and those waiting for one of them."""

    def __init__(self, target: Target, limits: Limits, timeouts: Timeouts) -> None:
        self.limits = limits
        self.timeouts = timeouts
        self.keep = target.keep
        self._target = target
        self._idle: dict[Connection, None] = {}
        self._live: set[Connection] = set()
        self._taken = 0
        self._queue: deque[asyncio.Future[Connection | None]] = deque()

    async def acquire(self) -> tuple[Connection, bool]:
        """A connection and whether it has been used before."""
        if self._idle:
            return self._idle.popitem()[0], True
        if self._taken < self.limits.connections:
            self._taken += 1
        else:
            handed = await self._queue_up()
            if handed is not None:
                return handed, True
        return await self._open(), False

    def at_hand(self) -> Connection | None:
        """A connection that waits for work."""
        return self._idle.popitem()[0] if self._idle else None

    async def acquire_fresh(self) -> Connection:
        """A connection after a stale one: those that wait are as old as it, so they are closed first."""
        self.close_idle()
        return (await self.acquire())[0]

    def close_idle(self) -> None:
        for connection in list(self._idle):
            connection.close()

    def release(self, connection: Connection) -> None:
        """The connection is free: the first in the queue gets it."""
        waiter = self._next()
        if waiter is None:
            self._idle[connection] = None
        else:
            waiter.set_result(connection)

    def forget(self, connection: Connection) -> None:
        """The connection is closed: its place is free."""
        self._idle.pop(connection, None)
        if connection in self._live:
            self._live.discard(connection)
            self._free_place()

    def close(self) -> None:
        """Close every connection; exchanges under way fail."""
        for connection in list(self._live):
            connection.fail(UpstreamLost("The gateway is stopping."))

    def _next(self) -> asyncio.Future[Connection | None] | None:
        while self._queue:
            waiter = self._queue.popleft()
            if not waiter.done():
                return waiter
        return None

    def _free_place(self) -> None:
        waiter = self._next()
        if waiter is None:
            self._taken -= 1
        else:
            waiter.set_result(None)

    async def _queue_up(self) -> Connection | None:
        if len(self._queue) >= self.limits.waiters:
            raise UpstreamFull()
        waiter: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._queue.append(waiter)
        try:
            async with asyncio.timeout(self.timeouts.connect_s):
                return await waiter
        except BaseException as error:
            self._give_back(waiter)
            if isinstance(error, TimeoutError):
                raise UpstreamFull() from None
            raise

    def _give_back(self, waiter: asyncio.Future[Connection | None]) -> None:
        if not waiter.done() or waiter.cancelled():
            return
        connection = waiter.result()
        if connection is None:
            self._free_place()
        else:
            self.release(connection)

    async def _open(self) -> Connection:
        connection: Connection | None = None
        try:
            async with asyncio.timeout(self.timeouts.connect_s):
                connection = await self._connect()
        except TimeoutError:
            raise UpstreamTimeout("The upstream did not accept a connection in time.") from None
        except (OSError, UnicodeError):
            raise UpstreamRefused() from None
        finally:
            if connection is None:
                self._free_place()
        self._live.add(connection)
        return connection

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        target = self._target
        if target.unix is not None:
            return (await loop.create_unix_connection(lambda: Connection(self), target.unix))[1]
        name = target.host if target.context is not None else None
        made = await loop.create_connection(
            lambda: Connection(self), target.host, target.port, ssl=target.context, server_hostname=name
        )
        return made[1]


class Client:
    """All pools of one process. Make it after the fork, in the loop that uses it."""

    def __init__(self, limits: Limits | None = None, timeouts: Timeouts | None = None) -> None:
        self.limits = limits or Limits()
        self.timeouts = timeouts or Timeouts()
        self._pools: dict[tuple[str, int, str | None, int, bool], Pool] = {}

    async def send(
        self, target: Target, body: bytes, *, resend: bool, sent: Callable[[], None] | None = None
    ) -> Exchange:
        """Send one request and wait for the head of its response.

        `resend` says that the request may reach the upstream twice: a kept connection that closes before one byte
        came is then replaced by a fresh one, once. `sent` is called when the request is on its way. Raises an
        `UpstreamError`; cancelling the caller closes the connection.
        """
        message = b"".join((target.head, b"%d\r\n\r\n" % len(body), body))
        pool = self._pool(target)
        connection, used = await pool.acquire()
        try:
            return await self._exchange(connection, message, sent)
        except UpstreamLost:
            if not (used and resend) or connection.received:
                raise
        return await self._exchange(await pool.acquire_fresh(), message, sent)

    def start(
        self, target: Target, body: bytes, told: Callable[[bool], None], *, at_head: bool = False
    ) -> Exchange | None:
        """Send one request by a connection that is there, and await nothing; see `Exchange.told`. None: none is there."""
        connection = self._pool(target).at_hand()
        if connection is None:
            return None
        exchange = Exchange()
        connection.start(exchange, b"".join((target.head, b"%d\r\n\r\n" % len(body), body)))
        exchange.told, exchange.at_head = told, at_head
        return exchange if exchange.is_under_way else None

    def forget(self, target: Target) -> None:
        """Close the connections that wait for work: one as old as they was found closed."""
        self._pool(target).close_idle()

    def close(self) -> None:
        """Close every connection; exchanges under way fail with `UpstreamLost`."""
        for pool in self._pools.values():
            pool.close()

    async def _exchange(self, connection: Connection, message: bytes, sent: Callable[[], None] | None) -> Exchange:
        exchange = Exchange()
        connection.start(exchange, message)
        if sent is not None:
            sent()
        await exchange.head()
        return exchange

    def _pool(self, target: Target) -> Pool:
        pool = self._pools.get(target.key)
        if pool is None:
            pool = self._pools[target.key] = Pool(target, self.limits, self.timeouts)
        return pool
