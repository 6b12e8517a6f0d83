"""What people say about the use of their data: restricted, objected to (`consents`: consented to). It holds at once.

Nothing is overwritten: each word is a row of its own with its time, so that what was done before stays lawful and can be
shown to have been (GDPR Art. 7(3)). Whatever opens or uses a box asks for the newest word (`policy.decide`), and reads
of one's own data are never touched.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.errors import AvowError
from avow.policy import Policy, Standing
from avow.policy.objections import NEEDED, Reason, consents, purposes
from avow.vault import Vault, standing


class PurposeUnknown(AvowError):
    """Nothing is used for this purpose here."""

    status = 404
    code = "purpose_unknown"
    hint = "GET /api/privacy/standing lists what can be objected to, and what consent is asked for."


class Whose(NamedTuple):
    """Somebody in their organisation."""

    tenant_id: UUID
    subject_id: UUID


async def restrict(c: AsyncConnection, vault: Vault, whose: Whose, at: datetime) -> None:
    """From now on this person's data is stored and not used (GDPR Art. 18)."""
    await standing.record(c, vault.policy, *whose, "restriction", value=True, at=at)


async def release(c: AsyncConnection, vault: Vault, whose: Whose, at: datetime) -> None:
    """Lift a restriction; without one nothing changes."""
    if (await held(c, whose, at)).restricted:
        await standing.record(c, vault.policy, *whose, "restriction", value=False, at=at)


async def object_to(c: AsyncConnection, vault: Vault, whose: Whose, purpose: str, at: datetime) -> Reason | None:
    """End the use of this person's data for a purpose; a reason instead where an objection does not reach.

    Raises PurposeUnknown for a purpose that no category is used for.
    """
    if purpose not in purposes(vault.policy):
        raise PurposeUnknown(param="purpose")
    if purpose in NEEDED:
        return NEEDED[purpose]
    await standing.record(c, vault.policy, *whose, "objection", value=True, at=at, purpose=purpose)
    return None


async def take_back(c: AsyncConnection, vault: Vault, whose: Whose, purpose: str, at: datetime) -> None:
    """Take an objection back; without one nothing changes."""
    if purpose in (await held(c, whose, at)).objected:
        await standing.record(c, vault.policy, *whose, "objection", value=False, at=at, purpose=purpose)


async def held(c: AsyncConnection, whose: Whose, at: datetime) -> Standing:
    """What somebody has said, as it holds at `at`."""
    return (await standing.load(c, {whose.subject_id}, at))[whose.subject_id]


def choices(policy: Policy) -> tuple[list[str], list[str]]:
    """What can be objected to, and what consent is asked for, in order of their names."""
    return sorted(purposes(policy) - NEEDED.keys()), sorted(consents(policy))
