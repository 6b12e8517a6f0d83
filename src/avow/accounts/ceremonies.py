"""Ceremonies of two steps: this place gives a browser something to have signed, and later takes the answer, once.

A ceremony is bound to its browser by a cookie with an opaque token. The challenge, state, nonce and verifier that the
protocols ask for are derived from that token under the ring's pepper, so none of them is stored and none can be brought by
another browser. The row says only that a ceremony is open; taking it away is what makes an answer count once.
"""

import hashlib
import hmac
from datetime import timedelta
from typing import Final, Literal

from sqlalchemy import delete

from avow.accounts import tokens
from avow.accounts.needs import Needs
from avow.accounts.tables import ceremony
from avow.base.errors import AvowError
from avow.base.ids import uuid7
from avow.policy import cookies

COOKIE: Final = cookies.CEREMONY
WITHIN: Final = timedelta(minutes=10)

Kind = Literal["passkey_add", "passkey_use", "provider_enter", "provider_link"]


class CeremonyRefused(AvowError):
    """This was not begun in this browser, was answered already, or took longer than ten minutes."""

    status = 400
    code = "ceremony_refused"
    hint = "Begin it again."


async def begin(needs: Needs, kind: Kind) -> str:
    """Open a ceremony; gives the token for the browser's cookie. Ended ones that nobody answered go."""
    token, now = tokens.make(), needs.clock.now()
    row = {"id": uuid7(), "kind": kind, "token_hmac": _digest(needs, token), "ends_at": now + WITHIN}
    async with needs.database.begin() as connection:
        await connection.execute(delete(ceremony).where(ceremony.c.ends_at <= now))
        await connection.execute(ceremony.insert().values(row))
    return token


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
