"""What the requests of a project, of an organisation, or of each organisation at a model may use together.

Those of a project are set by the owners and admins of its organisation, those of an organisation and of a model by the operator.
They are judged by the ledger in the call that reserves, beside the limits of the key, so that they hold whichever worker and
whichever key asks, and count from the first request after they were set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final, Literal
from uuid import UUID

import msgspec
from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts.limits import Limits
from avow.base.errors import NotFound
from avow.billing.tables import allowance

_PUT = text("""
    SELECT allowance_put(:kind, :id, :requests_per_min, :tokens_per_min, :parallel,
                         :budget_day_nano, :budget_month_nano, :budget_total_nano)
""")
_LISTED = text("SELECT * FROM allowances_of(:tenant, :after, :limit)")
_NAMED = text("SELECT allowance_named(:kind, :id)")
_END_USE = text("""
    DELETE FROM allowance_use u
    WHERE u.id = :tenant OR u.id IN (SELECT md5(a.id || ' ' || :name)::uuid FROM allowance a WHERE a.kind = 'model')
""")
_END_FORSAKEN = text("""
    DELETE FROM allowance a
    WHERE a.kind = 'organisation' AND NOT EXISTS (SELECT FROM person p WHERE p.tenant_id = a.id)
        OR a.kind = 'project' AND NOT EXISTS (SELECT FROM project p WHERE p.id = a.id)
""")
_END_UNUSED = text("""
    DELETE FROM allowance_use u
    WHERE u.running = 0 AND NOT EXISTS (SELECT FROM allowance a WHERE a.id = u.allowance_id)
""")


Kind = Literal["project", "organisation", "model"]


_HINTS: Final[Mapping[Kind, str]] = {
    "project": "The app shows a project's id, and GET /api/projects lists those of an organisation.",
    "organisation": "avow subject find ADDRESS shows the id of somebody's organisation: tenant_id.",
    "model": "avow model list shows what is offered, and GET /v1/models.",
}


def of_model(name: str) -> UUID:
    """The id of a model's allowance, which the ledger computes too."""
    return UUID(bytes=hashlib.md5(name.encode(), usedforsecurity=False).digest())


class Allowance(msgspec.Struct):
    """What is limited: a `project` or an `organisation` by its id, or a `model`, whose name is null once it is not offered."""

    id: UUID
    kind: Kind
    model: str | None
    limits: Limits


async def put(connection: AsyncConnection, kind: Kind, allowance_id: UUID, limits: Limits) -> None:
    """Set the limits of an allowance in place of those before; without any it is taken away.

    Money counts from here on: of what was counted before, what is held for running requests stays, until they settle."""
    await connection.execute(_PUT, {"kind": kind, "id": allowance_id, **msgspec.structs.asdict(limits)})


async def check_there(connection: AsyncConnection, kind: Kind, allowance_id: UUID, name: str = "") -> None:
    """Raises NotFound for a project or an organisation that is not there and a model that is not offered; `name`: how it was
    called."""
    if not await connection.scalar(_NAMED, {"kind": kind, "id": allowance_id}):
        raise NotFound(f"There is no {kind} {name}." if name else f"There is no such {kind}.", hint=_HINTS[kind])


async def listed(
    connection: AsyncConnection, tenant_id: UUID | None, after: UUID | None, limit: int
) -> list[Allowance]:
    """Those of an organisation and of its projects, by id, behind `after`; None: everybody's, and those of models."""
    found = await connection.execute(_LISTED, {"tenant": tenant_id, "after": after, "limit": limit})
    return [Allowance(row.id, row.kind, row.model, Limits(*row[3:])) for row in found]


async def end(connection: AsyncConnection, tenant_id: UUID) -> None:
    """End what was counted of an organisation that nobody is left in, and what it might use. A hold that still runs finds no
    counter when it settles, and needs none."""
    await connection.execute(_END_USE, {"tenant": tenant_id, "name": str(tenant_id)})
    await connection.execute(delete(allowance).where(allowance.c.id == tenant_id))


async def sweep(connection: AsyncConnection) -> None:
    """End the allowances of organisations without people and of projects that are no more, however those ended (lapsed, or
    brought back by a backup), and every count without an allowance."""
    await connection.execute(_END_FORSAKEN)
    await connection.execute(_END_UNUSED)
