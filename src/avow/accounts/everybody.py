"""Everybody: the people who are told when the policy changes, where they get mail, and who stands behind an address."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import people
from avow.accounts.tables import invitation, person, tenant_kind
from avow.base.actor import KEEPER
from avow.privacy.needs import Held
from avow.privacy.tables import notice
from avow.vault import Gone, Ring, Vault, blind_index


class Everybody:
    """All persons but those of internal tenants; connections are the keeper's. See `privacy.notices.Readers`."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def count(self, c: AsyncConnection) -> int:
        """How many there are."""
        return int(await c.scalar(select(func.count()).select_from(_all().subquery())) or 0)

    async def untold(
        self, c: AsyncConnection, number: int, after: UUID | None, limit: int
    ) -> Sequence[tuple[UUID, UUID]]:
        """Up to `limit` (subject, tenant) who came under a version before `number` and have no notice of it."""
        told = exists().where(notice.c.subject_id == person.c.id, notice.c.notice_version == number)
        query = _all().where(person.c.policy_version < number, ~told).order_by(person.c.id).limit(limit)
        if after is not None:
            query = query.where(person.c.id > after)
        return [(row.id, row.tenant_id) for row in await c.execute(query)]

    async def address(self, c: AsyncConnection, tenant_id: UUID, subject_id: UUID) -> str | None:
        """The e-mail address of somebody, opened to write to them; None where its key is gone. Raises OpenRefused."""
        box = await c.scalar(select(person.c.box).where(person.c.id == subject_id))
        if box is None:
            return None
        found = await self._vault.open(c, people.reference(tenant_id, subject_id), box, "notices", KEEPER)
        return None if found is Gone else str(found["email"])


async def at_address(c: AsyncConnection, ring: Ring, email: str) -> Held:
    """Who stands behind an address: a person with an account, and whoever is invited there. The connection is the keeper's."""
    name = blind_index(ring, "email", email)
    account = await c.scalar(select(person.c.id).where(person.c.email_index == name))
    invited = (await c.execute(select(invitation.c.subject_id).where(invitation.c.email_index == name))).scalars()
    return Held(account is not None, tuple(invited))


def _all() -> Select[tuple[UUID, UUID]]:
    internal = select(tenant_kind.c.tenant_id).where(tenant_kind.c.kind == "internal")
    return select(person.c.id, person.c.tenant_id).where(person.c.tenant_id.not_in(internal))
