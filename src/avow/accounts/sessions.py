"""Signing in and out. A session is the proof that somebody gave the right password not long ago.

It is found by an opaque token in a cookie, ends after a day without use and after thirty days in any case, and begins
anew (with a new token, the old one ended) at each sign-in. No network address and no device is kept.
"""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import delete, select, text, update

from avow.accounts import pace, tokens
from avow.accounts.needs import Needs
from avow.accounts.passwords import Verdict
from avow.accounts.tables import credential, session
from avow.base.actor import Actor
from avow.base.errors import AvowError
from avow.base.ids import uuid7
from avow.vault.blind import normalise

IDLE = timedelta(hours=24)
ABSOLUTE = timedelta(days=30)
SEEN_STEP = timedelta(hours=1)
NOBODY = UUID(int=0)


class SignInRefused(AvowError):
    """This e-mail address and password do not belong together."""

    status = 401
    code = "sign_in_refused"
    hint = "Check both and try again."


class SignInSlowed(AvowError):
    """There were too many wrong passwords for this address."""

    status = 429
    code = "sign_in_slowed"
    hint = "Wait as long as Retry-After says; sessions that are signed in go on working."


class NotSignedIn(AvowError):
    """This needs somebody who is signed in."""

    status = 401
    code = "not_signed_in"
    hint = "Sign in at /api/auth/login, or send an API key where one is allowed."
