"""A second factor: something that a person has beside the password they know. Here: an app that makes six digits.

It is proposed, and counts from the moment its person sent back a code of it. With it a password of eight characters is
long enough; so who takes it away must have one that stands alone.
"""

from datetime import datetime, timedelta

import msgspec
import pyotp
from sqlalchemy import delete, func, select, update

from avow.accounts import acts, codes, endings, letters, passwords, people, sessions
from avow.accounts.needs import Needs
from avow.accounts.people import own
from avow.accounts.sessions import Session, StepUpRefused
from avow.accounts.tables import recovery_code, second_factor
from avow.base.actor import Actor
from avow.base.errors import AvowError, NotFound
from avow.vault import fact

PROPOSED_FOR = timedelta(minutes=10)


class HasFactor(AvowError):
    """There is a second factor already."""

    status = 409
    code = "second_factor_present"
    hint = "Remove it first, at /api/me/second-factor/remove."


class CodeRefused(AvowError):
    """This code does not belong to the secret that was proposed, or that is too old."""

    status = 400
    code = "code_refused"
    hint = "Check the clock of the device and send the code it shows now; or begin anew at /api/me/second-factor."


class Proposed(msgspec.Struct, frozen=True):
    """A secret in base 32, and as the address that authenticator apps read from a picture (`otpauth://`)."""

    secret: str
    uri: str


class State(msgspec.Struct, frozen=True):
    """What a person can see of their second factor later."""

    enabled: bool
    since: datetime | None
    recovery_codes_left: int


async def read(needs: Needs, who: Actor) -> State:
    """Tell a person whether they have a second factor."""
    tenant_id, subject_id = own(who)
    since = select(second_factor.c.confirmed_at).where(second_factor.c.subject_id == subject_id)
    left = select(func.count()).where(recovery_code.c.subject_id == subject_id)
    async with needs.database.tenant(tenant_id) as connection:
        confirmed_at, count = await connection.scalar(since), await connection.scalar(left) or 0
    return State(confirmed_at is not None, confirmed_at, count)


async def propose(needs: Needs, who: Actor) -> Proposed:
    """Make a secret for a person's app; an earlier proposal ends. Raises HasFactor."""
    (tenant_id, subject_id), now, secret = own(who), needs.clock.now(), pyotp.random_base32()
    begun = fact.begin(needs.policy, "credential", tenant_id, subject_id, now) | {"ends_at": now + PROPOSED_FOR}
    await needs.vault.prepare(subject_id, "credential", begun["ends_at"])
    ref = codes.reference(tenant_id, subject_id, begun["id"])
    box = needs.vault.seal(ref, {"totp_secret": secret}, begun["ends_at"])
    mine = second_factor.c.subject_id == subject_id
    async with needs.database.tenant(tenant_id) as connection:
        facts = (await people.lock(needs, connection, subject_id)).facts
        await connection.execute(delete(second_factor).where(mine, second_factor.c.confirmed_at.is_(None)))
        if await connection.scalar(select(func.count()).where(mine)):
            raise HasFactor
        await connection.execute(second_factor.insert().values({**begun, "box": box, "last_step": 0}))
    return Proposed(secret, pyotp.TOTP(secret).provisioning_uri(name=facts["email"], issuer_name=needs.host))


async def confirm(needs: Needs, current: Session, code: str) -> list[str]:
    """Put the proposed secret in force for the person who can make its codes; gives their recovery codes.

    Their other sessions end, for those were begun with less (ASVS 5.0, 7.4.3). Raises CodeRefused or CodesSlowed.
    """
    tenant_id, subject_id, now = current.tenant_id, current.subject_id, needs.clock.now()
    begun = fact.begin(needs.policy, "credential", tenant_id, subject_id, now)
    await needs.vault.prepare(subject_id, "credential", begun["ends_at"])
    async with needs.database.tenant(tenant_id) as connection:
        await people.lock(needs, connection, subject_id)
        secret = await codes.open_secret(needs, connection, tenant_id, subject_id, confirmed=False)
        step = codes.step_of(secret, code.replace(" ", ""), now.timestamp()) if secret else None
        if secret is None or step is None:
            raise CodeRefused
        # The proposal's box ends soon; the same secret is sealed anew for as long as the account lives.
        ref = codes.reference(tenant_id, subject_id, begun["id"])
        box = needs.vault.seal(ref, {"totp_secret": secret}, begun["ends_at"])
        kept = update(second_factor).where(second_factor.c.subject_id == subject_id)
        await connection.execute(kept.values({**begun, "box": box, "confirmed_at": now, "last_step": step}))
        await sessions.end_all(connection, subject_id, but=current.id)
        await sessions.note_factor(needs, connection, current)
        await letters.changed(needs, connection, tenant_id, subject_id, letters.FACTOR_ADDED)
        await acts.note(needs, connection, current.who, "add second factor", category="credential")
        return await codes.make_recovery(needs, connection, tenant_id, subject_id)


async def renew_codes(needs: Needs, who: Actor) -> list[str]:
    """Make new recovery codes in the place of the old ones. Raises NotFound without a second factor, CodesSlowed."""
    tenant_id, subject_id = own(who)
    if not await codes.are_asked(needs, tenant_id, subject_id):
        raise NotFound("There is no second factor.")
    async with needs.database.tenant(tenant_id) as connection:
        await letters.changed(needs, connection, tenant_id, subject_id, letters.CODES_RENEWED)
        await acts.note(needs, connection, who, "renew recovery codes", category="credential")
        return await codes.make_recovery(needs, connection, tenant_id, subject_id)


async def remove(needs: Needs, who: Actor, password: str) -> None:
    """Take a second factor away from a person whose password is long enough to stand alone.

    Raises WeakPassword where it is too short (a longer one is set first), StepUpRefused where it is another's, NotFound.
    """
    tenant_id, subject_id = own(who)
    if await people.open_hash(needs, tenant_id, subject_id) is not None:
        passwords.check(password)
        if not await people.is_password(needs, tenant_id, subject_id, password):
            raise StepUpRefused
    async with needs.database.tenant(tenant_id) as connection:
        if not await endings.drop(needs, connection, second_factor, second_factor.c.subject_id == subject_id):
            raise NotFound("There is no second factor.")
        await endings.drop(needs, connection, recovery_code, recovery_code.c.subject_id == subject_id)
        await letters.changed(needs, connection, tenant_id, subject_id, letters.FACTOR_REMOVED)
        await acts.note(needs, connection, who, "remove second factor", category="credential")
