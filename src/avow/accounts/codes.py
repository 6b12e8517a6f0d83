"""Codes that stand beside a password: six digits of an app (TOTP, RFC 6238), or a recovery code. Each works once.

A device's clock may be one step (30 s) off, either way. The step of the last code taken is kept, so neither that code nor
an older one works again, however quickly it comes and in however many tabs.
"""

import hmac
import secrets
from typing import Final
from uuid import UUID

import pyotp
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import endings, letters, tokens
from avow.accounts.needs import Needs
from avow.accounts.tables import recovery_code, second_factor
from avow.base.actor import Actor
from avow.base.errors import Slowed
from avow.vault import Gone, Ref, fact

STEP_S: Final = 30
SKEW: Final = 1
DIGITS: Final = 6
RECOVERY_COUNT: Final = 10
RECOVERY_LENGTH: Final = 25
"""Characters of 5 bits: 125 bits, more than the 112 from which a plain keyed digest is enough (ASVS 5.0, 6.5.2)."""
ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: nothing in it is read as something else."""


class CodesSlowed(Slowed):
    """You had recovery codes made very often."""

    code = "recovery_codes_slowed"
    hint = "Nothing was changed, and codes that you have go on working. Wait as long as Retry-After says."


async def are_asked(needs: Needs, tenant_id: UUID, subject_id: UUID) -> bool:
    """Tell whether a person's sign-in asks for a code."""
    confirmed = second_factor.c.confirmed_at.is_not(None)
    query = select(func.count()).where(second_factor.c.subject_id == subject_id, confirmed)
    async with needs.database.tenant(tenant_id) as connection:
        return bool(await connection.scalar(query))


async def take(needs: Needs, tenant_id: UUID, subject_id: UUID, code: str) -> bool:
    """Use a code up: True once, for a right code of the app or a recovery code of this person."""
    given = code.replace(" ", "").replace("-", "").upper()
    async with needs.database.tenant(tenant_id) as connection:
        if len(given) == DIGITS:
            return await _take_totp(needs, connection, tenant_id, subject_id, given)
        if len(given) == RECOVERY_LENGTH:
            return await _take_recovery(needs, connection, tenant_id, subject_id, given)
    return False


def step_of(secret: str, code: str, now_s: float) -> int | None:
    """The step whose code this is, at most `SKEW` steps from now; None: it is no code of this secret at this time."""
    totp, now = pyotp.TOTP(secret), int(now_s) // STEP_S
    steps = range(now - SKEW, now + SKEW + 1)
    right = [step for step in steps if hmac.compare_digest(totp.generate_otp(step).encode(), code.encode())]
    return max(right, default=None)


async def open_secret(
    needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, *, confirmed: bool
) -> str | None:
    """Open the secret of a person's second factor, the one in force or the one proposed; None where there is none."""
    state = second_factor.c.confirmed_at.is_not(None) if confirmed else second_factor.c.confirmed_at.is_(None)
    alive = second_factor.c.ends_at.is_(None) | (second_factor.c.ends_at > needs.clock.now())
    query = select(second_factor.c.id, second_factor.c.box).where(
        second_factor.c.subject_id == subject_id, state, alive
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    trying = Actor("subject", "sign-in", "subject", tenant_id, subject_id)
    opened = await needs.vault.open(connection, reference(tenant_id, subject_id, row.id), row.box, "access", trying)
    return None if opened is Gone else str(opened["totp_secret"])


async def make_recovery(needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID) -> list[str]:
    """Make new recovery codes, which void the old ones; they are shown once and kept as digests.

    Raises CodesSlowed, before anything is changed.
    """
    now = needs.clock.now()
    if wait_s := needs.recovery_codes.wait_s(str(subject_id), now):
        raise CodesSlowed(wait_s)
    needs.recovery_codes.fail(str(subject_id), now)
    made = ["".join(secrets.choice(ALPHABET) for _ in range(RECOVERY_LENGTH)) for _ in range(RECOVERY_COUNT)]
    await endings.drop(needs, connection, recovery_code, recovery_code.c.subject_id == subject_id)
    rows = [
        fact.begin(needs.policy, "credential", tenant_id, subject_id, now) | {"code_hmac": _digest(needs, code)}
        for code in made
    ]
    await connection.execute(recovery_code.insert(), rows)
    return ["-".join(code[at : at + 5] for at in range(0, RECOVERY_LENGTH, 5)) for code in made]


def reference(tenant_id: UUID, subject_id: UUID, row_id: UUID) -> Ref:
    """The address of a second factor's box."""
    return Ref(tenant_id, "second_factor", "credential", row_id, subject_id)


async def _take_totp(needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, given: str) -> bool:
    secret = await open_secret(needs, connection, tenant_id, subject_id, confirmed=True)
    step = step_of(secret, given, needs.clock.now().timestamp()) if secret else None
    if step is None:
        return False
    later = update(second_factor).where(second_factor.c.subject_id == subject_id, second_factor.c.last_step < step)
    return bool((await connection.execute(later.values(last_step=step))).rowcount)


async def _take_recovery(
    needs: Needs, connection: AsyncConnection, tenant_id: UUID, subject_id: UUID, given: str
) -> bool:
    digest = _digest(needs, given)
    mine = (recovery_code.c.subject_id == subject_id, recovery_code.c.code_hmac == digest)
    if not await endings.drop(needs, connection, recovery_code, *mine):
        return False
    await letters.changed(needs, connection, tenant_id, subject_id, letters.CODE_USED)
    return True


def _digest(needs: Needs, code: str) -> bytes:
    return tokens.digest(needs.pepper, "recovery_code", code)
