"""Whether a key could pay for anything at all, asked before a large body is read for it.

It is a look, no reservation: the ledger judges each request again. A yes is remembered for a second, a no never is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from avow.base.db import Database
from avow.billing import refusals

AGE_S_MAX = 1.0
SIZE_MAX = 10_000
MONEY = frozenset(("money", "day", "month", "total"))

_MEANS = text("SELECT reason, room FROM key_means(:key, :at)")


class Means:
    """One for each process, over a database of role `app`."""

    def __init__(self, database: Database, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database, self._monotonic = database, monotonic
        self._seen: dict[UUID, float] = {}

    async def check(self, key_id: UUID, at: datetime, *, needs_money: bool) -> None:
        """Raise as `Batcher.open` would for the smallest request, `needs_money` false: for one to a free model."""
        now_s = self._monotonic()
        if now_s - self._seen.get(key_id, -AGE_S_MAX) < AGE_S_MAX:
            return
        async with self._database.begin() as connection:
            reason, room = (await connection.execute(_MEANS, {"key": key_id, "at": at})).one()
        if reason is not None and (needs_money or reason not in MONEY):
            raise refusals.named(reason, room)
        if len(self._seen) >= SIZE_MAX:
            self._seen.clear()
        self._seen[key_id] = now_s
