"""The record of sign-ins: who came in by which way, and which attempts were refused, for the person whose account it is.

A line says when, by which way (`password`, `passkey`, `provider`, or `step_up` of somebody signed in) and how it ended:

    entered               without a second factor, because none is asked for
    entered_with_factor   with one
    factor_missing        the password was right, and the second factor that is asked for was not sent
    factor_refused        the password was right, its second factor was not
    refused               the password was wrong, or the account cannot be entered yet

It is kept where the policy keeps the category `security_log` (promises MESH-6.2, TRO-3.3, LAB-6.4), sealed, and from where an
attempt came as `visits` does: what the policy lists of it, and nothing else. Attempts that are slowed down are not looked at,
so a guesser adds some hundred lines a day at most. What was typed stands nowhere: neither a password, nor the address of an
account that does not exist, for there is nobody to whom its line could belong.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import people, visits
from avow.accounts.needs import Needs
from avow.accounts.people import own
from avow.accounts.tables import sign_in
from avow.accounts.visits import Visitor
from avow.base.actor import Actor
from avow.policy import Policy
from avow.vault import Gone, Ref, fact

CATEGORY: Final = "security_log"
PART: Final = "security_log"

Way = Literal["password", "passkey", "provider", "step_up"]
Outcome = Literal["entered", "entered_with_factor", "factor_missing", "factor_refused", "refused"]


class SignIn(msgspec.Struct, frozen=True):
    """One attempt to sign in as its person sees it. `event` is the way and `outcome` how it ended, each "" where the policy
    leaves it out; `seen` is from where it came, as far as the policy lets that be stored."""

    id: UUID
    at: datetime
    event: str
    outcome: str
    seen: dict[str, Any]


def listed(policy: Policy) -> frozenset[str]:
    """The fields that may be stored of an attempt; none where the policy keeps no such record."""
    category = policy.categories.get(CATEGORY)
    if category is None or PART not in policy.features or category.keep.kind == "never":
        return frozenset()
    return frozenset(category.fields).difference(category.without)


async def note(needs: Needs, connection: AsyncConnection, of: Mapping[str, Any], way: Way, outcome: Outcome) -> None:
    """Write an attempt down in the caller's transaction. `of` names whose it is, since when, and by which `id`."""
    told = {name: said for name, said in (("event", way), ("outcome", outcome)) if name in listed(needs.policy)}
    await visits.keep(needs, connection, of, sign_in, CATEGORY, told)


async def note_refused(
    needs: Needs, tenant_id: UUID, subject_id: UUID, way: Way, outcome: Outcome, visitor: Visitor | None = None
) -> None:
    """Write down an attempt that did not succeed, with from where it came, in a transaction of its own."""
    if not listed(needs.policy):
        return
    row = fact.begin(needs.policy, CATEGORY, tenant_id, subject_id, needs.clock.now())
    async with needs.database.tenant(tenant_id) as connection:
        await note(needs, connection, row, way, outcome)
        if visitor is not None:
            await visits.note(needs, connection, row, visitor)


async def of(needs: Needs, who: Actor, after: UUID | None, limit: int) -> list[SignIn]:
    """One's own record, newest first, at most `limit` lines behind the line `after`."""
    tenant_id, subject_id = own(who)
    lives = or_(sign_in.c.ends_at.is_(None), sign_in.c.ends_at > needs.clock.now())
    query = select(sign_in).where(sign_in.c.subject_id == subject_id, lives)
    if after is not None:
        query = query.where(sign_in.c.id < after)
    async with needs.database.tenant(tenant_id) as connection:
        rows = (await connection.execute(query.order_by(sign_in.c.id.desc()).limit(limit))).all()
        boxes = [(_ref(tenant_id, subject_id, row.id), row.box) for row in rows]
        opened = await needs.vault.open_many(connection, boxes, "access", people.actor(tenant_id, subject_id))
        seen = await visits.opened(needs, connection, tenant_id, subject_id, [row.id for row in rows])
    return [_shown(row, found, seen) for row, found in zip(rows, opened, strict=True)]


def _shown(row: Any, found: Any, seen: Mapping[UUID, dict[str, Any]]) -> SignIn:
    told = {} if found is Gone else found
    return SignIn(row.id, row.since, told.get("event", ""), told.get("outcome", ""), seen.get(row.id, {}))


def _ref(tenant_id: UUID, subject_id: UUID, row_id: UUID) -> Ref:
    return Ref(tenant_id, sign_in.name, CATEGORY, row_id, subject_id)
