"""API keys: what a program shows in the place of a person. A key acts for one person, spends from one wallet, and works
until it is revoked or expires.

Its text is shown once. What is kept is a public id, by which it is found, and an HMAC, by which it is recognised.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET
from sqlalchemy import func, select, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import acts, directory, key_terms, key_text, projects, tenants, tokens
from avow.accounts.key_terms import Change, Scope, Setting
from avow.accounts.key_text import KeyText
from avow.accounts.limits import Limits
from avow.accounts.needs import Needs
from avow.accounts.people import own
from avow.accounts.tables import api_key, tenant
from avow.base.actor import Actor
from avow.base.errors import AvowError, BadInput, NotFound
from avow.vault import GoneType, Opened, Ref, fact

ACTIVE_MAX = 100
YEAR_MAX = 2999
ANY = Setting()
HELD = ("api_content", "usage")
"""Categories whose half of the key is made with the API key, so that a call never has to make one."""


class TooManyKeys(AvowError):
    """You have as many active keys as one person can have."""

    status = 409
    code = "too_many_keys"
    hint = "Revoke a key that is not used any more."


class MadeKey(msgspec.Struct, frozen=True):
    """A new key; `secret` is its whole text and is never to be had again."""

    id: UUID
    prefix: str
    secret: str


class ListedKey(msgspec.Struct, frozen=True):
    """A key as its owner sees it later; `last_used_at` is a minute, `old_until` when the secret before a rotation ends."""

    id: UUID
    prefix: str
    name: str
    project_id: UUID | None
    state: Literal["active", "archived", "revoked"]
    keep_h: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    old_until: datetime | None
    limits: Limits
    scopes: list[Scope] | None
    models: list[str] | None
    networks: list[str] | None


async def create(
    needs: Needs,
    who: Actor,
    setting: Setting = ANY,
    *,
    by: Actor | None = None,
    reason: str | None = None,
    id: UUID | None = None,
    text: KeyText | None = None,
) -> MadeKey:
    """Make a key for a person; `by`: somebody else does. `keep_h` may only shorten what the tenant asked for.

    `id` and `text`: those that it is to have, for whoever must be able to make it only once, and shows it first.

    Raises FieldRefused, BadInput, KeepRefused, TooManyKeys, or for its project NotFound or ProjectArchived.
    """
    tenant_id, subject_id = own(who)
    now = needs.clock.now()
    setting = key_terms.check(setting)
    _check(needs, setting, now)
    made = text or key_text.make()
    begun = fact.begin(needs.policy, "credential", tenant_id, subject_id, now)
    begun["id"] = id or begun["id"]
    await _prepare(needs, tenant_id, subject_id, begun["ends_at"])
    row = {
        **begun,
        "public_id": made.public_id,
        "secret_hmac": tokens.digest(needs.pepper, "api_key", made.text),
        "state": "active",
        **_columns(needs, reference(tenant_id, subject_id, begun["id"]), setting, begun["ends_at"]),
    }
    async with needs.database.tenant(tenant_id) as connection:
        # The tenant's row is the lock that keeps two tabs from passing the limit together.
        wallet_id = await connection.scalar(select(tenant.c.wallet_id).with_for_update())
        active = select(func.count()).where(api_key.c.subject_id == subject_id, api_key.c.state == "active")
        if (await connection.scalar(active) or 0) >= ACTIVE_MAX:
            raise TooManyKeys
        await projects.check(connection, setting.project_id)
        await connection.execute(api_key.insert().values({**row, "wallet_id": wallet_id}))
        after = _state(begun["id"], setting)
        await acts.note(needs, connection, who, "create key", by=by, category="credential", reason=reason, after=after)
    return MadeKey(begun["id"], made.prefix, made.text)


async def amend(needs: Needs, who: Actor, key_id: UUID, change: Change) -> ListedKey:
    """Change one's own active key, at once for whatever costs money, within 2 s elsewhere.

    Raises NotFound, FieldRefused, BadInput, KeepRefused, ProjectArchived.
    """
    tenant_id, subject_id = own(who)
    async with needs.database.tenant(tenant_id) as connection:
        # The project before its keys, as whoever archives it does.
        await projects.check(connection, None if change.project_id is UNSET else change.project_id)
        row = await active_row(connection, subject_id, key_id)
        (boxed,) = await _opened(needs, connection, who, [row])
        if isinstance(boxed, GoneType):
            raise NotFound("There is no such active key of yours.")
        before = _setting(row, boxed)
        setting = key_terms.changed(before, change)
        _check(needs, setting, needs.clock.now() if change.expires_at is not UNSET else None)
        columns = _columns(needs, reference(tenant_id, subject_id, key_id), setting, row.ends_at)
        query = update(api_key).where(api_key.c.id == key_id).values(columns).returning(api_key)
        row = (await connection.execute(query)).one()
        was, now_is = _state(key_id, before), _state(key_id, setting)
        await acts.note(needs, connection, who, "change key", category="credential", before=was, after=now_is)
        await directory.announce(connection, tenant_id)
    needs.directory.forget(tenant_id)
    return _listed(row, setting)


async def revoke(needs: Needs, who: Actor, key_id: UUID, *, by: Actor | None = None, reason: str | None = None) -> None:
    """Revoke one's own key: at once for whatever costs money, within 2 s elsewhere; `by`: somebody else does. Raises NotFound.

    Its tombstone keeps a restored backup from bringing it back to life.
    """
    tenant_id, subject_id = own(who)
    async with needs.database.tenant(tenant_id) as connection:
        mine = select(api_key.c.state).where(api_key.c.id == key_id, api_key.c.subject_id == subject_id)
        if await connection.scalar(mine) is None:
            raise NotFound("There is no such key of yours.")
        if await end(needs, connection, tenant_id, key_id):
            after = {"key": key_id, "state": "revoked"}
            await acts.note(
                needs, connection, who, "revoke key", by=by, category="credential", reason=reason, after=after
            )
    needs.directory.forget(tenant_id)


async def end(needs: Needs, connection: AsyncConnection, tenant_id: UUID, key_id: UUID) -> bool:
    """Revoke a key in the caller's transaction, who then forgets the tenant's keys; False: it was revoked before, and nothing
    is written down again."""
    live = update(api_key).where(api_key.c.id == key_id, api_key.c.state != "revoked")
    if not (await connection.execute(live.values(state="revoked", revoked_at=needs.clock.now()))).rowcount:
        return False
    await asyncio.to_thread(needs.tombstones.bury_item, api_key.name, key_id, needs.clock.now())
    await directory.announce(connection, tenant_id)
    return True


async def listed(needs: Needs, who: Actor, after: UUID | None, limit: int) -> list[ListedKey]:
    """One's own keys, by id, at most `limit` of them behind the key `after`."""
    tenant_id, subject_id = own(who)
    query = select(api_key).where(api_key.c.subject_id == subject_id).order_by(api_key.c.id).limit(limit)
    if after is not None:
        query = query.where(api_key.c.id > after)
    async with needs.database.tenant(tenant_id) as connection:
        rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
        opened = await _opened(needs, connection, who, rows)
    return [_listed(row, _setting(row, box)) for row, box in zip(rows, opened, strict=True)]


def reference(tenant_id: UUID, subject_id: UUID, key_id: UUID) -> Ref:
    """The address of a key's box."""
    return Ref(tenant_id, api_key.name, "credential", key_id, subject_id)


async def active_row(connection: AsyncConnection, subject_id: UUID, key_id: UUID) -> Row[Any]:
    """The row of a person's active key, locked. Raises NotFound or ProjectArchived."""
    mine = (api_key.c.id == key_id) & (api_key.c.subject_id == subject_id) & (api_key.c.state != "revoked")
    row = (await connection.execute(select(api_key).where(mine).with_for_update())).one_or_none()
    if row is None:
        raise NotFound("There is no such active key of yours.")
    if row.state == projects.ARCHIVED:
        raise projects.ProjectArchived
    return row


def _check(needs: Needs, setting: Setting, now: datetime | None) -> None:
    """`now`: the end is new and must lie ahead."""
    tenants.check_keep(needs, setting.keep_h)
    if setting.expires_at is not None and setting.expires_at.year > YEAR_MAX:
        raise BadInput(
            f"The end of a key lies after the year {YEAR_MAX}; leave it out for a key without an end.",
            param="expires_at",
        )
    if now is not None and setting.expires_at is not None and setting.expires_at <= now:
        raise BadInput("The end of a key lies in the future.", param="expires_at")


def _columns(needs: Needs, ref: Ref, setting: Setting, ends_at: datetime | None) -> dict[str, Any]:
    """A setting as the row has it: what is compared at each call in clear, the rest in the box."""
    boxed = {"name": setting.name, "networks": setting.networks}
    return {
        "box": needs.vault.seal(ref, boxed, ends_at),
        "project_id": setting.project_id,
        "keep_h": setting.keep_h,
        "expires_at": setting.expires_at,
        "scopes": setting.scopes,
        "models": setting.models,
        "network_digests": key_terms.digests(needs.pepper, setting.networks),
        **msgspec.structs.asdict(setting.limits),
    }


def _state(key_id: UUID, setting: Setting) -> dict[str, Any]:
    """A key and what it may do, as the record digests it."""
    return {"key": key_id, **msgspec.to_builtins(setting)}


async def _opened(needs: Needs, connection: AsyncConnection, who: Actor, rows: Sequence[Row[Any]]) -> list[Opened]:
    boxes = [(reference(row.tenant_id, row.subject_id, row.id), row.box) for row in rows]
    return await needs.vault.open_many(connection, boxes, "access", who)


def _setting(row: Row[Any], box: Opened) -> Setting:
    boxed: dict[str, Any] = {} if isinstance(box, GoneType) else box
    return Setting(
        name=boxed.get("name", ""),
        project_id=row.project_id,
        keep_h=row.keep_h,
        expires_at=row.expires_at,
        limits=msgspec.convert(row, Limits, from_attributes=True),
        scopes=row.scopes,
        models=row.models,
        networks=boxed.get("networks"),
    )


async def _prepare(needs: Needs, tenant_id: UUID, subject_id: UUID, ends_at: datetime | None) -> None:
    """Make the owners' halves that this key's row and its later calls need, off the loop."""
    await needs.vault.prepare(subject_id, "credential", ends_at)
    for category in HELD:
        owner = tenant_id if needs.policy.categories[category].owner == "tenant" else subject_id
        await asyncio.to_thread(needs.ring.holder, owner, category, True)


def _listed(row: Row[Any], setting: Setting) -> ListedKey:
    return ListedKey(
        id=row.id,
        prefix=key_text.PREFIX + row.public_id,
        state=row.state,
        created_at=row.since,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        old_until=row.old_until,
        **msgspec.structs.asdict(setting),
    )
