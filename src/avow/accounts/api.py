"""The routes of accounts. A route's signature says who may call it: `person` is somebody signed in by cookie, `who` is that
or an API key; a route with neither is public."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, JSONBody, QueryParameter

from avow.accounts import callers, keys, people, sessions, sign_up, surface, tenants
from avow.accounts.callers import cookie_name
from avow.accounts.needs import Needs
from avow.accounts.people import Profile
from avow.accounts.sessions import NotSignedIn
from avow.accounts.surface import AnyRequest
from avow.base.actor import Actor

PAGE_MAX = 100

Accounts = NamedDependency[Needs]
Person = NamedDependency[Actor]
Caller = NamedDependency[Actor]
Staff = NamedDependency[Actor]


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    """An address and its password."""

    email: str
    password: str


class Confirmation(msgspec.Struct, forbid_unknown_fields=True):
    """The token of the message that was sent at sign-up."""

    token: str


class NewKey(msgspec.Struct, forbid_unknown_fields=True):
    """What a new key is to be: a name for its owner, hours to keep content (only to shorten), an end."""

    name: str = ""
    keep_h: int | None = None
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class Wishes(msgspec.Struct, forbid_unknown_fields=True):
    """What a tenant wishes; `keep_h` null: it does not ask for content to be kept."""

    keep_h: int | None


class Me(msgspec.Struct):
    """A person as they see themselves."""

    id: UUID
    tenant_id: UUID
    confirmed: bool
    keep_h: int | None
    role: str
    facts: dict[str, str]


class KeyPage(msgspec.Struct):
    """Keys, oldest first; `after` asks for the next page, null: there is none."""

    keys: list[dict[str, Any]]
    after: UUID | None


def session_token(accounts: Needs, request: AnyRequest) -> str | None:
    """The session token that a request carries, if it carries one."""
    return request.cookies.get(cookie_name(accounts.secure))


async def find_person(request: AnyRequest, accounts: Accounts) -> Actor:
    """Who is signed in with this request's cookie. Raises NotSignedIn."""
    found = (await callers.find(accounts, request)).actor
    if found.kind != "subject":
        raise NotSignedIn
    return found


async def find_caller(request: AnyRequest, accounts: Accounts) -> Actor:
    """Whose API key this request carries, or who is signed in with it. Raises NotSignedIn or what the directory says."""
    return (await callers.find(accounts, request)).actor


async def find_staff(request: AnyRequest, accounts: Accounts) -> Actor:
    """Who is signed in, as the staff that the table of permissions let through to this route."""
    return (await callers.find(accounts, request)).staff


@post("/api/auth/signup", status_code=202)
async def register(data: JSONBody[dict[str, Any]], accounts: Accounts) -> dict[str, str]:
    """Sign up with the fields of the policy and a password; the answer is the same whether the address was known."""
    await sign_up.sign_up(accounts, data)
    return {"detail": "Thank you. A message was sent to this address."}


@post("/api/auth/confirm", status_code=200)
async def confirm(data: JSONBody[Confirmation], accounts: Accounts) -> dict[str, bool]:
    """Confirm an address with the token of its message."""
    await sign_up.confirm(accounts, data.token)
    return {"confirmed": True}


@post("/api/auth/login", status_code=200)
async def login(request: AnyRequest, data: JSONBody[SignIn], accounts: Accounts) -> Response[dict[str, UUID]]:
    """Sign in; the session's token is set as a cookie."""
    token, who = await sessions.sign_in(accounts, data.email, data.password, session_token(accounts, request))
    tenant_id, subject_id = people.own(who)
    cookie = _cookie(accounts, token, int(sessions.ABSOLUTE.total_seconds()))
    return Response({"id": subject_id, "tenant_id": tenant_id}, cookies=[cookie])


@post("/api/auth/logout", status_code=204)
async def logout(request: AnyRequest, accounts: Accounts) -> Response[None]:
    """End the session, on the server too; without one, nothing happens."""
    if token := session_token(accounts, request):
        await sessions.end(accounts, token)
    return Response(None, status_code=204, cookies=[_cookie(accounts, "", 0)])


@get("/api/me")
async def read_me(who: Caller, accounts: Accounts) -> Me:
    """One's own account, opened for its owner."""
    return _me(await people.read(accounts, who))


@patch("/api/me")
async def amend_me(data: JSONBody[dict[str, Any]], person: Person, accounts: Accounts) -> Me:
    """Rectify one's own fields; null takes one out."""
    return _me(await people.amend(accounts, person, data))


@post("/api/keys", status_code=201)
async def create_key(data: JSONBody[NewKey], person: Person, accounts: Accounts) -> dict[str, Any]:
    """Make an API key; the answer is the only place where its secret is ever shown."""
    tenants.check_keep(accounts, data.keep_h)
    return (await keys.create(accounts, person, data.name, data.keep_h, data.expires_at))._asdict()


@get("/api/keys")
async def list_keys(
    person: Person,
    accounts: Accounts,
    after: Annotated[UUID | None, QueryParameter()] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> KeyPage:
    """One's own keys, without their secrets."""
    found = await keys.listed(accounts, person, after, limit)
    return KeyPage([key._asdict() for key in found], found[-1].id if len(found) == limit else None)


@delete("/api/keys/{key_id:uuid}", status_code=204)
async def revoke_key(key_id: FromPath[UUID], person: Person, accounts: Accounts) -> None:
    """Revoke one's own key."""
    await keys.revoke(accounts, person, key_id)


@patch("/api/tenant")
async def amend_tenant(data: JSONBody[Wishes], person: Person, accounts: Accounts) -> Wishes:
    """Ask for API content to be kept for some hours, or no longer."""
    await tenants.ask_to_keep(accounts, person, data.keep_h)
    return data


ROUTES = (
    register,
    confirm,
    login,
    logout,
    read_me,
    amend_me,
    create_key,
    list_keys,
    revoke_key,
    amend_tenant,
)


def dependencies(accounts: Needs) -> Mapping[str, Provide]:
    """What routes of any slice may ask for by name: `who`, `person`, `staff`, and the needs of this slice as `accounts`."""
    return {
        "accounts": Provide(lambda: accounts, sync_to_thread=False),
        "person": Provide(find_person),
        "staff": Provide(find_staff),
        "who": Provide(find_caller),
    }


def router(accounts: Needs) -> Router:
    """All routes of accounts, with the checks that every request passes."""
    return Router(
        "/",
        route_handlers=ROUTES,
        dependencies=dependencies(accounts),
        before_request=surface.check,
        exception_handlers=surface.handlers(),
        request_max_body_size=surface.SIZE_MAX,
        response_headers=surface.NO_STORE,
    )


def _cookie(accounts: Needs, token: str, age_s: int) -> Cookie:
    return Cookie(
        cookie_name(accounts.secure),
        value=token,
        path="/",
        max_age=age_s,
        httponly=True,
        secure=accounts.secure,
        samesite="lax",
    )


def _me(profile: Profile) -> Me:
    return Me(profile.subject_id, profile.tenant_id, profile.confirmed, profile.keep_h, profile.role, profile.facts)
