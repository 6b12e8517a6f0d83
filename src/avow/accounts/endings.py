"""Ways in that end for good: the row goes, and a tombstone keeps a restored backup from bringing it back."""

import asyncio

from sqlalchemy import ColumnElement, Table, delete
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts.needs import Needs


async def drop(needs: Needs, connection: AsyncConnection, of: Table, *where: ColumnElement[bool]) -> int:
    """Delete rows in the caller's transaction, and bury each; gives how many there were."""
    gone = (await connection.execute(delete(of).where(*where).returning(of.c.id))).scalars().all()
    for each in gone:
        await asyncio.to_thread(needs.tombstones.bury_item, of.name, each, needs.clock.now())
    return len(gone)
