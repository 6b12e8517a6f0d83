"""What the requests of a project, of an organisation, or of each organisation at a model may use together.

Set by the operator, judged by the ledger in the call that reserves, beside the limits of the key, so that they hold whichever
worker and whichever key asks. They count from the first request after they were set.
"""

from __future__ import annotations

import hashlib
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts.limits import Limits
from avow.billing.tables import allowance

Kind = Literal["project", "organisation", "model"]


def of_model(name: str) -> UUID:
    """The id of a model's allowance, which the ledger computes too."""
    return UUID(bytes=hashlib.md5(name.encode(), usedforsecurity=False).digest())


async def put(connection: AsyncConnection, kind: Kind, allowance_id: UUID, limits: Limits) -> None:
    """Set the limits of an allowance, as the keeper, in place of those before; without any it is taken away."""
    values = msgspec.structs.asdict(limits)
    if not any(value is not None for value in values.values()):
        await connection.execute(delete(allowance).where(allowance.c.id == allowance_id))
        return
    made = insert(allowance).values(id=allowance_id, kind=kind, **values)
    await connection.execute(made.on_conflict_do_update(index_elements=["id"], set_=values))
