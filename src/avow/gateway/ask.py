"""What a request to `/v1` asks for, as it came, and the way back to who asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from avow.accounts.directory import KeyRecord, Mark
from avow.accounts.key_terms import Scope
from avow.gateway.cache import Asked
from avow.gateway.straight import Outlet
from avow.gateway.surfaces import CHAT, Surface

Headers = Sequence[tuple[bytes, bytes]]
Beside = Callable[[UUID, int, bytes, int], tuple[UUID, bytes, int]]
"""Makes of a request's id, status, answer and cost the line of a batch that is written with its charge: its id, box and size."""


class Ask(msgspec.Struct, frozen=True):
    """What came: the key's text, the body as sent, and the hours that the client lets us keep it (None: as planned).

    `address` is where it came from, for keys that may be used from some networks only; it is compared and goes nowhere.
    `claim` is its idempotency key.
    """

    secret: str
    body: bytes
    retention_h: int | None = None
    address: str | None = None
    surface: Surface = CHAT
    cache: Asked | None = None
    """The client's word about answers given before; None: none."""
    claim: bytes | None = None
    boundary: bytes = b""
    """What stands between the parts of a form."""
    key: KeyRecord | None = None
    """Who asks, where that was found out before: no text of a key is needed then."""
    beside: Beside | None = None
    """Where no client waits: what is written of the answer in the transaction of its charge."""
    mark: Mark | None = None
    """That of the key's text, where more requests with it are expected."""

    def __repr__(self) -> str:
        return f"Ask({len(self.body)} bytes)"


class Keys(Protocol):
    """API keys by their text; see `accounts.directory.Directory`. Raises what tells the client why it is refused."""

    async def admit(self, key: str, scope: Scope, address: str | None) -> KeyRecord: ...

    def at_hand(self, mark: Mark, scope: Scope, at: datetime) -> KeyRecord | None: ...


class Reply(Protocol):
    """The way back to the client. What is written for a client that has gone is dropped.

    `kind` is the media type where it is not JSON, or events. `pass_on` takes a part of a stream that was begun; when it says
    False, `flush` is awaited before the next.
    """

    async def whole(self, status: int, headers: Headers, body: bytes, kind: bytes = b"") -> None: ...

    def begin(self, headers: Headers, kind: bytes = b"") -> None: ...

    def pass_on(self, data: bytes) -> bool: ...

    async def flush(self) -> None: ...

    def outlet(self) -> Outlet | None:
        """Where chunks of HTTP may be written as they are, once a part was passed on; None: nowhere."""
        ...

    async def end(self, data: bytes) -> None: ...
