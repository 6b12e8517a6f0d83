"""Looking at somebody's data as staff: found by address, opened by category, and always with a mark that they can read.

Which role may open which category for which purpose, the vault decides, and writes it down for good before it shows
anything. What is a secret (`credential`) is for nobody's eyes, whatever a policy lists.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import RowMapping, Table, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import people, staff
from avow.accounts.needs import Needs
from avow.base.actor import PLATFORM, Actor
from avow.base.errors import NotFound
from avow.catalog.words import Personal, facts
from avow.policy import Question, Standing, decide, words
from avow.privacy.desk import check_reason
from avow.vault import Act, Gone, OpenRefused, Ref

SECRETS: Final = frozenset({"credential"})


class Found(msgspec.Struct):
    """A person whom staff found by address: ids, and whether the address is confirmed."""

    id: UUID
    tenant_id: UUID
    confirmed: bool


class Seen(msgspec.Struct):
    """One opened box: the table it is from, its row, and what it held; null when its key is destroyed."""

    store: str
    id: UUID
    since: datetime
    ends_at: datetime | None
    fields: dict[str, Any] | None


class Line(msgspec.Struct):
    """One line of the record as the auditor sees it: who in person, whom, for what, when. Reasons stay sealed; they are
    opened like anything else, as the category `audit` of the person concerned."""

    id: UUID
    tenant_id: UUID
    subject_id: UUID
    at: datetime
    actor: str
    role: str
    act: str | None
    category: str
    purpose: str
    outcome: str
    count: int
    has_reason: bool


class Sought(NamedTuple):
    """What lines of the record are to be like; None: it does not matter."""

    subject: UUID | None = None
    actor: str | None = None
    act: str | None = None
    category: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def find(needs: Needs, who: Actor, email: str, purpose: str, reason: str) -> Found:
    """Find a person by address and leave a mark with them. Raises ReasonMissing, OpenRefused, NotFound."""
    check_reason(reason)
    if purpose not in words.STAFF_PURPOSES[who.role]:
        raise OpenRefused(f"{who.role} staff do not look for anything for this purpose")
    found = await people.find(needs, email)
    if found is None:
        raise NotFound("There is nobody with this address.")
    async with needs.database.tenant(found.tenant_id) as c:
        act = Act(who, "find by address", found.tenant_id, found.subject_id, purpose=purpose, reason=reason)
        await needs.vault.record_act(c, act)
    return Found(found.subject_id, found.tenant_id, found.confirmed_at is not None)


async def look(
    needs: Needs,
    who: Actor,
    subject_id: UUID,
    category: str,
    purpose: str,
    reason: str,
    older_than: UUID | None,
    limit: int,
) -> list[Seen]:
    """Open somebody's boxes of one category, newest first. Raises ReasonMissing, NotFound, OpenRefused.

    Where there are no boxes the vault has nothing to decide, and the person is told of the look all the same; whether
    there are any is told only to a role that could have opened them.
    """
    check_reason(reason)
    tenant_id = await staff.tenant_of(needs, subject_id)
    async with needs.database.tenant(tenant_id) as c:
        found = await _boxes(c, subject_id, category, older_than, limit, needs.clock.now())
        rows = [(_ref(table, held, row), row[held.column]) for table, held, row in found]
        if not rows:
            await needs.vault.record_act(c, Act(who, "look", tenant_id, subject_id, category, purpose, reason))
        opened = await needs.vault.open_many(c, rows, purpose, who, reason)
    if not rows:
        _refuse(needs, who, category, purpose)
    return [
        Seen(table.name, row["id"], row["since"], row["ends_at"], None if content is Gone else content)
        for (table, _, row), content in zip(found, opened, strict=True)
    ]


async def search(
    needs: Needs,
    who: Actor,
    reason: str,
    sought: Sought,
    older_than: UUID | None,
    limit: int,
) -> list[Line]:
    """Lines of everybody's record that fit everything that is sought, newest first.

    The search itself is on record: with the person whose record is singled out, else with the platform. Raises NotFound
    for a person who is not there.
    """
    subject_id = sought.subject or PLATFORM
    tenant_id = await staff.tenant_of(needs, subject_id)
    async with needs.database.tenant(tenant_id) as c:
        asked = {name: value for name, value in sought._asdict().items() if value is not None}
        await needs.vault.record_act(
            c, Act(who, "search record", tenant_id, subject_id, "audit", "proof", reason, after=asked)
        )
    query = text(
        "SELECT * FROM openings_found(CAST(:subject AS uuid), CAST(:actor AS text), CAST(:act AS text), "
        "CAST(:category AS text), CAST(:outcome AS text), CAST(:since AS timestamptz), CAST(:until AS timestamptz), "
        "CAST(:older AS uuid), :at, :most)"
    )
    page = {"older": older_than, "at": needs.clock.now(), "most": limit}
    async with needs.database.begin() as c:
        rows = (await c.execute(query, {**sought._asdict(), **page})).mappings().all()
    return [Line(**{("at" if name == "since" else name): value for name, value in row.items()}) for row in rows]


def _refuse(needs: Needs, who: Actor, category: str, purpose: str) -> None:
    if category in SECRETS:
        raise OpenRefused("secrets are for nobody's eyes")
    decision = decide(needs.policy, Standing(consented=frozenset({purpose})), Question(category, purpose, who.role))
    if not decision:
        raise OpenRefused(decision.reason, decision.clause)


async def _boxes(
    c: AsyncConnection, subject_id: UUID, category: str, older_than: UUID | None, limit: int, now: datetime
) -> list[tuple[Table, Personal, RowMapping]]:
    found: list[tuple[Table, Personal, RowMapping]] = []
    for table, held in _sealed(category):
        of = table.c
        lives = or_(of.ends_at.is_(None), of.ends_at > now)
        query = select(table).where(of.subject_id == subject_id, lives, of[held.column].is_not(None))
        if older_than is not None:
            query = query.where(of.id < older_than)
        rows = (await c.execute(query.order_by(of.id.desc()).limit(limit))).mappings().all()
        found += [(table, held, row) for row in rows]
    return sorted(found, key=lambda each: each[2]["id"], reverse=True)[:limit]


def _sealed(category: str) -> Iterator[tuple[Table, Personal]]:
    if category not in SECRETS:
        yield from ((table, held) for table, held in facts() if held.category == category and held.box)


def _ref(table: Table, held: Personal, row: RowMapping) -> Ref:
    return Ref(row["tenant_id"], table.name, held.category, row["id"], row["subject_id"])
