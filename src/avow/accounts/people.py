"""People: who they are, as far as they told us, and the password hash that lets them in.

What a person told is one sealed box. It is found again by the blind index of the address, and opened for a purpose.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import affirmations, endings, fields
from avow.accounts.affirmations import Affirmed
from avow.accounts.fields import FieldRefused
from avow.accounts.needs import Needs
from avow.accounts.permissions import Standing
from avow.accounts.tables import credential, person, tenant
from avow.base.actor import GATEWAY, Actor
from avow.base.errors import NotFound
from avow.policy.words import AGE_FIELDS
from avow.vault import Act, Gone, OpenRefused, Ref, blind_index, fact


class Profile(NamedTuple):
    """A person as they see themselves. `keep_h`: hours of API content that their tenant asked to keep; None: not asked.

    `country`: theirs, in which they affirmed to be old enough; None: nobody asked.
    """

    tenant_id: UUID
    subject_id: UUID
    confirmed: bool
    keep_h: int | None
    facts: dict[str, str]
    role: Standing
    country: str | None


def actor(tenant_id: UUID, subject_id: UUID) -> Actor:
    """A person acting for themselves."""
    return Actor("subject", str(subject_id), "subject", tenant_id, subject_id)


def own(who: Actor) -> tuple[UUID, UUID]:
    """The tenant and the person behind an actor. Raises NotFound for one that is no person and no key of one."""
    if who.tenant_id is None or who.subject_id is None:
        raise NotFound
    return who.tenant_id, who.subject_id


async def find(needs: Needs, email: str) -> Row[Any] | None:
    """Find a person by address: tenant_id, subject_id, confirmed_at; None where there is nobody."""
    wanted = {"wanted": blind_index(needs.ring, "email", email), "at": needs.clock.now()}
    async with needs.database.begin() as connection:
        return (await connection.execute(text("SELECT * FROM person_by_email(:wanted, :at)"), wanted)).one_or_none()


async def open_hash(needs: Needs, tenant_id: UUID, subject_id: UUID) -> str | None:
    """Open the password hash that somebody's password is to be compared with; None where there is none.

    The opening is on the person's own record, as one by `subject:sign-in`: a stranger's try is seen there too. A person
    who had the use of their data restricted can still sign in, or they could never have the restriction lifted.
    """
    trying = Actor("subject", "sign-in", "subject", tenant_id, subject_id)
    async with needs.database.tenant(tenant_id) as connection:
        query = select(credential.c.id, credential.c.box).where(credential.c.subject_id == subject_id)
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        ref = Ref(tenant_id, "credential", "credential", row.id, subject_id)
        opened = await needs.vault.open(connection, ref, row.box, "access", trying)
    return None if opened is Gone else str(opened["password_hash"])


async def is_password(needs: Needs, tenant_id: UUID, subject_id: UUID, password: str) -> bool:
    """Tell whether a password is the one of a person; of somebody without one none is. Raises Busy."""
    kept = await open_hash(needs, tenant_id, subject_id)
    return (await needs.passwords.compare(kept, password)).right


async def open_address(
    needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, purpose: str = "notices"
) -> str | None:
    """Open the address that a person gave, to send them a notice; None where they are erased or had use restricted.

    With the purpose `policy.ANSWER` it reaches them all the same: they asked for what is sent.
    """
    box = await connection.scalar(select(person.c.box).where(person.c.id == subject_id))
    if box is None:
        return None
    try:
        opened = await needs.vault.open(connection, reference(tenant_id, subject_id), box, purpose, GATEWAY)
    except OpenRefused:
        return None
    return None if opened is Gone else str(opened["email"])


async def keep_hash(needs: Needs, tenant_id: UUID, subject_id: UUID, password_hash: str) -> None:
    """Put a new hash in the place of the old one. Raises NotFound when the person was erased."""
    async with needs.database.tenant(tenant_id) as connection:
        await put_hash(needs, connection, tenant_id, subject_id, password_hash)


async def put_hash(
    needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, password_hash: str
) -> None:
    """Give a person a password or another one, in the caller's transaction. Raises NotFound when they were erased."""
    await _row(connection, subject_id)
    mine = select(credential.c.id, credential.c.ends_at).where(credential.c.subject_id == subject_id)
    row = (await connection.execute(mine)).one_or_none()
    if row is None:
        await add_hash(needs, connection, tenant_id, subject_id, password_hash)
        return
    ref = Ref(tenant_id, "credential", "credential", row.id, subject_id)
    box = needs.vault.seal(ref, {"password_hash": password_hash}, row.ends_at)
    await connection.execute(update(credential).where(credential.c.id == row.id).values(box=box))


async def replace_hash(
    needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, password_hash: str
) -> None:
    """Give a person another password in the place of one that is to be void, in the caller's transaction.

    The row before is buried, so that a restored backup does not bring the old password back: who had it then has none and
    sets a new one by mail. Raises NotFound when they were erased.
    """
    await _row(connection, subject_id)
    await endings.drop(needs, connection, credential, credential.c.subject_id == subject_id)
    await add_hash(needs, connection, tenant_id, subject_id, password_hash)


async def add_hash(
    needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, password_hash: str
) -> None:
    """Give a person who has none their first password, in the caller's transaction."""
    begun = fact.begin(needs.policy, "credential", tenant_id, subject_id, needs.clock.now())
    ref = Ref(tenant_id, "credential", "credential", begun["id"], subject_id)
    box = needs.vault.seal(ref, {"password_hash": password_hash}, begun["ends_at"])
    await connection.execute(credential.insert().values({**begun, "box": box}))


async def read(needs: Needs, who: Actor) -> Profile:
    """Open a person's own data for them. Raises NotFound when the person was erased."""
    tenant_id, subject_id = own(who)
    async with needs.database.tenant(tenant_id) as connection:
        return await _profile(needs, connection, await _row(connection, subject_id))


async def lock(needs: Needs, connection: AsyncConnection, subject_id: UUID) -> Profile:
    """A person's own data, and their row locked until the caller's transaction ends: two tabs take turns.

    Raises NotFound when they were erased.
    """
    return await _profile(needs, connection, await _row(connection, subject_id))


async def amend(needs: Needs, who: Actor, given: Mapping[str, object]) -> Profile:
    """Rectify a person's own data, see `amend_in`."""
    async with needs.database.tenant(own(who)[0]) as connection:
        return await amend_in(connection, needs, who, given)


async def amend_in(connection: AsyncConnection, needs: Needs, who: Actor, given: Mapping[str, object]) -> Profile:
    """Rectify a person's own data, in the caller's transaction (GDPR Art. 16): `given` fields replace, empty or null ones are
    taken out.

    The old box is overwritten in the same act, and digests of before and after go on the person's record. The address, by
    which the account is found, is not changed here. Another country needs `of_age` anew. Raises FieldRefused or TooYoung.
    """
    if "email" in given:
        raise FieldRefused("The e-mail address is what the account is found by; it is not changed here.", param="email")
    moves = "age" in needs.policy.parts and not given.keys().isdisjoint(AGE_FIELDS)
    country = affirmations.read_country(needs.policy, given) if moves else None
    changed = fields.read(needs.policy.account, told(given) if moves else given)
    tenant_id, subject_id = own(who)
    row = await _row(connection, subject_id)
    profile = await _profile(needs, connection, row)
    facts = {**{name: kept for name, kept in profile.facts.items() if name not in given}, **changed}
    fields.require(needs.policy.account, facts)
    before = {**profile.facts, **Affirmed(profile.country).kept}
    profile = profile._replace(facts=facts, country=country or profile.country)
    held = {**facts, **Affirmed(profile.country).kept}
    box = needs.vault.seal(reference(tenant_id, subject_id), held, row.ends_at)
    await connection.execute(update(person).where(person.c.id == subject_id).values(box=box))
    act = Act(who, "rectify", tenant_id, subject_id, before=before, after=held)
    await needs.vault.record_act(connection, act)
    return profile


def told(opened: Mapping[str, Any]) -> dict[str, Any]:
    """What of a person's box they told about themselves: all but what they affirmed of their age."""
    return {name: value for name, value in opened.items() if name not in AGE_FIELDS}


def reference(tenant_id: UUID, subject_id: UUID) -> Ref:
    """The address of a person's box."""
    return Ref(tenant_id, "person", "account", subject_id, subject_id)


async def _row(connection: AsyncConnection, subject_id: UUID) -> Row[Any]:
    query = (
        select(person, tenant.c.keep_h)
        .join(tenant, tenant.c.tenant_id == person.c.tenant_id)
        .where(person.c.id == subject_id)
        .with_for_update(of=person)
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound
    return row


async def _profile(needs: Needs, connection: AsyncConnection, row: Row[Any]) -> Profile:
    ref = reference(row.tenant_id, row.subject_id)
    opened = await needs.vault.open(connection, ref, row.box, "access", actor(row.tenant_id, row.subject_id))
    if opened is Gone:
        raise NotFound
    country = opened.get("country")
    confirmed = row.confirmed_at is not None
    return Profile(row.tenant_id, row.subject_id, confirmed, row.keep_h, told(opened), row.role, country)
