"""Ceremonies of two steps: this place gives a browser something to have signed, and later takes the answer, once.

A ceremony is bound to its browser by a cookie with an opaque token. The challenge, state, nonce and verifier that the
protocols ask for are derived from that token under the ring's pepper, so none of them is stored and none can be brought by
another browser. The row says only that a ceremony is open; taking it away is what makes an answer count once.

Strangers begin some of them, so what is open is bounded for each kind: the oldest goes for the next one, but not while
whoever began it may still be looking for their device.
"""

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts import tokens
from avow.accounts.needs import Needs
from avow.accounts.tables import ceremony
from avow.base.errors import AvowError, Unavailable
from avow.base.ids import uuid7
from avow.policy import cookies

COOKIE: Final = cookies.CEREMONY
WITHIN: Final = timedelta(minutes=10)
YOUNG: Final = timedelta(minutes=2)
OPEN_MAX: Final = 10_000
"""Of each kind; about 2 MB of rows."""

Kind = Literal["passkey_add", "passkey_use", "provider_enter", "provider_link"]


class CeremonyRefused(AvowError):
    """This was not begun in this browser, was answered already, or took longer than ten minutes."""

    status = 400
    code = "ceremony_refused"
    hint = "Begin it again."


class TooManyCeremonies(Unavailable):
    """So many ways in were begun in the last two minutes that another one has to wait."""

    code = "too_many_ceremonies"
    hint = "Try again in two minutes, or sign in with your password; sessions that are signed in go on working."
    retry_after_s = int(YOUNG.total_seconds())


async def begin(needs: Needs, kind: Kind) -> str:
    """Open a ceremony; gives the token for the browser's cookie. Ended ones that nobody answered go.

    Raises TooManyCeremonies.
    """
    token, now = tokens.make(), needs.clock.now()
    row = {"id": uuid7(), "kind": kind, "token_hmac": _digest(needs, token), "ends_at": now + WITHIN}
    async with needs.database.begin() as connection:
        await connection.execute(delete(ceremony).where(ceremony.c.ends_at <= now))
        await _make_room(connection, kind, now)
        await connection.execute(ceremony.insert().values(row))
    return token


async def begin_as_stranger(needs: Needs, kind: Kind, caller: str | None) -> str:
    """Open a ceremony for somebody of whom only the network address is known; counted whatever comes of it.

    Raises NetworkSlowed or TooManyCeremonies.
    """
    now = needs.clock.now()
    needs.beginnings.check(caller, now)
    needs.beginnings.fail(caller, now)
    return await begin(needs, kind)


async def _make_room(connection: AsyncConnection, kind: Kind, now: datetime) -> None:
    """End the oldest of a kind that is full. Raises TooManyCeremonies where even that one was begun just now."""
    of_kind = ceremony.c.kind == kind
    newest_first = select(ceremony.c.ends_at).where(of_kind).order_by(ceremony.c.ends_at.desc())
    last = await connection.scalar(newest_first.offset(OPEN_MAX - 1).limit(1))
    if last is None:
        return
    if last > now + WITHIN - YOUNG:
        raise TooManyCeremonies
    await connection.execute(delete(ceremony).where(of_kind, ceremony.c.ends_at <= last))


async def take(needs: Needs, kind: Kind, token: str | None) -> str:
    """Close the open ceremony of a browser's token, and give that token back. Raises CeremonyRefused."""
    if token is None or not tokens.is_formed(token):
        raise CeremonyRefused
    mine = delete(ceremony).where(
        ceremony.c.token_hmac == _digest(needs, token), ceremony.c.kind == kind, ceremony.c.ends_at > needs.clock.now()
    )
    async with needs.database.begin() as connection:
        if not (await connection.execute(mine)).rowcount:
            raise CeremonyRefused
    return token


def derive(needs: Needs, token: str, use: str, about: str = "") -> bytes:
    """What a ceremony uses as its challenge, state … (32 bytes); `about` binds it to somebody."""
    text = f"avow\0ceremony {use}\0{token}\0{about}".encode()
    return hmac.digest(needs.pepper, text, hashlib.sha256)


def _digest(needs: Needs, token: str) -> bytes:
    return tokens.digest(needs.pepper, "ceremony", token)
