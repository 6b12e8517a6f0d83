"""How far an erasure came, store by store, while it runs: for whoever has the token of its receipt, and no account any more."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.errors import NotFound
from avow.privacy.erase import KEYS
from avow.privacy.requests import token_hash

_PROGRESS = text("SELECT * FROM rights_progress(:wanted, :hash)")


class StoreProgress(msgspec.Struct):
    """A store of the plan: how many facts it held, with how many of them the erasure is through, and since when with all (null:
    not yet). `ending` is `hold` where the law keeps them, until `until`."""

    store: str
    categories: list[str]
    ending: str
    planned: int
    through: int
    done_at: datetime | None
    until: datetime | None


class Progress(msgspec.Struct):
    """An erasure as it stands; `keys_at` is when its keys were destroyed, `reason` what it last stumbled over."""

    state: str
    reason: str | None
    stores: list[StoreProgress]
    keys_at: datetime | None


async def read(c: AsyncConnection, id: UUID, token: str) -> Progress:
    """The progress of an erasure; no stores before it is planned, and no times any more once there is a receipt.

    Raises NotFound for a token that does not belong to the request.
    """
    rows = (await c.execute(_PROGRESS, {"wanted": id, "hash": token_hash(token)})).all()
    if not rows:
        raise NotFound
    done = {row.step: row for row in rows if row.step is not None}
    over = rows[0].state == "succeeded"
    stores = [_store(step, done.get(step["store"]), over=over) for step in rows[0].plan or []]
    keys = done.get(KEYS)
    return Progress(rows[0].state, rows[0].reason, stores, keys.done_at if keys else None)


def _store(step: dict[str, Any], done: Any, *, over: bool) -> StoreProgress:
    return StoreProgress(
        store=step["store"],
        categories=step["categories"],
        ending=step["ending"],
        planned=step["facts"],
        through=done.facts if done else step["facts"] if over else 0,
        done_at=done.done_at if done else None,
        until=datetime.fromisoformat(step["until"]) if step["until"] else None,
    )
