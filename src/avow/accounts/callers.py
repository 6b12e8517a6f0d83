"""Who calls, and as what: the session or API key of a request, looked up once, and held against the table of permissions."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from sqlalchemy import select

from avow.accounts import permissions, sessions, tokens
from avow.accounts.needs import Needs
from avow.accounts.permissions import NotPermitted
from avow.accounts.sessions import NotSignedIn
from avow.accounts.tables import person, session, staff
from avow.base.actor import Actor
from avow.base.errors import AvowError

BEARER: Final = "bearer "
FRESH: Final = timedelta(minutes=30)
"""How long a password lets staff use the desk (NIST 800-63B-4 §2.3.3 asks for 30 minutes without use at AAL3)."""

SEEN: Final = "avow.caller"
Connection = ASGIConnection[Any, Any, Any, Any]
Handler = BaseRouteHandler


class StepUpNeeded(AvowError):
    """This needs your password again."""

    status = 401
    code = "step_up_needed"
    hint = "Sign in again at /api/auth/login; the desk stays open for 30 minutes after that."


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whose session or key a request carries. `role` is their line in the table of permissions; `since` is when
    they last gave their password, None for a key."""

    actor: Actor
    role: str
    since: datetime | None = None

    @property
    def staff(self) -> Actor:
        """The same person as staff: their role decides, and what is about themselves is no part of it."""
        return Actor("staff", self.actor.id, self.role)


async def admit(connection: Connection, handler: Handler) -> None:
    """Let a request pass to its route if the table of permissions says so; the guard of every route.

    Raises NotSignedIn, NotPermitted, StepUpNeeded, RouteUndeclared, or what the directory says of a key.
    """
    scope: Any = connection.scope
    if scope["method"] == "OPTIONS":
        return
    route = f"{scope['method']} {scope['path_template']}"
    if permissions.is_public(route):
        return
    accounts: Needs = connection.app.state.accounts
    caller = await find(accounts, connection)
    if not permissions.allowed(route, caller.role):
        raise NotPermitted
    if permissions.is_desk(route) and not _is_fresh(accounts, caller):
        raise StepUpNeeded


async def find(accounts: Needs, connection: Connection) -> Caller:
    """Whose API key or session a request carries; looked up once for each request. Raises NotSignedIn."""
    scope: Any = connection.scope
    if SEEN not in scope:
        scope[SEEN] = await _of_key(accounts, connection) or await _of_session(accounts, connection)
    known: Caller | None = scope[SEEN]
    if known is None:
        raise NotSignedIn
    return known


def cookie_name(secure: bool) -> str:
    """The name that browsers accept only over TLS, from this host alone and for all paths; or a plain one without TLS."""
    return "__Host-avow" if secure else "avow"


def routes(handlers: Iterable[HTTPRouteHandler]) -> Iterator[str]:
    """The routes of handlers as the table of permissions writes them."""
    for handler in handlers:
        for path in handler.paths:
            for method in handler.http_methods:
                yield f"{method} {permissions.bare(path)}"


async def _of_key(accounts: Needs, connection: Connection) -> Caller | None:
    authorization = connection.headers.get("authorization", "")
    if authorization[: len(BEARER)].lower() != BEARER:
        return None
    found = await accounts.directory.find(authorization[len(BEARER) :].strip())
    return Caller(found.actor, "key")


async def _of_session(accounts: Needs, connection: Connection) -> Caller | None:
    token = connection.cookies.get(cookie_name(accounts.secure))
    actor = await sessions.find(accounts, token) if token else None
    if actor is None or actor.tenant_id is None or token is None:
        return None
    wanted = tokens.digest(accounts.pepper, "session", token)
    query = (
        select(session.c.since, person.c.role, staff.c.role.label("staff"), staff.c.trained_until)
        .join(person, person.c.id == session.c.subject_id)
        .outerjoin(staff, staff.c.id == person.c.id)
        .where(session.c.token_hmac == wanted)
    )
    async with accounts.database.tenant(actor.tenant_id) as c:
        row = (await c.execute(query)).one_or_none()
    if row is None:
        return None
    role = row.role
    if row.staff is not None:
        # Whose training has run out is no staff until it is renewed, and keeps their own account.
        role = row.staff if row.trained_until > accounts.clock.now() else "former"
    return Caller(actor, role, row.since)


def _is_fresh(accounts: Needs, caller: Caller) -> bool:
    return caller.since is not None and accounts.clock.now() - caller.since < FRESH
