"""The routes of privacy over a real database, with doubles for what the slices above bring."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from litestar import Litestar
from litestar.di import Provide
from litestar.testing import AsyncTestClient
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import surface
from avow.base.actor import Actor
from avow.privacy import api, desk_api, outsiders_api, policy_api
from avow.privacy.api import Desk
from avow.privacy.letters import Letter
from avow.privacy.needs import Needs
from avow.proof.receipts import Receipts
from avow.vault import Vault
from tests.conftest import Databases
from tests.privacy.scratch import Person

PASSWORD = "correct horse"
OFFICER = Actor("staff", "officer", "privacy")


@dataclass
class Above:
    """What accounts bring: it remembers what it was told. `proved`: the person has just shown who they are."""

    proved: bool = False
    staff: Actor = OFFICER
    letters: list[tuple[UUID, UUID, Letter]] = field(default_factory=list)
    sent: list[tuple[str, Letter]] = field(default_factory=list)
    """Letters to people without an account."""
    put_right: list[Mapping[str, object]] = field(default_factory=list)
    complete: Callable[[bytes], bytes] = bytes
    """Adds the proof of the log to a receipt; by itself, nothing."""
    recipients: frozenset[str] = frozenset()
    """To whom the register says that the person's data waits to go."""

    async def identity(self, tenant_id: UUID, subject_id: UUID, password: str) -> bool:
        return password == PASSWORD

    async def leaving(self, c: AsyncConnection, tenant_id: UUID, subject_id: UUID) -> None:
        """The rule about last owners is that of accounts."""

    async def rectify(self, c: AsyncConnection, tenant_id: UUID, subject_id: UUID, given: Mapping[str, object]) -> None:
        self.put_right.append(given)

    async def tell(
        self,
        c: AsyncConnection,
        tenant_id: UUID,
        subject_id: UUID,
        message_id: UUID,
        letter: Letter,
        *,
        address: str | None = None,
    ) -> None:
        self.letters.append((subject_id, message_id, letter))
        if address is not None:
            self.sent.append((address, letter))

    def admit(self, email: str, network: str | None) -> str:
        return email

    async def directed(self, c: AsyncConnection, subject_id: UUID) -> frozenset[str]:
        return self.recipients


def desk(on: Needs, database: Databases, vault: Vault, above: Above) -> Desk:
    means = (above.identity, above.leaving, above.rectify, above.tell, above.admit)
    signed = {
        "complete": lambda document: above.complete(document),
        "sign": Receipts(on.ring),
        "base_url": "http://avow.test",
    }
    return Desk(database.app, vault, on.clock, *means, **signed, directed=above.directed)


class Stage:
    """The routes, which work for one desk after the other: to register them takes longer than most tests."""

    def __init__(self) -> None:
        self.who: Actor | None = None
        self.desk: Desk | None = None
        self.above: Above | None = None
        self.app = Litestar(
            [*api.ROUTES, *desk_api.ROUTES, *outsiders_api.ROUTES, *policy_api.ROUTES],
            dependencies={
                "person": Provide(lambda: self.who, sync_to_thread=False),
                "privacy": Provide(lambda: self.desk, sync_to_thread=False),
                "staff": Provide(lambda: self.above.staff, sync_to_thread=False),
                "proved": Provide(lambda: self.above.proved, sync_to_thread=False),
            },
            exception_handlers=surface.handlers(),
        )


FREE: list[Stage] = []
"""Those whose test has ended."""


@asynccontextmanager
async def served(made: Desk, person: Person, above: Above) -> AsyncIterator[AsyncTestClient[Litestar]]:
    """A client of the routes, with `person` signed in and an officer at the desk."""
    stage = FREE.pop() if FREE else Stage()
    stage.who = Actor("subject", str(person.id), "subject", person.tenant_id, person.id)
    stage.desk, stage.above = made, above
    async with AsyncTestClient(stage.app) as client:
        yield client
    FREE.append(stage)
