"""Ways in that end for good: the row goes, and a tombstone keeps a restored backup from bringing it back.

Of tables that a restore empties anyway (`restored=never()`) nothing has to be remembered.
"""

import asyncio

from sqlalchemy import ColumnElement, Table, delete
from sqlalchemy.ext.asyncio import AsyncConnection

from avow import catalog
from avow.accounts.needs import Needs


async def drop(needs: Needs, connection: AsyncConnection, of: Table, *where: ColumnElement[bool]) -> int:
    """Delete rows in the caller's transaction, and bury each that a restore could bring back; gives how many there were."""
    gone = (await connection.execute(delete(of).where(*where).returning(of.c.id))).scalars().all()
    how = catalog.declaration(of).restored
    for each in gone if how is None or not how.never else ():
        await asyncio.to_thread(needs.tombstones.bury_item, of.name, each, needs.clock.now())
    return len(gone)
