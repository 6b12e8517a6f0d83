"""Another password: for somebody signed in who has just shown who they are, or for the owner of an address by mail.

A reset proves the address. It ends all sessions and touches no second factor, so it is no way around one. An account whose
address nobody had confirmed may have been made by a stranger: there the owner takes it over, and every key and every
other way in that existed before ends with the old password.
"""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import (
    acts,
    codes,
    directory,
    endings,
    keys,
    letters,
    pace,
    passwords,
    people,
    sessions,
    throttle,
    tokens,
)
from avow.accounts.needs import Needs
from avow.accounts.sessions import Session
from avow.accounts.tables import (
    api_key,
    confirmation,
    identity,
    invitation,
    passkey,
    person,
    recovery_code,
    reset,
    second_factor,
    tenant,
)
from avow.base.errors import AvowError
from avow.policy import ANSWER
from avow.vault import fact
from avow.vault.blind import normalise

WITHIN = timedelta(hours=1)


class ResetRefused(AvowError):
    """This reset is not known, was used, or is too old."""

    status = 400
    code = "reset_refused"
    hint = "Ask for a new message at /api/auth/reset."


async def ask(needs: Needs, email: str, caller: str | None = None) -> None:
    """Send the owner of an address a reset; where there is no account nothing happens, and nobody can tell.

    Raises NetworkSlowed for a network that asks for very many, whoever they are for.
    """
    needs.networks.check(caller, needs.clock.now())
    needs.networks.fail(caller, needs.clock.now())
    async with pace.even(needs.step_s):
        name, mailbox, now = normalise(email), throttle.mailbox(email), needs.clock.now()
        found = await people.find(needs, email)
        if found is None or needs.resets.wait_s(name, now) or needs.mailboxes.wait_s(mailbox, now):
            return
        needs.resets.fail(name, now)
        needs.mailboxes.fail(mailbox, now)
        async with needs.database.tenant(found.tenant_id) as connection:
            # To the address that the owner gave, not to the one typed now, which may only look like it.
            address = await people.open_address(needs, connection, found.tenant_id, found.subject_id, ANSWER)
            if address is not None:
                await send(needs, connection, found.tenant_id, found.subject_id, address)


async def send(needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, address: str) -> None:
    """Put a reset into the mail to `address`, in the caller's transaction."""
    token, now = tokens.make(), needs.clock.now()
    row = {
        **fact.begin(needs.policy, "credential", tenant_id, subject_id, now),
        "ends_at": now + WITHIN,
        "token_hmac": tokens.digest(needs.pepper, "reset", token),
    }
    await connection.execute(reset.insert().values(row))
    await letters.reset(needs, connection, tenant_id, subject_id, address, token)


async def take(needs: Needs, token: str, password: str) -> None:
    """Set a new password with the token of a mail; it works once.

    Raises ResetRefused, and before the token is used up WeakPassword or Busy.
    """
    digest = tokens.digest(needs.pepper, "reset", token)
    async with needs.database.begin() as connection:
        query = text("SELECT * FROM reset_by_token(:wanted, :at)")
        found = (await connection.execute(query, {"wanted": digest, "at": needs.clock.now()})).one_or_none()
    if found is None:
        raise ResetRefused
    password_hash = await _hash(needs, found.tenant_id, found.subject_id, password)
    await needs.vault.prepare(
        found.subject_id, "credential", needs.policy.categories["credential"].keep.end(needs.clock.now())
    )
    async with needs.database.tenant(found.tenant_id) as connection:
        if not (await connection.execute(delete(reset).where(reset.c.token_hmac == digest))).rowcount:
            raise ResetRefused
        if await _take_over(needs, connection, found.tenant_id, found.subject_id):
            await directory.announce(connection, found.tenant_id)
        await _replace(needs, connection, found.tenant_id, found.subject_id, password_hash)
        who = people.actor(found.tenant_id, found.subject_id)
        await acts.note(needs, connection, who, "reset password", category="credential")
    needs.directory.forget(found.tenant_id)


async def change(needs: Needs, current: Session, password: str) -> None:
    """Set a new password for somebody who has just shown who they are; their other sessions end.

    Raises WeakPassword or Busy.
    """
    password_hash = await _hash(needs, current.tenant_id, current.subject_id, password)
    async with needs.database.tenant(current.tenant_id) as connection:
        await _replace(needs, connection, current.tenant_id, current.subject_id, password_hash, but=current.id)
        await acts.note(needs, connection, current.who, "change password", category="credential")


async def _hash(needs: Needs, tenant_id: UUID, subject_id: UUID, password: str) -> str:
    """Hash a password that may be shorter where a second factor stands beside it."""
    length_min = passwords.LENGTH_MIN
    if await codes.are_asked(needs, tenant_id, subject_id):
        length_min = passwords.LENGTH_MIN_OF_TWO
    async with needs.database.tenant(tenant_id) as connection:
        address = await people.open_address(needs, connection, tenant_id, subject_id)
    return await needs.passwords.hash(password, length_min, (needs.host, address or ""))


async def _replace(
    needs: Needs,
    connection: AsyncConnection,
    tenant_id: UUID,
    subject_id: UUID,
    password_hash: str,
    but: UUID = sessions.NOBODY,
) -> None:
    await people.replace_hash(needs, connection, tenant_id, subject_id, password_hash)
    await sessions.end_all(connection, subject_id, but)
    await connection.execute(delete(reset).where(reset.c.subject_id == subject_id))
    await letters.changed(needs, connection, tenant_id, subject_id, letters.PASSWORD_CHANGED)


async def _take_over(needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID) -> bool:
    """Confirm an address that nobody had confirmed, and end what whoever made the account could still come in with."""
    now = needs.clock.now()
    unconfirmed = update(person).where(person.c.id == subject_id, person.c.confirmed_at.is_(None))
    if not (await connection.execute(unconfirmed.values(confirmed_at=now))).rowcount:
        return False
    await connection.execute(delete(confirmation).where(confirmation.c.subject_id == subject_id))
    for way in (second_factor, recovery_code, passkey, identity):
        await endings.drop(needs, connection, way, way.c.subject_id == subject_id)
    theirs = select(api_key.c.id).where(api_key.c.subject_id == subject_id, api_key.c.state != "revoked")
    for key_id in (await connection.execute(theirs)).scalars().all():
        await keys.end(needs, connection, tenant_id, key_id)
    await connection.execute(update(tenant).where(tenant.c.tenant_id == tenant_id).values(keep_h=None))
    await endings.drop(needs, connection, invitation, invitation.c.tenant_id == tenant_id)
    return True
