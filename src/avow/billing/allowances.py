"""What the requests of a project, of an organisation, or of each organisation at a model may use together.

Set by the operator, judged by the ledger in the call that reserves, beside the limits of the key, so that they hold whichever
worker and whichever key asks. They count from the first request after they were set.
"""

from __future__ import annotations

import hashlib
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts.limits import Limits
from avow.billing.tables import allowance

_ALONE = text("LOCK TABLE wallet IN EXCLUSIVE MODE")  # the ledger works under the locks of wallets
_BEGIN_ANEW = text("""
    UPDATE allowance_use SET day_nano = held_nano, month_nano = held_nano, total_nano = held_nano WHERE allowance_id = :id
""")
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


def of_model(name: str) -> UUID:
    """The id of a model's allowance, which the ledger computes too."""
    return UUID(bytes=hashlib.md5(name.encode(), usedforsecurity=False).digest())


async def put(connection: AsyncConnection, kind: Kind, allowance_id: UUID, limits: Limits) -> None:
    """Set the limits of an allowance, as the keeper, in place of those before; without any it is taken away.

    Money counts from here on: of what was counted before, what is held for running requests stays, until they settle."""
    values = msgspec.structs.asdict(limits)
    await connection.execute(_ALONE)
    await connection.execute(_BEGIN_ANEW, {"id": allowance_id})
    if not any(value is not None for value in values.values()):
        await connection.execute(delete(allowance).where(allowance.c.id == allowance_id))
        return
    made = insert(allowance).values(id=allowance_id, kind=kind, **values)
    await connection.execute(made.on_conflict_do_update(index_elements=["id"], set_=values))


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
