"""Members: the people of one organisation, and what each may do in it.

An owner may do all, an admin all but make or unmake owners and admins, a member works with keys of their own, a viewer
looks on. What a key was used for belongs to its owner, not to the organisation: nobody reads a colleague's content
here. Who leaves or is removed becomes `former`: they keep their account and their rights in it, and nothing else. An
organisation with people in it always has an owner, so the last one cannot leave, step down or be erased.
"""

from typing import Any, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import directory, keys, people
from avow.accounts.needs import Needs
from avow.accounts.people import own
from avow.accounts.permissions import BELONGING, MANAGING, NotPermitted, Standing
from avow.accounts.tables import api_key, person, tenant
from avow.base.actor import Actor
from avow.base.errors import AvowError, BadInput, NotFound
from avow.privacy import requests
from avow.privacy.tables import rights_request
from avow.vault import Act, Gone, standing

FORMER = "former"
WITHOUT_KEYS = frozenset({"viewer", FORMER})


class LastOwner(AvowError):
    """The organisation would be left without an owner."""

    status = 409
    code = "last_owner"
    hint = "Make another member an owner first (PATCH /api/tenant/members/ID), or remove all other members."


class Member(msgspec.Struct):
    """A person of the organisation; `facts` is null where they had the use of their data restricted."""

    id: UUID
    role: Standing
    confirmed: bool
    facts: dict[str, str] | None


class Standings(NamedTuple):
    """What the two people of an act are, read under the lock of their organisation."""

    mine: str
    theirs: str


async def listed(needs: Needs, who: Actor, after: UUID | None, limit: int) -> list[Member]:
    """The people of one's organisation, those who left too; for owners and admins, and on each person's record."""
    tenant_id, _ = own(who)
    query = select(person).order_by(person.c.id).limit(limit)
    if after is not None:
        query = query.where(person.c.id > after)
    async with needs.database.tenant(tenant_id) as c:
        rows = list((await c.execute(query)).all())
        said = await standing.load(c, {row.id for row in rows}, needs.clock.now())
        shown = [row for row in rows if not said[row.id].restricted]
        boxes = [(people.reference(row.tenant_id, row.id), row.box) for row in shown]
        opened = await needs.vault.open_many(c, boxes, "service", await manager(c, who))
    facts = {row.id: people.told(found) for row, found in zip(shown, opened, strict=True) if found is not Gone}
    return [Member(row.id, row.role, row.confirmed_at is not None, facts.get(row.id)) for row in rows]


async def change_role(needs: Needs, who: Actor, member_id: UUID, role: str) -> None:
    """Give a member another role; `former` removes them. A role without keys revokes the ones they have.

    Raises BadInput, NotFound, NotPermitted for what an admin may not do, LastOwner.
    """
    if role not in BELONGING | {FORMER}:
        raise BadInput(f"There is no such role; there are {', '.join(sorted(BELONGING))}.", param="role")
    tenant_id, _ = own(who)
    async with needs.database.tenant(tenant_id) as c:
        stand = await _standings(c, who, member_id)
        if own(who)[1] != member_id or role != FORMER:
            check_power(stand.mine, stand.theirs, role)
        if stand.theirs == "owner" and role != "owner" and not await _owners(c, tenant_id, member_id):
            raise LastOwner
        await c.execute(update(person).where(person.c.id == member_id).values(role=role))
        if role in WITHOUT_KEYS:
            await _revoke_keys(needs, c, tenant_id, member_id)
        await directory.announce(c, tenant_id)
        before, after = {"role": stand.theirs}, {"role": role}
        act = Act(who, "change role", tenant_id, member_id, before=before, after=after)
        await needs.vault.record_act(c, act)
    needs.directory.forget(tenant_id)


async def leave(needs: Needs, who: Actor) -> None:
    """Leave one's organisation; keys stop, one's own rights stay. Raises LastOwner."""
    await change_role(needs, who, own(who)[1], FORMER)


async def check_erasure(c: AsyncConnection, tenant_id: UUID, subject_id: UUID) -> None:
    """Refuse to erase the last owner of an organisation that has other people in it. Raises LastOwner.

    Holds the organisation's lock until the caller's transaction ends, so that two owners cannot go at once.
    """
    await _lock(c, tenant_id)
    role = await c.scalar(select(person.c.role).where(person.c.id == subject_id))
    if role == "owner" and not await _owners(c, tenant_id, subject_id) and await _others(c, tenant_id, subject_id):
        raise LastOwner


async def is_left(c: AsyncConnection, tenant_id: UUID) -> bool:
    """Whether an organisation has people in it still."""
    query = select(person.c.id).where(person.c.tenant_id == tenant_id, person.c.role != FORMER).limit(1)
    return await c.scalar(query) is not None


async def manager(c: AsyncConnection, who: Actor) -> Actor:
    """Somebody as the owner or admin that they are at this moment. Raises NotPermitted."""
    role = await c.scalar(select(person.c.role).where(person.c.id == who.subject_id))
    if role not in MANAGING:
        raise NotPermitted
    return Actor("subject", who.id, str(role), who.tenant_id, who.subject_id)


def check_power(mine: str, old: str, new: str) -> None:
    """Refuse what a role may not do to another: owners do all, admins nothing to or for owners and admins."""
    if mine == "owner" or (mine == "admin" and not {old, new} & MANAGING):
        return
    raise NotPermitted


async def _standings(c: AsyncConnection, who: Actor, member_id: UUID) -> Standings:
    tenant_id, subject_id = own(who)
    await _lock(c, tenant_id)
    query = select(person.c.id, person.c.role).where(person.c.id.in_([subject_id, member_id]))
    roles = {row.id: row.role for row in (await c.execute(query)).all()}
    if member_id not in roles:
        raise NotFound("There is no such member.")
    return Standings(roles.get(subject_id, FORMER), roles[member_id])


async def _lock(c: AsyncConnection, tenant_id: UUID) -> Row[Any] | None:
    """What changes who is in an organisation comes one after another."""
    query = select(tenant.c.tenant_id).where(tenant.c.tenant_id == tenant_id).with_for_update()
    return (await c.execute(query)).one_or_none()


async def _owners(c: AsyncConnection, tenant_id: UUID, but: UUID) -> int:
    """How many owners stay without one person: others, and none that has asked for erasure."""
    return await _count(c, tenant_id, but, person.c.role == "owner")


async def _others(c: AsyncConnection, tenant_id: UUID, but: UUID) -> int:
    return await _count(c, tenant_id, but, person.c.role != FORMER)


async def _count(c: AsyncConnection, tenant_id: UUID, but: UUID, which: ColumnElement[bool]) -> int:
    going = exists().where(
        rights_request.c.subject_id == person.c.id,
        rights_request.c.kind == "erase",
        rights_request.c.state.in_(requests.OPEN),
    )
    query = select(func.count()).where(person.c.tenant_id == tenant_id, person.c.id != but, which, ~going)
    return await c.scalar(query) or 0


async def _revoke_keys(needs: Needs, c: AsyncConnection, tenant_id: UUID, subject_id: UUID) -> None:
    live = select(api_key.c.id).where(api_key.c.subject_id == subject_id, api_key.c.state != "revoked")
    for key_id in (await c.execute(live)).scalars().all():
        await keys.end(needs, c, tenant_id, key_id)
