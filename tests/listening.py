"""An app behind uvicorn on loopback, in the loop of a test."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn


@asynccontextmanager
async def listening(app: Any, **options: Any) -> AsyncIterator[int]:
    """The port at which it listens. It ends as soon as its last answer has, where uvicorn's own loop looks for that, and for
    whether it is to end at all, ten times in a second only."""
    # asyncio turns Nagle's delay off only for sockets that name their protocol.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", lifespan="off", proxy_headers=False, **options)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield int(listener.getsockname()[1])
    finally:
        for each in server.servers:
            each.close()
        for connection in list(server.server_state.connections):
            connection.shutdown()
        while server.server_state.connections or server.server_state.tasks:  # noqa: ASYNC110  it has no event for it
            await asyncio.sleep(0.002)
