"""The short way to an answer: a request that came whole in one read is answered without ASGI between.

ASGI costs such a request a task, an event, two dictionaries and eight messages, about a third of all that it costs. Taken are
only requests that are plain in every respect; what is odd, large or slow, and every head that must be refused, goes the long
way through `asgi.V1`, which means the same. `Turn` stands where the server keeps the request that is under way, so the server's
own care for connections (pipelining, back-pressure, keep-alive, shutdown) holds for both ways.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from operator import itemgetter
from typing import Any, Protocol

import msgspec

from avow.accounts.directory import Mark
from avow.base.errors import AvowError
from avow.gateway import asgi, straight, surfaces
from avow.gateway.ask import Ask, Headers
from avow.gateway.completion import Completion, Gateway
from avow.gateway.plain import Plain
from avow.gateway.straight import Outlet

_STATUS = {each.value: b"HTTP/1.1 %d %s\r\n" % (each, each.phrase.encode()) for each in HTTPStatus}
_BY_URL = {path.encode(): surface for path, surface in surfaces.BY_PATH.items()}
_JSON, _STREAM = (
    b"".join(b"%b: %b\r\n" % each for each in headers)
    for headers in (asgi.JSON, [*asgi.STREAM, (b"transfer-encoding", b"chunked")])
)


KNOWN_BYTES_MAX = 8 * 1024
_END = b"\r\n\r\n"
_value = itemgetter(1)
_LENGTH = re.compile(rb"\r\ncontent-length:[\t ]*([0-9]+)(?=[\t ]*\r\n)", re.IGNORECASE)


class Flow(straight.Flow, Protocol):
    """That of the server, which can also be waited for."""

    async def drain(self) -> None: ...


class Connection(Protocol):
    """What is needed of the server's connection (uvicorn's `HttpToolsProtocol`)."""

    url: bytes
    headers: list[tuple[bytes, bytes]]
    expect_100_continue: bool
    client: tuple[str, int] | None
    cycle: Any
    parser: Any
    transport: Any
    server_state: Any
    flow: Flow

    def on_response_complete(self) -> None: ...


class Direct:
    """Says which requests take the short way."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def take(self, connection: Connection) -> Turn | None:
        """The turn of a request whose head has come; None: it takes the long way."""
        parser, under_way = connection.parser, connection.cycle
        surface = _BY_URL.get(connection.url)
        if (
            surface is None
            or (under_way is not None and not under_way.response_complete)
            or connection.expect_100_continue
            or parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
            or not parser.should_keep_alive()
            or parser.should_upgrade()
        ):
            return None
        try:
            if surface.takes_form:
                return None
            judged = asgi.judge(connection.headers)
            if asgi.is_large(connection.headers):
                return None
        except AvowError:
            return None
        secret, retention_h, cache, claim = judged
        address = connection.client[0] if connection.client else None
        ask = Ask(secret, b"", retention_h, address, surface, cache, claim, mark=Mark.of(secret))
        return Turn(self._gateway, connection, ask)


class Known:
    """A head that a connection has sent, byte by byte but for the length of the body: what was judged of it holds again.

    Clients that keep a connection send the same head with each request. One that comes again with its whole body in one read,
    while nothing else is under way, needs no parser and no judgement: `body` has the body, and `turn` is begun `again`.
    """

    __slots__ = ("_before", "_behind", "_size", "turn")

    def __init__(self, turn: Turn, before: bytes, behind: bytes) -> None:
        self.turn, self._before, self._behind = turn, before, behind
        self._size = len(before) + len(behind)

    @classmethod
    def of(cls, data: bytes, turn: Turn) -> Known | None:
        """The head of a request that came as `data`; None: it is none to be known again."""
        end = data.find(_END, 0, KNOWN_BYTES_MAX) + len(_END)
        head = data[:end]
        found = _LENGTH.search(head)
        if end < len(_END) or found is None or found[1] != b"%d" % (len(data) - end):
            return None
        return cls(turn, head[: found.start(1)], head[found.end(1) :])

    def body(self, data: bytes) -> bytes | None:
        """The body, where `data` is this head with another length and no more than its body; None: it is for the parser, as are
        the few lengths whose digits are not those of length and digits together."""
        rest = len(data) - self._size
        length = rest - len(b"%d" % rest)
        head = b"%b%d%b" % (self._before, length, self._behind)
        if len(head) + length != len(data) or length > asgi.BODY_BYTES_UNKNOWN or not data.startswith(head):
            return None
        return data[len(head) :]


class Turn:
    """One request and its response: to the server the request under way, to the gateway the way back to the client."""

    __slots__ = (
        *("_ask", "_completion", "_connection", "_gateway", "_head"),
        *("body", "disconnected", "keep_alive", "more_body", "response_complete"),
    )

    def __init__(self, gateway: Gateway, connection: Connection, ask: Ask) -> None:
        self._gateway, self._connection, self._ask = gateway, connection, ask
        self._completion: Completion | None = None
        self._head = self.body = b""
        self.more_body = self.keep_alive = True
        self.disconnected = self.response_complete = False

    def again(self, body: bytes) -> Turn:
        """The turn of the next request, which has the same head and came whole."""
        turn = Turn(self._gateway, self._connection, self._ask)
        turn.more_body = False
        turn._start(body)
        return turn

    def _start(self, body: bytes) -> None:
        self._completion = plain = Plain(self._gateway, msgspec.structs.replace(self._ask, body=body), self)
        plain.begin()

    # what the server does with the request under way

    @property
    def message_event(self) -> Turn:
        """What the server sets when something has come or the client has gone."""
        return self

    def set(self) -> None:
        if self.disconnected:
            if self._completion is not None:
                self._completion.leave()
        elif not self.more_body and self._completion is None and not self.response_complete:
            # The body goes with the request: a connection that is kept, and its known head, keep nothing of what was said.
            body, self.body = self.body, b""
            self._start(body)

    def over(self) -> None:
        self._completion = None
        if not self.response_complete and not self.disconnected:
            self._connection.transport.close()  # given up although the client is still there

    # the way back; what is written for a client that has gone is dropped

    async def whole(self, status: int, headers: Headers, body: bytes, kind: bytes = b"") -> None:
        await self.flush()
        self.tell(status, headers, body, kind)

    @property
    def is_held_up(self) -> bool:
        return self._connection.flow.write_paused and not self.disconnected

    def tell(self, status: int, headers: Headers, body: bytes, kind: bytes = b"") -> None:
        head = self._headed(status, _kind(kind) or _JSON, [*headers, (b"content-length", b"%d" % len(body))])
        self._write(head + body)
        self._end()

    def begin(self, headers: Headers, kind: bytes = b"") -> None:
        fixed = _kind(kind) + b"transfer-encoding: chunked\r\n" if kind else _STREAM
        self._head = self._headed(200, fixed, headers)

    def pass_on(self, data: bytes) -> bool:
        self._write(self._framed(data))
        return not self._connection.flow.write_paused or self.disconnected

    async def flush(self) -> None:
        if self._connection.flow.write_paused and not self.disconnected:
            await self._connection.flow.drain()

    def outlet(self) -> Outlet:
        return Outlet(self._connection.transport.write, self._connection.flow)

    async def end(self, data: bytes) -> None:
        await self.flush()
        self.finish(data)

    def finish(self, data: bytes) -> None:
        self._write(self._framed(data) + b"0\r\n\r\n")
        self._end()

    def _framed(self, data: bytes) -> bytes:
        """Behind the head, where it waits: an empty chunk would end the answer (RFC 9112 §7.1)."""
        head, self._head = self._head, b""
        return b"%b%x\r\n%b\r\n" % (head, len(data), data) if data else head

    def _headed(self, status: int, fixed: bytes, headers: Headers) -> bytes:
        every = [*self._connection.server_state.default_headers, *headers]
        if not self.keep_alive:
            every.append((b"connection", b"close"))
        values = b"".join(map(_value, every))
        if values.find(b"\n") >= 0 or values.find(b"\r") >= 0:
            raise ValueError("a header holds a line break")
        return b"%b%b%b\r\n\r\n" % (_STATUS[status], fixed, b"\r\n".join(map(b": ".join, every)))

    def _write(self, data: bytes) -> None:
        if not self.disconnected:
            self._connection.transport.write(data)

    def _end(self) -> None:
        if self.disconnected:
            return
        self.response_complete = True
        if not self.keep_alive:
            self._connection.transport.close()
        self._connection.on_response_complete()


def _kind(kind: bytes) -> bytes:
    return b"content-type: %b\r\ncache-control: no-store\r\n" % kind if kind else b""
