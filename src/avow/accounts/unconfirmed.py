"""Sign-ups that nobody confirmed: they end after the time that the policy names, for whoever made them may be a stranger."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts.members import FORMER
from avow.accounts.tables import person
from avow.policy import Policy

AT_ONCE_MAX = 500


async def lapsed(c: AsyncConnection, policy: Policy, now: datetime) -> list[UUID]:
    """Whose time to confirm is over at `now`, oldest first, at most 500; nobody where the policy names no time.

    Who belonged to an organisation was confirmed by the invitation.
    """
    within = policy.account.unconfirmed
    if within is None:
        return []
    waiting = (person.c.confirmed_at.is_(None), person.c.role != FORMER)
    shortest = now - timedelta(hours=within.hours_min or 0)
    query = select(person.c.id, person.c.since).where(*waiting, person.c.since <= shortest)
    rows = (await c.execute(query.order_by(person.c.since).limit(AT_ONCE_MAX))).all()
    return [row.id for row in rows if (end := within.end(row.since)) is not None and end <= now]
