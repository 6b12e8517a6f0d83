"""What privacy needs from the rest: one value, made by `app.build` and handed to every rule of this slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.clock import Clock
from avow.base.db import Database
from avow.policy import Policy
from avow.privacy.letters import Letter
from avow.privacy.newest import Newest
from avow.privacy.stores import Store
from avow.privacy.tombstones import Tombstones
from avow.vault.ring import Ring


class Signer(Protocol):
    """Makes the signed document of a receipt (`proof.receipts`)."""

    def __call__(self, fields: Mapping[str, Any]) -> bytes: ...


class Identity(Protocol):
    """Tells whether somebody who is signed in is really there: their password, once more (`accounts`)."""

    async def __call__(self, tenant_id: UUID, subject_id: UUID, password: str) -> bool: ...


class Rectify(Protocol):
    """Puts fields of somebody's account right in the transaction of the request, with what was there before and is there
    now on their record (`accounts`)."""

    async def __call__(
        self, c: AsyncConnection, tenant_id: UUID, subject_id: UUID, given: Mapping[str, object], /
    ) -> None: ...


class Tell(Protocol):
    """Puts a letter to somebody into the outbox, in the caller's transaction; nothing where no address of theirs is left.

    It is about what they asked for, so it reaches them although they had the use of their data restricted. The same
    `message_id` twice keeps the first. `address`: where to, for somebody without an account.
    """

    async def __call__(
        self,
        c: AsyncConnection,
        tenant_id: UUID,
        subject_id: UUID,
        message_id: UUID,
        letter: Letter,
        /,
        *,
        address: str | None = None,
    ) -> None: ...


class Admit(Protocol):
    """Brings an address that a stranger gave to its form, and refuses it where too much mail goes there or comes about from
    their network (`accounts`)."""

    def __call__(self, email: str, network: str | None, /) -> str: ...


class Held(NamedTuple):
    """Who stands behind an address: whether somebody with an account, and as whom else it is stored."""

    account: bool
    others: tuple[UUID, ...]


class Holders(Protocol):
    """Finds out who stands behind an address (`accounts`)."""

    async def __call__(self, c: AsyncConnection, email: str, /) -> Held: ...


class Leaving(Protocol):
    """Refuses, in the transaction of the request, that somebody goes whom their organisation cannot do without."""

    async def __call__(self, c: AsyncConnection, tenant_id: UUID, subject_id: UUID, /) -> None: ...


class Organisation(Protocol):
    """Asks for the end of an organisation that nobody is left in, in the transaction that ends an erasure."""

    async def __call__(self, c: AsyncConnection, tenant_id: UUID, /) -> None: ...


class Forget(Protocol):
    """Returns when no process can use a cached key of the person any more."""

    async def __call__(self, subject_id: UUID) -> None: ...


@dataclass(frozen=True, slots=True)
class Needs:
    """`database` speaks as role `avow_keeper`. `stores` are all places with facts, in the order in which they end.
    `signer`, `forget` and `organisation` are used by erasures only; without the last no organisation ends with its people."""

    policy: Policy
    clock: Clock
    database: Database
    ring: Ring
    stores: Sequence[Store]
    tombstones: Tombstones
    newest: Newest
    signer: Signer
    forget: Forget
    organisation: Organisation | None = None
