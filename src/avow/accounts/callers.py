"""Who calls: what a route asks for by name and gets only when the request shows it.

who       somebody signed in by cookie, or an API key with the scope `read`, and `write` where something is to change
person    somebody signed in by cookie
current   their session
proved    whether somebody signed in showed who they are within the last ten minutes, where that is asked only sometimes
fresh     somebody signed in who showed who they are within the last ten minutes, with the second factor they have, for
          acts that a thief of the cookie must not do
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency, Provide

from avow.accounts import ceremonies, origin, sessions
from avow.accounts.key_terms import Scope
from avow.accounts.needs import Needs
from avow.accounts.sessions import NotSignedIn, Session, StepUpNeeded
from avow.accounts.surface import AnyRequest
from avow.accounts.visits import Visitor
from avow.base.actor import Actor
from avow.policy import Policy, cookies
from avow.privacy import consents
from avow.privacy.standings import Whose

BEARER = "bearer "

Accounts = NamedDependency[Needs]
Person = NamedDependency[Actor]
Caller = NamedDependency[Actor]
Fresh = NamedDependency[Actor]
Proved = NamedDependency[bool]
Current = NamedDependency[Session]

SEEN = "avow.session"


def cookie_name(secure: bool, name: str = cookies.SESSION) -> str:
    """The name that browsers accept only over TLS, from this host alone and for all paths; or a plain one without TLS."""
    return f"{cookies.HOST}{name}" if secure else name


def cookie(accounts: Needs, value: str, age_s: int, name: str = cookies.SESSION) -> Cookie:
    """A cookie that no script can read and no other site's form sends; `age_s` 0 takes it away."""
    now = accounts.clock.now()
    return registered(accounts.vault.policy, name, value, age_s, now=now, secure=accounts.secure)


def registered(policy: Policy, name: str, value: str, age_s: int | None, *, now: datetime, secure: bool) -> Cookie:
    """A cookie as the policy's register lets it be: no longer than its lifetime there, and where that is "until the browser
    is closed", without an age (RFC 6265 §5.3). `age_s` None: as long as the register says."""
    keep = cookies.lifetime(policy, name)
    end = None if keep is None else keep.end(now)
    if keep is not None and age_s != 0:
        longest_s = None if keep.kind == "never" or end is None else int((end - now).total_seconds())
        age_s = longest_s if age_s is None or longest_s is None else min(age_s, longest_s)
    return Cookie(
        cookie_name(secure, name),
        value=value,
        path="/",
        max_age=age_s,
        httponly=True,
        secure=secure,
        samesite="lax",
    )


def brought(accounts: Needs, request: AnyRequest) -> dict[str, str]:
    """Our cookies that a request carries, by their names without the prefix."""
    found = ((name, request.cookies.get(cookie_name(accounts.secure, name))) for name in cookies.OURS)
    return {name: value for name, value in found if value is not None}


def says_gpc(request: AnyRequest) -> bool:
    """Whether the browser says Global Privacy Control."""
    return cookies.says_gpc(request.headers.get(cookies.GPC_HEADER))


def session_token(accounts: Needs, request: AnyRequest) -> str | None:
    """The session token that a request carries, if it carries one."""
    return request.cookies.get(cookie_name(accounts.secure))


def address(request: AnyRequest) -> str | None:
    """The network address that a request comes from, for comparing in memory; `visits` alone may keep it."""
    return request.client.host if request.client else None


def visitor(accounts: Needs, request: AnyRequest) -> Visitor:
    """Who stands at the door."""
    return Visitor(session_token(accounts, request), address(request), request.headers)


def ceremony_token(accounts: Needs, request: AnyRequest) -> str | None:
    """The token of the ceremony that this browser has begun, if it carries one."""
    return request.cookies.get(cookie_name(accounts.secure, ceremonies.COOKIE))


def signed_in(accounts: Needs, token: str, who: Actor) -> Response[dict[str, UUID | None]]:
    """The answer to somebody who has just shown who they are: their ids, and the session's token as a cookie."""
    set_cookie = cookie(accounts, token, int(sessions.ABSOLUTE.total_seconds()))
    return Response({"id": who.subject_id, "tenant_id": who.tenant_id}, status_code=200, cookies=[set_cookie])


async def find_current(request: AnyRequest, accounts: Accounts) -> Session:
    """The session of this request's cookie, looked up once for each request. Raises NotSignedIn."""
    scope: Any = request.scope
    if SEEN not in scope:
        token = session_token(accounts, request)
        scope[SEEN] = await sessions.look(accounts, token) if token else None
        if scope[SEEN] is not None and says_gpc(request):
            await _heed_signal(accounts, scope[SEEN])
    found: Session | None = scope[SEEN]
    if found is None:
        raise NotSignedIn
    return found


async def _heed_signal(accounts: Needs, session: Session) -> None:
    """Global Privacy Control of somebody signed in is written down when it is first seen, and again after they consented."""
    if consents.heeds_signal(accounts.vault.policy):
        whose = Whose(session.tenant_id, session.subject_id)
        async with accounts.database.tenant(whose.tenant_id) as c:
            await consents.heed_signal(c, accounts.vault, accounts.consent_receipts, whose, accounts.clock.now())


async def find_person(request: AnyRequest, accounts: Accounts) -> Actor:
    """Who is signed in with this request's cookie. Raises NotSignedIn."""
    return (await find_current(request, accounts)).who


async def find_fresh(request: AnyRequest, accounts: Accounts) -> Actor:
    """Who is signed in and showed who they are not long ago. Raises NotSignedIn or StepUpNeeded."""
    found = await find_current(request, accounts)
    if not found.is_fresh(accounts.clock.now()):
        raise StepUpNeeded
    return found.who


async def find_proved(request: AnyRequest, accounts: Accounts) -> bool:
    """Whether who is signed in showed who they are not long ago. Raises NotSignedIn."""
    return (await find_current(request, accounts)).is_fresh(accounts.clock.now())


async def find_caller(request: AnyRequest, accounts: Accounts) -> Actor:
    """Whose API key this request carries, or who is signed in with it. Raises NotSignedIn or what the directory says."""
    authorization = request.headers.get("authorization", "")
    if authorization[: len(BEARER)].lower() == BEARER:
        scope: Scope = "read" if request.method in origin.SAFE else "write"
        key = authorization[len(BEARER) :].strip()
        return (await accounts.directory.admit(key, scope, address(request))).actor
    return await find_person(request, accounts)


def dependencies(accounts: Needs) -> dict[str, Any]:
    """What routes of any slice may ask for by name, and the needs of this slice as `accounts`."""
    return {
        "accounts": Provide(lambda: accounts, sync_to_thread=False),
        "current": Provide(find_current),
        "fresh": Provide(find_fresh),
        "person": Provide(find_person),
        "proved": Provide(find_proved),
        "who": Provide(find_caller),
    }
