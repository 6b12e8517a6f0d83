"""Signing in and out. A session is the proof that somebody gave the right password not long ago.

It is found by an opaque token in a cookie, ends after a day without use and after thirty days in any case, and begins
anew (with a new token, the old one ended) at each sign-in. No network address and no device is kept. For ten minutes
after its person showed who they are it is fresh; acts that a stolen cookie must not be enough for ask for that. Whoever
has a second factor shows that too: a session that began with less (a password beside a passkey, an identity provider) is
not fresh until then.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import delete, select, text, update
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import acts, codes, endings, letters, pace, people, sign_ins, tokens, visits
from avow.accounts.needs import Needs
from avow.accounts.passwords import Verdict
from avow.accounts.sign_ins import Outcome, Way
from avow.accounts.tables import session
from avow.accounts.visits import Visitor
from avow.base.actor import Actor
from avow.base.errors import AvowError, NotFound, Slowed
from avow.vault import fact
from avow.vault.blind import normalise

IDLE = timedelta(hours=24)
ABSOLUTE = timedelta(days=30)
SEEN_STEP = timedelta(hours=1)
FRESH = timedelta(minutes=10)
ALERT_AT = 10
NOBODY = UUID(int=0)


class SignInRefused(AvowError):
    """This e-mail address and password do not belong together."""

    status = 401
    code = "sign_in_refused"
    hint = "Check both and try again. Where new addresses are to be confirmed, an account works once its own is."


class SignInSlowed(Slowed):
    """There were too many wrong passwords for this address."""

    code = "sign_in_slowed"
    hint = "Wait as long as Retry-After says; sessions that are signed in go on working."


class SecondFactorNeeded(AvowError):
    """The password is right; this account has a second factor too."""

    status = 401
    code = "second_factor_needed"
    hint = "Send the same again with `code`: six digits of your app, or a recovery code; or sign in with a passkey."


class SecondFactorRefused(AvowError):
    """This code is not right, is too old, or was used already."""

    status = 401
    code = "second_factor_refused"
    hint = "Wait for the next code, and check the clock of the device that makes it; a recovery code works once."


OUTCOMES: Final[Mapping[type[AvowError], Outcome]] = {
    SignInRefused: "refused",
    SecondFactorNeeded: "factor_missing",
    SecondFactorRefused: "factor_refused",
}
"""How an attempt ended that raised this, as the record of sign-ins says it."""


class NotSignedIn(AvowError):
    """This needs somebody who is signed in."""

    status = 401
    code = "not_signed_in"
    hint = (
        "Sign in at /api/auth/login and send the cookie that it sets; a browser that blocks cookies cannot stay signed in. "
        "Some routes take an API key instead."
    )


class StepUpNeeded(AvowError):
    """This needs somebody who has just shown who they are."""

    status = 403
    code = "step_up_needed"
    hint = (
        "POST your password, or a code where you have a second factor, to /api/auth/step-up, or sign in with a passkey; "
        "it holds for ten minutes."
    )


class StepUpRefused(AvowError):
    """This is not the password or a code of this account."""

    status = 403
    code = "step_up_refused"
    hint = "Check it and try again; who has no password signs in anew instead."


class Session(NamedTuple):
    """A session that works: whose it is, when its person last showed who they are, and when a second factor.

    `asks_factor`: they have one that must be shown. A passkey alone is asked of staff only, for others may sign in with
    their password beside it.
    """

    id: UUID
    tenant_id: UUID
    subject_id: UUID
    proved_at: datetime | None
    factor_at: datetime | None
    asks_factor: bool

    @property
    def who(self) -> Actor:
        return people.actor(self.tenant_id, self.subject_id)

    def is_fresh(self, now: datetime) -> bool:
        """Whether its person showed who they are within the last ten minutes, with their second factor if it is asked."""
        return _is_recent(self.proved_at, now) and (not self.asks_factor or self.has_shown_factor(now))

    def has_shown_factor(self, now: datetime) -> bool:
        """Whether a second factor was shown in this session within the last ten minutes."""
        return _is_recent(self.factor_at, now)


class ListedSession(msgspec.Struct, frozen=True):
    """A session as its person sees it."""

    id: UUID
    current: bool
    since: datetime
    last_seen_at: datetime
    ends_at: datetime
    absolute_ends_at: datetime
    seen: dict[str, Any]
    """From where it began, as far as the policy lets that be stored."""


async def sign_in(
    needs: Needs,
    email: str,
    password: str,
    visitor: Visitor,
    code: str = "",
) -> tuple[str, Actor]:
    """Begin a session; gives its token and its person. An older session of the same browser ends.

    Unknown address and wrong password do the same work and get the same answer at the same step of time. Only the right
    password learns that a second factor is asked for.
    Raises SignInRefused, SecondFactorNeeded, SecondFactorRefused, SignInSlowed or NetworkSlowed (with Retry-After) or Busy.
    """
    name, now = normalise(email), needs.clock.now()
    needs.networks.check(visitor.address, now)
    if wait_s := needs.sign_ins.wait_s(name, now):
        raise SignInSlowed(wait_s)
    with needs.sign_ins.trying(name):
        async with pace.even(needs.step_s):
            found = await people.find(needs, email)
            tenant_id, subject_id = (found.tenant_id, found.subject_id) if found else (NOBODY, NOBODY)
            try:
                verdict, with_factor = await _check(needs, tenant_id, subject_id, password, code)
                # Else whoever signs up with somebody's address learns here whether it had an account.
                if needs.directory.must_confirm and (found is None or found.confirmed_at is None):
                    raise SignInRefused
            except (SignInRefused, SecondFactorRefused, SecondFactorNeeded) as no:
                if found:
                    await sign_ins.note_refused(needs, tenant_id, subject_id, "password", OUTCOMES[type(no)], visitor)
                if not isinstance(no, SecondFactorNeeded):
                    needs.networks.fail(visitor.address, needs.clock.now())
                    await _fail(needs, name, tenant_id, subject_id)
                raise
    needs.sign_ins.succeed(name)
    if verdict.upgraded:
        await people.keep_hash(needs, tenant_id, subject_id, verdict.upgraded)
    return await enter(needs, tenant_id, subject_id, visitor, "password", with_factor=with_factor)


async def enter(
    needs: Needs, tenant_id: UUID, subject_id: UUID, visitor: Visitor, way: Way, *, with_factor: bool
) -> tuple[str, Actor]:
    """Let somebody in who has shown who they are: a new session in the place of the browser's older one."""
    if visitor.old_token:
        await end(needs, visitor.old_token)
    token = await begin(needs, tenant_id, subject_id, visitor, way, with_factor=with_factor)
    return token, people.actor(tenant_id, subject_id)


async def begin(
    needs: Needs, tenant_id: UUID, subject_id: UUID, visitor: Visitor, way: Way, *, with_factor: bool
) -> str:
    """Begin a session for a person who has shown who they are, and a second factor or not, and put that on the record of
    sign-ins; gives the token, which is kept only as a digest."""
    token, now = tokens.make(), needs.clock.now()
    row = {
        **fact.begin(needs.policy, "credential", tenant_id, subject_id, now),
        "ends_at": now + IDLE,
        "token_hmac": tokens.digest(needs.pepper, "session", token),
        "last_seen_at": now,
        "absolute_ends_at": now + ABSOLUTE,
        "proved_at": now,
        "factor_at": now if with_factor else None,
    }
    async with needs.database.tenant(tenant_id) as connection:
        await connection.execute(session.insert().values(row))
        await visits.note(needs, connection, row, visitor)
        outcome: Outcome = "entered_with_factor" if with_factor else "entered"
        await sign_ins.note(needs, connection, row, way, outcome)
    return token


async def look(needs: Needs, token: str) -> Session | None:
    """Find the session of a token; None when there is none or it has ended."""
    row = await _row(needs, token)
    if row is None:
        return None
    now = needs.clock.now()
    if now - row.last_seen_at >= SEEN_STEP:
        await _see(needs, row, now)
    return Session(row.id, row.tenant_id, row.subject_id, row.proved_at, row.factor_at, row.asks_factor)


async def step_up(needs: Needs, current: Session, password: str, code: str) -> str:
    """Let the person of a session show once more who they are, by password or by a code of their second factor; gives the
    session's new token, the old one ends. Where a second factor is asked, a password is not enough: a right one must not
    begin the count of wrong codes anew either, so it is not even looked at.
    Raises SecondFactorNeeded, StepUpRefused, SignInSlowed or Busy.
    """
    if current.asks_factor and not code:
        raise SecondFactorNeeded("This account has a second factor; the password alone is not enough.")
    if not await is_shown(needs, current.tenant_id, current.subject_id, password, code):
        raise StepUpRefused
    return await renew(needs, current, with_factor=bool(code))


async def is_shown(needs: Needs, tenant_id: UUID, subject_id: UUID, password: str, code: str = "") -> bool:
    """Tell whether somebody signed in shows who they are: by a code of their second factor if one is given, else by their
    password. Wrong ones are slowed down and told as at sign-in; a right password leaves the count of wrong codes as it is.
    Raises SignInSlowed or Busy.
    """
    name = str(subject_id)
    if wait_s := needs.sign_ins.wait_s(name, needs.clock.now()):
        raise SignInSlowed(wait_s)
    with needs.sign_ins.trying(name):
        if code:
            right = await codes.take(needs, tenant_id, subject_id, code)
        else:
            right = await people.is_password(needs, tenant_id, subject_id, password)
        if not right:
            outcome: Outcome = "factor_refused" if code else "refused"
            await sign_ins.note_refused(needs, tenant_id, subject_id, "step_up", outcome)
            await _fail(needs, name, tenant_id, subject_id)
    if right and (code or not await codes.are_asked(needs, tenant_id, subject_id)):
        needs.sign_ins.succeed(name)
    return right


async def renew(needs: Needs, current: Session, *, with_factor: bool = False) -> str:
    """Give a session a new token and note what was shown. Raises NotSignedIn where it was ended meanwhile."""
    token, now = tokens.make(), needs.clock.now()
    moved: dict[str, Any] = {"token_hmac": tokens.digest(needs.pepper, "session", token), "proved_at": now}
    if with_factor:
        moved["factor_at"] = now
    async with needs.database.tenant(current.tenant_id) as connection:
        done = await connection.execute(update(session).where(session.c.id == current.id).values(moved))
    if not done.rowcount:
        raise NotSignedIn
    return token


async def note_factor(needs: Needs, connection: AsyncConnection, current: Session) -> None:
    """Note in the caller's transaction that a second factor was shown in a session now."""
    moved = update(session).where(session.c.id == current.id).values(factor_at=needs.clock.now())
    await connection.execute(moved)


async def listed(needs: Needs, current: Session) -> list[ListedSession]:
    """A person's sessions that work, oldest first."""
    now = needs.clock.now()
    mine = (
        select(session)
        .where(session.c.subject_id == current.subject_id, session.c.ends_at > now, session.c.absolute_ends_at > now)
        .order_by(session.c.id)
    )
    async with needs.database.tenant(current.tenant_id) as connection:
        rows = (await connection.execute(mine)).all()
        who = current.tenant_id, current.subject_id
        seen = await visits.opened(needs, connection, *who, [row.id for row in rows])
    return [
        ListedSession(
            *(row.id, row.id == current.id, row.since, row.last_seen_at, row.ends_at, row.absolute_ends_at),
            seen.get(row.id, {}),
        )
        for row in rows
    ]


async def revoke(needs: Needs, current: Session, session_id: UUID) -> None:
    """End one of a person's sessions, at once. Raises NotFound."""
    mine = (session.c.id == session_id, session.c.subject_id == current.subject_id)
    async with needs.database.tenant(current.tenant_id) as connection:
        if not await endings.drop(needs, connection, session, *mine):
            raise NotFound("There is no such session of yours.")
        await acts.note(needs, connection, current.who, "end sessions", category="credential")


async def end_others(needs: Needs, current: Session) -> None:
    """End all sessions of a person but this one."""
    async with needs.database.tenant(current.tenant_id) as connection:
        await end_all(connection, current.subject_id, but=current.id)
        await acts.note(needs, connection, current.who, "end sessions", category="credential")


async def end_all(connection: AsyncConnection, subject_id: UUID, but: UUID = NOBODY) -> None:
    """End a person's sessions, `but` one, in the caller's transaction."""
    await connection.execute(delete(session).where(session.c.subject_id == subject_id, session.c.id != but))


async def end(needs: Needs, token: str) -> None:
    """End a session; one that is not there is ended already."""
    row = await _row(needs, token)
    if row is not None:
        async with needs.database.tenant(row.tenant_id) as connection:
            await connection.execute(delete(session).where(session.c.id == row.id))


async def _check(needs: Needs, tenant_id: UUID, subject_id: UUID, password: str, code: str) -> tuple[Verdict, bool]:
    """Compare a password and, where there is one, a code of the second factor; tells whether one was shown. Raises what is
    wrong."""
    verdict = await needs.passwords.compare(await people.open_hash(needs, tenant_id, subject_id), password)
    if not verdict.right:
        raise SignInRefused
    if not await codes.are_asked(needs, tenant_id, subject_id):
        return verdict, False
    if not code:
        raise SecondFactorNeeded
    if not await codes.take(needs, tenant_id, subject_id, code):
        raise SecondFactorRefused
    return verdict, True


def _is_recent(at: datetime | None, now: datetime) -> bool:
    return at is not None and now - at <= FRESH


async def _fail(needs: Needs, name: str, tenant_id: UUID, subject_id: UUID) -> None:
    """Count a failure; the tenth in a row is told to the person, if there is one."""
    count = needs.sign_ins.fail(name, needs.clock.now())
    if count == ALERT_AT and subject_id != NOBODY:
        async with needs.database.tenant(tenant_id) as connection:
            await letters.alert(needs, connection, tenant_id, subject_id)


async def _row(needs: Needs, token: str) -> Row[Any] | None:
    if not tokens.is_formed(token):
        return None
    wanted = {"wanted": tokens.digest(needs.pepper, "session", token), "at": needs.clock.now()}
    async with needs.database.begin() as connection:
        return (await connection.execute(text("SELECT * FROM session_by_token(:wanted, :at)"), wanted)).one_or_none()


async def _see(needs: Needs, row: Row[Any], now: datetime) -> None:
    moved = {"last_seen_at": now, "ends_at": min(now + IDLE, row.absolute_ends_at)}
    async with needs.database.tenant(row.tenant_id) as connection:
        await connection.execute(update(session).where(session.c.id == row.id).values(moved))
