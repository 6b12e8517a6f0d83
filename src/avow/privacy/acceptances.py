"""Acceptances: that somebody accepted a version of the policy, by a click or by use.

Accepting is no consent: it is kept apart from standing, and no decision about data reads it (GDPR Art. 7(2)).
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.policy import Policy
from avow.privacy.tables import acceptance
from avow.vault import fact

How = Literal["use", "explicit"]
LISTED_MAX = 100


class Accepted(NamedTuple):
    """A version that somebody accepted; `terms`: those of that number with it, null where the policy has none."""

    version: int
    terms: int | None
    how: str
    at: datetime


async def record(
    c: AsyncConnection,
    policy: Policy,
    tenant_id: UUID,
    subject_id: UUID,
    version: int,
    how: How,
    at: datetime,
    *,
    terms: int | None = None,
) -> None:
    """Write down in the caller's transaction that somebody accepted `version` (and the `terms` of that number).

    The first time counts; saying it again changes nothing.
    """
    row = fact.begin(policy, "consent", tenant_id, subject_id, at)
    row |= {"accepted_version": version, "accepted_terms": terms, "accepted_how": how}
    await c.execute(insert(acceptance).on_conflict_do_nothing(), row)


async def announce(c: AsyncConnection, tenant_id: UUID) -> None:
    """Tell every process, once the caller's transaction is committed, to look at a tenant's keys anew."""
    await c.execute(text("SELECT pg_notify('avow_keys_changed', :tenant)"), {"tenant": str(tenant_id)})


async def newest(c: AsyncConnection, subject_id: UUID) -> int:
    """The number of the newest version that somebody accepted; 0: none."""
    query = select(func.max(acceptance.c.accepted_version)).where(acceptance.c.subject_id == subject_id)
    return int(await c.scalar(query) or 0)


async def listed(c: AsyncConnection, subject_id: UUID) -> list[Accepted]:
    """The versions that somebody accepted, newest first, 100 at most."""
    table = acceptance.c
    columns = (table.accepted_version, table.accepted_terms, table.accepted_how, table.since)
    query = select(*columns).where(table.subject_id == subject_id).order_by(table.accepted_version.desc())
    return [Accepted(*row) for row in await c.execute(query.limit(LISTED_MAX))]
