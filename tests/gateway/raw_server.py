"""A server that sends exactly the bytes it is told to, in the pieces it is told to, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Head and body of one request; `IncompleteReadError` when the client has gone."""
    head = await reader.readuntil(b"\r\n\r\n")
    size = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
    return head + await reader.readexactly(size)


class RawServer:
    """Counts connections, keeps requests, and knows when a client has gone."""

    def __init__(self, handler: Handler) -> None:
        self.connections = 0
        self.reached = asyncio.Event()
        self.gone = asyncio.Event()
        self.port = 0
        self._handler = handler

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.reached.set()
        # uvloop says RuntimeError to whoever writes to a connection that the client has closed
        with suppress(asyncio.IncompleteReadError, ConnectionError, RuntimeError):
            await self._handler(reader, writer)
        self.gone.set()
        writer.close()


@asynccontextmanager
async def serving(handler: Handler, **options: Any):
    raw = RawServer(handler)
    if "path" in options:
        server = await asyncio.start_unix_server(raw.handle, **options)
    else:
        server = await asyncio.start_server(raw.handle, "127.0.0.1", 0, **options)
        raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()


def answering(*pieces: bytes, forever: bool = False, close: bool = False) -> Handler:
    """For each request send the pieces, letting the loop turn between them; then wait for the next or close."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if forever:
                await reader.read()
            if close:
                return

    return handler
