"""The routes of privacy over a real database, with doubles for what the slices above bring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from litestar import Litestar
from litestar.di import Provide
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


def _given(value: Any) -> Provide:
    return Provide(lambda: value, sync_to_thread=False)


def served(made: Desk, person: Person, above: Above) -> Litestar:
    """The routes, with `person` signed in and an officer at the desk."""
    who = Actor("subject", str(person.id), "subject", person.tenant_id, person.id)
    return Litestar(
        [*api.ROUTES, *desk_api.ROUTES, *outsiders_api.ROUTES, *policy_api.ROUTES],
        dependencies={
            "person": _given(who),
            "privacy": _given(made),
            "staff": Provide(lambda: above.staff, sync_to_thread=False),
            "proved": Provide(lambda: above.proved, sync_to_thread=False),
        },
        exception_handlers=surface.handlers(),
    )
