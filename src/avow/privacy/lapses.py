"""Lapses: a consent that the policy in force does not ask for any more ends, as if it had been withdrawn."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.policy import Policy, asked
from avow.privacy.needs import Needs
from avow.privacy.stores import CHUNK_ROWS
from avow.vault import standing
from avow.vault.tables import standing as said


@dataclass(frozen=True, slots=True)
class Lapse:
    """A purpose for which consent is not asked any more, and how many people have given it."""

    purpose: str
    people: int


async def find(c: AsyncConnection, held: Policy, coming: Policy, now: datetime) -> tuple[Lapse, ...]:
    """The consents that lapse when `coming` takes the place of `held`."""
    purposes = sorted({*asked(held)} - {*asked(coming)})
    if not purposes:
        return ()
    given = _given(purposes, now).subquery()
    query = select(given.c.purpose, func.count()).group_by(given.c.purpose)
    counted: dict[str, int] = {row[0]: row[1] for row in await c.execute(query)}
    return tuple(Lapse(purpose, counted.get(purpose, 0)) for purpose in purposes)


async def carry_out(needs: Needs, purposes: Collection[str], at: datetime) -> None:
    """Write down that the consents for `purposes` have ended at `at`, a chunk of people in each transaction."""
    more = bool(purposes)
    while more:
        async with needs.database.begin() as c:
            rows = (await c.execute(_given(purposes, at).limit(CHUNK_ROWS))).all()
            for row in rows:
                ended: dict[str, Any] = {
                    "value": False,
                    "at": at,
                    "purpose": row.purpose,
                    "shown": {"said_how": "lapse"},
                }
                await standing.record(c, needs.policy, row.tenant_id, row.subject_id, "consent", **ended)
        more = len(rows) == CHUNK_ROWS


def _given(purposes: Collection[str], now: datetime) -> Select[Any]:
    """Who has consented to which of `purposes`: the newest word of each person counts."""
    columns = said.c
    newest = (
        select(columns.tenant_id, columns.subject_id, columns.purpose, columns.value)
        .ext(distinct_on(columns.subject_id, columns.purpose))
        .where(columns.kind == "consent", columns.purpose.in_(purposes))
        .where(or_(columns.ends_at.is_(None), columns.ends_at > now))
        .order_by(columns.subject_id, columns.purpose, columns.since.desc(), columns.id.desc())
        .subquery()
    )
    return select(newest.c.tenant_id, newest.c.subject_id, newest.c.purpose).where(newest.c.value)
