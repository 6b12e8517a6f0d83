"""API keys: what a program shows in the place of a person. A key acts for one person, spends from one wallet, and works
until it is revoked or expires.

Its text is shown once. What is kept is a public id, by which it is found, and an HMAC, by which it is recognised.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.engine import Row

from avow.accounts import directory, fields, key_text, tokens
from avow.accounts.needs import Needs
from avow.accounts.people import own
from avow.accounts.tables import api_key, tenant
from avow.base.actor import Actor
from avow.base.errors import AvowError, BadInput, NotFound
from avow.vault import Gone, Ref, fact

ACTIVE_MAX = 100
HELD = ("api_content", "usage")
"""Categories whose half of the key is made with the API key, so that a call never has to make one."""


class TooManyKeys(AvowError):
    """You have as many active keys as one person can have."""

    status = 409
    code = "too_many_keys"
    hint = "Revoke a key that is not used any more."


class MadeKey(NamedTuple):
    """A new key; `secret` is its whole text and is never to be had again."""

    id: UUID
    prefix: str
    secret: str


class ListedKey(NamedTuple):
    """A key as its owner sees it later."""

    id: UUID
    prefix: str
    name: str
    state: str
    keep_h: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


async def create(
    needs: Needs, who: Actor, name: str = "", keep_h: int | None = None, expires_at: datetime | None = None
) -> MadeKey:
    """Make a key for a person. `keep_h` may only shorten what the tenant asked for.

    Raises FieldRefused, BadInput, or TooManyKeys.
    """
    tenant_id, subject_id = own(who)
    now = needs.clock.now()
    if expires_at is not None and expires_at <= now:
        raise BadInput("The key would expire before it is made.", param="expires_at")
    label = fields.read_fact("key_name", name)
    made = key_text.make()
    begun = fact.begin(needs.policy, "credential", tenant_id, subject_id, now)
    await _prepare(needs, subject_id, begun["ends_at"])
    ref = Ref(tenant_id, "api_key", "credential", begun["id"], subject_id)
    row = {
        **begun,
        "public_id": made.public_id,
        "secret_hmac": tokens.digest(needs.pepper, "api_key", made.text),
        "box": needs.vault.seal(ref, {"name": label}, begun["ends_at"]),
        "keep_h": keep_h,
        "state": "active",
        "expires_at": expires_at,
    }
    async with needs.database.tenant(tenant_id) as connection:
        # The tenant's row is the lock that keeps two tabs from passing the limit together.
        wallet_id = await connection.scalar(select(tenant.c.wallet_id).with_for_update())
        active = select(func.count()).where(api_key.c.subject_id == subject_id, api_key.c.state == "active")
        if (await connection.scalar(active) or 0) >= ACTIVE_MAX:
            raise TooManyKeys
        await connection.execute(api_key.insert().values({**row, "wallet_id": wallet_id}))
    return MadeKey(begun["id"], made.prefix, made.text)


async def revoke(needs: Needs, who: Actor, key_id: UUID) -> None:
    """Revoke one's own key: at once for whatever costs money, within 2 s elsewhere. Raises NotFound.

    Its tombstone keeps a restored backup from bringing it back to life.
    """
    tenant_id, subject_id = own(who)
    revoked = func.coalesce(api_key.c.revoked_at, needs.clock.now())
    mine = update(api_key).where(api_key.c.id == key_id, api_key.c.subject_id == subject_id)
    async with needs.database.tenant(tenant_id) as connection:
        done = await connection.execute(mine.values(state="revoked", revoked_at=revoked))
        if not done.rowcount:
            raise NotFound("There is no such key of yours.")
        await asyncio.to_thread(needs.tombstones.bury_item, api_key.name, key_id, needs.clock.now())
        await directory.announce(connection, tenant_id)
    needs.directory.forget(tenant_id)


async def listed(needs: Needs, who: Actor, after: UUID | None, limit: int) -> list[ListedKey]:
    """One's own keys, oldest first, at most `limit` of them behind the key `after`."""
    tenant_id, subject_id = own(who)
    query = select(api_key).where(api_key.c.subject_id == subject_id).order_by(api_key.c.id).limit(limit)
    if after is not None:
        query = query.where(api_key.c.id > after)
    async with needs.database.tenant(tenant_id) as connection:
        rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
        boxes = [(Ref(tenant_id, "api_key", "credential", row.id, subject_id), row.box) for row in rows]
        opened = await needs.vault.open_many(connection, boxes, "access", who)
    names = ["" if found is Gone else str(found["name"]) for found in opened]
    return [_listed(row, name) for row, name in zip(rows, names, strict=True)]


async def _prepare(needs: Needs, subject_id: UUID, ends_at: datetime | None) -> None:
    """Make the person's halves that this key's row and its later calls need, off the loop."""
    await needs.vault.prepare(subject_id, "credential", ends_at)
    for category in HELD:
        await asyncio.to_thread(needs.ring.holder, subject_id, category, True)


def _listed(row: Row[Any], name: str) -> ListedKey:
    return ListedKey(
        id=row.id,
        prefix=key_text.PREFIX + row.public_id,
        name=name,
        state=row.state,
        keep_h=row.keep_h,
        created_at=row.since,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )
