"""The floor of the language: a uvloop program that copies bytes both ways and looks at none of them.

python relay.py PORT UPSTREAM_PORT
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop


class Side(asyncio.Protocol):
    """One of the two connections; what it reads goes to the other."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.other: Side | None = None
        self.early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.other and self.other.transport:
            self.other.transport.write(data)
        else:
            self.early.append(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.other and self.other.transport:
            self.other.transport.close()


async def relay(port: int, upstream_port: int) -> None:
    loop = asyncio.get_running_loop()
    dials: set[asyncio.Task[None]] = set()

    async def dial(client: Side) -> None:
        _, upstream = await loop.create_connection(Side, "127.0.0.1", upstream_port)
        assert upstream.transport
        client.other, upstream.other = upstream, client
        upstream.transport.writelines(client.early)

    class Client(Side):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            dials.add(task := loop.create_task(dial(self)))
            task.add_done_callback(dials.discard)

    server = await loop.create_server(Client, "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(relay(int(sys.argv[1]), int(sys.argv[2])))
