"""Who looked at a person's data, who changed their account, and why: the person's own record, opened for them.

The vault writes it at every opening, a refused one too, and the rules of accounts at every administrative act. Nothing
is ever changed there: the product's database role can add to the record and read it, no more.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, and_, func, or_, select

from avow.accounts.needs import Needs
from avow.accounts.people import own
from avow.base.actor import Actor, Kind
from avow.privacy.export import SILENT
from avow.vault import Gone, Ref
from avow.vault.tables import audit


class Opening(msgspec.Struct):
    """One line of the record as the person concerned sees it.

    `who` is `subject`, `key`, `staff` or `system` and `role` what they were then; a member of staff has no name here.
    `outcome` is `opened`, `refused`, or `done` for an administrative act, which `act` then names. `before` and `after`
    are SHA-256 digests of what an act found and left.
    """

    id: UUID
    at: datetime
    who: Kind
    role: str
    category: str
    purpose: str
    outcome: str
    act: str | None
    count: int
    reason: str | None
    before: str | None
    after: str | None


async def listed(needs: Needs, who: Actor, after: UUID | None, limit: int) -> list[Opening]:
    """One's own record, newest first, at most `limit` lines behind the line `after`."""
    tenant_id, subject_id = own(who)
    lives = or_(audit.c.ends_at.is_(None), audit.c.ends_at > needs.clock.now())
    query = (
        select(audit)
        .where(audit.c.subject_id == subject_id, lives, ~_silent(needs))
        .order_by(audit.c.id.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.where(audit.c.id < after)
    async with needs.database.tenant(tenant_id) as connection:
        rows = list((await connection.execute(query)).all())
        boxes = [(Ref(tenant_id, audit.name, "audit", row.id, subject_id), row.box) for row in rows if row.box]
        opened = iter(await needs.vault.open_many(connection, boxes, "access", who))
    return [_listed(row, next(opened) if row.box else {}) for row in rows]


def _silent(needs: Needs) -> ColumnElement[bool]:
    """Lines that a legal process forbids to show, until its day."""
    begin = f"system:{SILENT}"
    later = func.substr(audit.c.actor, len(begin) + 1) > f"{needs.clock.now():%Y-%m-%dT%H:%M}"
    return and_(audit.c.actor.startswith(begin, autoescape=True), later)


def _listed(row: Any, found: Any) -> Opening:
    told = {} if found is Gone else found
    return Opening(
        id=row.id,
        at=row.since,
        who=row.actor.partition(":")[0],
        role=row.role,
        category=row.category,
        purpose=row.purpose,
        outcome=row.outcome,
        act=row.act,
        count=row.count,
        reason=told.get("reason"),
        before=told.get("before"),
        after=told.get("after"),
    )
