"""Keys that processes still have in memory when a person's keys are destroyed."""

from __future__ import annotations

import asyncio
from uuid import UUID

from avow.base.db import Database
from avow.vault import keys
from avow.vault.ring import CACHE_S_MAX


class NotifyAndWait:
    """Tells every process to forget a person's keys, then waits as long as any of them could keep one unasked.

    A process that missed the word forgets by itself after 5 s (`vault.ring`); only then is "key destroyed" true.
    """

    def __init__(self, database: Database, wait_s: float = CACHE_S_MAX) -> None:
        self._database = database
        self._wait_s = wait_s

    async def __call__(self, subject_id: UUID) -> None:
        async with self._database.begin() as c:
            await keys.announce(c, subject_id)
        await asyncio.sleep(self._wait_s)
