"""Admission: every request's caller is held against the table of permissions before its route runs.

What somebody is follows from their row, at this request: a role that was taken is gone at the next call. Staff come to
the desk only with a second factor, and only if they showed it in this session within the last ten minutes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from sqlalchemy import exists, func, select

from avow.accounts import agreements, callers, permissions
from avow.accounts.callers import Accounts
from avow.accounts.needs import Needs
from avow.accounts.permissions import NotPermitted
from avow.accounts.sessions import NotSignedIn, Session, StepUpNeeded
from avow.accounts.surface import AnyRequest
from avow.accounts.tables import passkey, person, second_factor, staff
from avow.base.actor import Actor
from avow.base.errors import AvowError
from avow.privacy.tables import acceptance
from avow.privacy.versions import Current

SEEN = "avow.caller"

Connection = ASGIConnection[Any, Any, Any, Any]


class SecondFactorMissing(AvowError):
    """Staff need a second factor."""

    status = 403
    code = "second_factor_missing"
    hint = "Set one up at /api/me/second-factor or /api/me/passkeys, then come back."


class SessionNeeded(AvowError):
    """This route takes the session of a person, not an API key."""

    status = 403
    code = "session_needed"
    hint = "Sign in at POST /api/auth/login and send the cookie that it sets, without the key."


@dataclass(frozen=True, slots=True)
class Admitted:
    """Somebody whose session or key a request carries. `role` is their line in the table of permissions, `strong`
    whether they have a second factor (whether they showed it, the session knows), `session` None for a key, `accepted` the
    newest version of the policy that they have accepted (0: none)."""

    actor: Actor
    role: str
    strong: bool = False
    session: Session | None = None
    accepted: int = 0

    @property
    def staff(self) -> Actor:
        """The same person as staff: their role decides, and what is about themselves is no part of it."""
        return Actor("staff", self.actor.id, self.role)


async def admit(connection: Connection, _: BaseRouteHandler) -> None:
    """Let a request pass to its route if the table of permissions says so; the guard of every route.

    Raises NotSignedIn, NotPermitted, SessionNeeded, SecondFactorMissing, StepUpNeeded, NotAccepted, RouteUndeclared, or what
    the directory says of a key.
    """
    scope: Any = connection.scope
    if scope["method"] == "OPTIONS":
        return
    route = f"{scope['method']} {scope['path_template']}"
    if permissions.is_public(route):
        return
    accounts: Needs = connection.app.state.accounts
    assert isinstance(connection, Request)
    found = await find(accounts, connection)
    if not permissions.allowed(route, found.role):
        raise SessionNeeded if found.role == "key" else NotPermitted
    if permissions.is_desk(route):
        _check_staff(accounts, found)
    elif accounts.current is not None and found.session is not None:
        await _check_accepted(accounts, accounts.current, found, route)


async def find(accounts: Needs, request: AnyRequest) -> Admitted:
    """Whose API key or session a request carries, and what they are; looked up once for each request.

    Raises NotSignedIn, or what the directory says of a key.
    """
    scope: Any = request.scope
    if SEEN not in scope:
        actor = await callers.find_caller(request, accounts)
        scope[SEEN] = Admitted(actor, "key") if actor.kind == "key" else await _of_session(accounts, request)
    found: Admitted = scope[SEEN]
    return found


async def find_staff(request: AnyRequest, accounts: Accounts) -> Actor:
    """Who is signed in, as the staff that the table of permissions let through to this route."""
    return (await find(accounts, request)).staff


def routes(handlers: Iterable[HTTPRouteHandler]) -> Iterator[str]:
    """The routes of handlers as the table of permissions writes them."""
    for handler in handlers:
        for path in handler.paths:
            for method in handler.http_methods:
                yield f"{method} {permissions.bare(path)}"


def _check_staff(accounts: Needs, found: Admitted) -> None:
    if not found.strong:
        raise SecondFactorMissing
    now = accounts.clock.now()
    if found.session is None or not (found.session.is_fresh(now) and found.session.has_shown_factor(now)):
        raise StepUpNeeded


async def _check_accepted(accounts: Needs, current: Current, found: Admitted, route: str) -> None:
    """Their own account and rights are open to people whatever they have accepted; the rest is not."""
    if found.session is None or not agreements.is_asked(current, found.accepted):
        return
    is_own = permissions.allowed(route, "former")
    if not (is_own and current.agreed is not None and current.agreed.how == "explicit"):
        await agreements.accept_by_use(accounts.database, current, found.session.tenant_id, found.session.subject_id)


async def _of_session(accounts: Needs, request: AnyRequest) -> Admitted:
    current = await callers.find_current(request, accounts)
    mine = person.c.id == current.subject_id
    code = exists().where(second_factor.c.subject_id == person.c.id, second_factor.c.confirmed_at.is_not(None))
    key = exists().where(passkey.c.subject_id == person.c.id)
    accepted = select(func.max(acceptance.c.accepted_version)).where(acceptance.c.subject_id == person.c.id)
    query = (
        select(person.c.role, staff.c.role.label("staff"), staff.c.trained_until, (code | key).label("strong"))
        .add_columns(accepted.scalar_subquery().label("accepted"))
        .outerjoin(staff, staff.c.id == person.c.id)
        .where(mine)
    )
    async with accounts.database.tenant(current.tenant_id) as c:
        row = (await c.execute(query)).one_or_none()
    if row is None:
        raise NotSignedIn
    role = row.role
    if row.staff is not None:
        # Whose training has run out is no staff until it is renewed, and keeps their own account.
        role = row.staff if row.trained_until > accounts.clock.now() else "former"
    return Admitted(current.who, role, row.strong, current, row.accepted or 0)
