"""Standing: what people have consented to, objected to and had restricted. It is said, never overwritten."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import insert, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.policy import Policy, Standing
from avow.vault import fact
from avow.vault.tables import standing

Kind = Literal["consent", "objection", "restriction"]


async def record(
    conn: AsyncConnection,
    policy: Policy,
    tenant_id: UUID,
    subject_id: UUID,
    kind: Kind,
    *,
    value: bool,
    at: datetime,
    purpose: str = "",
    shown: Mapping[str, Any] | None = None,
) -> None:
    """Write down what a person said at `at` under `policy`; it holds once the caller's transaction is committed.

    `purpose` is a word of the policy, empty for a restriction; `value` false withdraws or lifts. `shown`: the columns that
    say how a consent was asked for, with the row's `id` where a box among them is bound to it.
    """
    row = fact.begin(policy, "consent", tenant_id, subject_id, at)
    await conn.execute(insert(standing), row | {"kind": kind, "purpose": purpose, "value": value} | dict(shown or {}))


async def load(conn: AsyncConnection, subjects: Collection[UUID], at: datetime) -> dict[UUID, Standing]:
    """Return what each of `subjects` holds at `at`; who said nothing has an empty standing."""
    said = standing.c
    newest = (
        select(said.subject_id, said.kind, said.purpose, said.value)
        .ext(distinct_on(said.subject_id, said.kind, said.purpose))
        .where(said.subject_id.in_(subjects), or_(said.ends_at.is_(None), said.ends_at > at))
        .order_by(said.subject_id, said.kind, said.purpose, said.since.desc(), said.id.desc())
    )
    held: dict[UUID, dict[str, set[str]]] = {subject: {} for subject in subjects}
    for subject, kind, purpose, value in await conn.execute(newest):
        if value:
            held[subject].setdefault(kind, set()).add(purpose)
    return {subject: _standing(kinds) for subject, kinds in held.items()}


def _standing(kinds: dict[str, set[str]]) -> Standing:
    return Standing(
        restricted="restriction" in kinds,
        objected=frozenset(kinds.get("objection", ())),
        consented=frozenset(kinds.get("consent", ())),
    )
