"""How a gateway worker listens: one socket that the parent bound, shared by all workers, spoken to by uvicorn.

What uvicorn leaves open to a hostile client is closed here: a head or trailers without end, a head or a body that never comes,
and a head that names two hosts, or none.
"""

from __future__ import annotations

import errno
import resource
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn._types import ASGIApplication
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from avow.base.errors import AvowError
from avow.gateway.direct import Known, Turn

BACKLOG = 2048
HEAD_BYTES_MAX = 65_536  # request line and headers; one network read more may pass through memory
HEAD_TIME_S_MAX = 20.0
BODY_TIME_S_MAX = 60.0
KEEP_ALIVE_S = 75
VERSIONS = ("1.1", "1.0")
STOP_LIMIT_S = 15  # open answers have this long to end when the worker is told to stop

Short = Callable[[Any], Turn | None]

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 28\r\nconnection: close\r\n\r\nThe request head is too big."
)


class CannotListen(AvowError):
    """The address for incoming requests cannot be used."""

    status = 503
    code = "cannot_listen"
    hint = "Choose another port, for example AVOW_PORT=8081."


class CertificateUnusable(AvowError):
    """The TLS certificate and its key cannot be used."""

    code = "certificate_unusable"
    hint = "Give a PEM file with the whole chain and the private key that belongs to it, both readable to the server."


def listen(host: str, port: int) -> socket.socket:
    """A listening socket for all workers. Port 0 takes a free one. Raises CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = {
            errno.EADDRINUSE: "is taken by another program",
            errno.EACCES: "needs more rights than this user has",
            errno.EADDRNOTAVAIL: "is not an address of this machine",
        }
        raise CannotListen(f"{host}:{port} {why.get(error.errno or 0, 'cannot be used')}.") from error


def tls(certificate: Path, private_key: Path) -> ssl.SSLContext:
    """TLS 1.3 or newer, for HTTP/1.1. Raises CertificateUnusable."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(certificate, private_key)
    except (OSError, ssl.SSLError) as error:
        raise CertificateUnusable(f"{certificate} and {private_key} cannot be used: {error}.") from error
    return context


def serve(
    app: ASGIApplication,
    listener: socket.socket,
    ready: Callable[[], None],
    *,
    tls: ssl.SSLContext | None = None,
    short: Short | None = None,
) -> None:
    """Answers requests until SIGTERM or SIGINT, then lets open answers end. Runs the loop; for a process of its own.

    `short` may take a request when its head has come; the app sees it only if it takes none, or its body is still to come.

    The app gets the lifespan events: its start-up must succeed before ready() is called, and its shutdown is the last
    moment for work that must not be lost, since tasks still running after it are cancelled.
    """
    _, files_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))
    config = uvicorn.Config(
        app,
        interface="asgi3",
        lifespan="on",
        loop="uvloop",
        http=protocol(short),
        ws="none",
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_LIMIT_S,
        ssl_context_factory=(lambda _config, _default: tls) if tls else None,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
    )
    _Server(config, ready).run(sockets=[listener])


def protocol(short: Short | None) -> type[HttpToolsProtocol]:
    """How connections are spoken to, with a short way for some requests or none."""
    return type("_Protocol", (_Protocol,), {"short": staticmethod(short) if short else None})


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: object) -> None:
        """To be told to stop is no failure: the signal is not raised again after the shutdown, as uvicorn would."""
        self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        if counter % 10 == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, _Protocol):
                    connection.end_if_silent()
        return await super().on_tick(counter)


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol with a limit on how long and how large a request's head may be, and on what is no body behind it."""

    _head_bytes = 0
    _heads = 0
    _head_since_s: float | None = None  # None while no head is awaited
    _body_since_s: float | None = None  # None while no body is awaited
    _bodies = 0
    _idle_since_s = 0.0
    _known: Known | None = None
    short: Short | None = None

    def connection_made(self, transport: object) -> None:
        self._head_since_s = time.monotonic()
        super().connection_made(transport)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        known, self._known = self._known, None
        if known is not None and self.cycle.response_complete and not self.transport.is_closing():
            body = known.body(data)
            if body is not None:
                self._known = known
                self.cycle = known.turn.again(body)  # type: ignore[assignment]
                return
        heads, bodies, is_rest = self._heads, self._bodies, self._body_since_s is not None
        super().data_received(data)
        turn = self.cycle
        if isinstance(turn, Turn):
            if turn.more_body:
                self._take_long_way(turn)
            elif self._heads == heads + 1 and self._is_between and not is_rest:
                self._known = Known.of(data, turn)
        if self._heads != heads:
            return
        # Behind the head, what is no body is chunk extensions or trailers.
        self._head_bytes = self._head_bytes + len(data) if self._bodies == bodies else 0
        if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
            if self._head_since_s is not None:
                self.transport.write(_TOO_LARGE)
            self.transport.close()

    @property
    def _is_between(self) -> bool:
        """Whether the last message has ended and none has begun: of one whose head was refused the body is still awaited."""
        return self._body_since_s is None and self._head_since_s is None

    def on_message_begin(self) -> None:
        """As uvicorn's, but its scope is made for those who go the long way only."""
        self._heads += 1
        self._head_bytes = 0
        self._head_since_s = time.monotonic()
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._body_since_s is not None:  # a trailer is no header: it would come after these were judged
            return
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._head_since_s, self._head_bytes = None, 0
        self._body_since_s = time.monotonic()
        self._check_head()
        turn = self.short(self) if self.short is not None else None
        if turn is None:
            self._begin_long_way()
        else:
            self.cycle = turn  # type: ignore[assignment]

    def _begin_long_way(self) -> None:
        head = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.headers, self.expect_100_continue = head
        self.scope["headers"] = self.headers
        super().on_headers_complete()

    def _check_head(self) -> None:
        """What is asked before the body comes. A name of the host for HTTP/1.1, no two, and no version of which there is none
        (RFC 9112 §2.3, §3.2): what two programs could read differently is refused. Raises ValueError, which the parser takes for
        a request that is none."""
        names = [name for name, _ in self.headers]
        hosts = names.count(b"host")
        version = self.parser.get_http_version()
        if hosts > 1 or (version == "1.1" and not hosts) or version not in VERSIONS:
            raise ValueError
        if b"expect" in names:
            self.expect_100_continue = any(
                name == b"expect" and value.lower() == b"100-continue" for name, value in self.headers
            )

    def _take_long_way(self, turn: Turn) -> None:
        """The rest of a body is still to come: the app waits for it."""
        self.cycle = None  # type: ignore[assignment]
        self._begin_long_way()
        self.cycle.body += turn.body
        self.cycle.message_event.set()

    def on_body(self, body: bytes) -> None:
        self._bodies += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._body_since_s = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's, without a timer for each answer that goes the short way: `end_if_silent` looks at the time."""
        if self.pipeline or not isinstance(self.cycle, Turn):
            return super().on_response_complete()
        self.server_state.total_requests += 1
        self._idle_since_s = time.monotonic()
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def end_if_silent(self) -> None:
        """Closes a connection on which nothing, or no head or body, or only a part of one, came in time."""
        now_s = time.monotonic()
        is_idle = self._head_since_s is None and isinstance(self.cycle, Turn) and self.cycle.response_complete
        if is_idle and now_s - self._idle_since_s > KEEP_ALIVE_S:
            self.transport.close()
        if (self._head_since_s is not None and now_s - self._head_since_s > HEAD_TIME_S_MAX) or (
            self._body_since_s is not None and not self.pipeline and now_s - self._body_since_s > BODY_TIME_S_MAX
        ):
            self.transport.close()
