"""Rotation: a key gets a new secret, and the one before works on for a while, so that programs can be changed in peace.

It stays the same key: its limits and what it has used of them, its terms and its history go on.
"""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import update

from avow.accounts import acts, directory, key_text, keys, tokens
from avow.accounts.needs import Needs
from avow.accounts.people import own
from avow.accounts.tables import api_key
from avow.base.actor import Actor

OVERLAP_H, OVERLAP_H_MAX = 24, 168


class Rotated(msgspec.Struct, frozen=True):
    """The key with its new secret, shown once; the secret before works until `old_until`."""

    id: UUID
    prefix: str
    secret: str
    old_until: datetime


async def rotate(needs: Needs, who: Actor, key_id: UUID, overlap_h: int = OVERLAP_H) -> Rotated:
    """Give one's own active key a new secret; the one before works for `overlap_h` more hours (0: no more).

    One from before that, still working after an earlier rotation, ends now. Raises NotFound or ProjectArchived.
    """
    tenant_id, subject_id = own(who)
    made = key_text.make()
    until = needs.clock.now() + timedelta(hours=overlap_h)
    async with needs.database.tenant(tenant_id) as connection:
        row = await keys.active_row(connection, subject_id, key_id)
        changed = {
            "public_id": made.public_id,
            "secret_hmac": tokens.digest(needs.pepper, "api_key", made.text),
            "old_public_id": row.public_id,
            "old_secret_hmac": row.secret_hmac,
            "old_until": until,
        }
        await connection.execute(update(api_key).where(api_key.c.id == key_id).values(changed))
        before, after = {"key": row.public_id}, {"key": made.public_id, "old_until": until}
        await acts.note(needs, connection, who, "rotate key", category="credential", before=before, after=after)
        await directory.announce(connection, tenant_id)
    needs.directory.forget(tenant_id)
    return Rotated(key_id, made.prefix, made.text, until)
