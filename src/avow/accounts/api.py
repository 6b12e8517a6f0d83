"""The routes of accounts; those about ways to sign in stand in `security_api`,
`passkey_api` and `provider_api`. A route's signature says who may call it:
`person` is somebody signed in by cookie, `who` is that or an API key; a route with neither is public."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, Router, get, patch, post
from litestar.params import JSONBody

from avow.accounts import (
    admission,
    affirmations,
    callers,
    keys_api,
    passkey_api,
    people,
    permissions,
    projects_api,
    provider_api,
    security_api,
    sessions,
    sign_up,
    staff,
    surface,
    tenants,
)
from avow.accounts.callers import Accounts, Caller, Person, Proved, dependencies, session_token
from avow.accounts.needs import Needs
from avow.accounts.people import Profile
from avow.accounts.permissions import Standing
from avow.accounts.surface import AnyRequest
from avow.policy import words
from avow.privacy.versions import Coming

__all__ = ["ROUTES", "Accounts", "Caller", "Person", "dependencies", "router"]


class SignIn(msgspec.Struct, forbid_unknown_fields=True):
    """An address, its password and, where there is a second factor, a code of it or a recovery code."""

    email: str
    password: str
    code: str = ""


class Registered(msgspec.Struct):
    """The answer to a sign-up, known address or not. `coming`: versions of the policy that take effect later."""

    detail: str
    coming: list[Coming]


class Confirmation(msgspec.Struct, forbid_unknown_fields=True):
    """The token of the message that was sent at sign-up."""

    token: str


class Wishes(msgspec.Struct, forbid_unknown_fields=True):
    """What a tenant wishes; `keep_h` null: it does not ask for content to be kept."""

    keep_h: int | None


class Me(msgspec.Struct):
    """A person as they see themselves. `staff`: the role in which they come to the desk (null: they do not), `purposes` what
    they may look for there. `may`: the routes, as `METHOD /path`, that are theirs and not everybody's who is signed in."""

    id: UUID
    tenant_id: UUID
    confirmed: bool
    keep_h: int | None
    role: Standing
    facts: dict[str, str]
    country: str | None
    staff: str | None
    purposes: list[str]
    may: list[str]


@get("/api/auth/signup")
async def read_sign_up(accounts: Accounts) -> dict[str, Any]:
    """What a sign-up has to give: fields, the ages to affirm by country, the versions to agree to; null: not asked.

    `coming` are the versions of the policy that are announced and take effect later.
    """
    return affirmations.asked(accounts.policy, accounts.coming, tells=accounts.tells_abroad)


@post("/api/auth/signup", status_code=202)
async def register(request: AnyRequest, data: JSONBody[dict[str, Any]], accounts: Accounts) -> Registered:
    """Sign up with the fields of the policy and a password; the answer is the same whether the address was known."""
    await sign_up.sign_up(accounts, data, callers.address(request))
    return Registered("Thank you. A message was sent to this address.", list(accounts.coming))


@post("/api/auth/confirm", status_code=200)
async def confirm(data: JSONBody[Confirmation], accounts: Accounts) -> dict[str, bool]:
    """Confirm an address with the token of its message."""
    await sign_up.confirm(accounts, data.token)
    return {"confirmed": True}


@post("/api/auth/login", status_code=200)
async def login(request: AnyRequest, data: JSONBody[SignIn], accounts: Accounts) -> Response[dict[str, UUID | None]]:
    """Sign in; the session's token is set as a cookie."""
    visitor = callers.visitor(accounts, request)
    token, who = await sessions.sign_in(accounts, data.email, data.password, visitor, data.code)
    return callers.signed_in(accounts, token, who)


@post("/api/auth/logout", status_code=204)
async def logout(request: AnyRequest, accounts: Accounts) -> Response[None]:
    """End the session, on the server too; without one, nothing happens."""
    if token := session_token(accounts, request):
        await sessions.end(accounts, token)
    return Response(None, status_code=204, cookies=[callers.cookie(accounts, "", 0)])


@get("/api/me")
async def read_me(request: AnyRequest, who: Caller, accounts: Accounts) -> Me:
    """One's own account, opened for its owner."""
    return await _me(request, accounts, await people.read(accounts, who))


@patch("/api/me")
async def amend_me(request: AnyRequest, data: JSONBody[dict[str, Any]], person: Person, accounts: Accounts) -> Me:
    """Rectify one's own fields; null takes one out."""
    return await _me(request, accounts, await people.amend(accounts, person, data))


@patch("/api/tenant")
async def amend_tenant(data: JSONBody[Wishes], person: Person, proved: Proved, accounts: Accounts) -> Wishes:
    """Ask for API content to be kept for some hours, or no longer. More hours need a step-up."""
    await tenants.ask_to_keep(accounts, person, data.keep_h, proved=proved)
    return data


ROUTES = (
    read_sign_up,
    register,
    confirm,
    login,
    logout,
    read_me,
    amend_me,
    *keys_api.ROUTES,
    *projects_api.ROUTES,
    amend_tenant,
    *security_api.ROUTES,
    *passkey_api.ROUTES,
    *provider_api.ROUTES,
)


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


async def _me(request: AnyRequest, accounts: Needs, profile: Profile) -> Me:
    admitted = await admission.find(accounts, request)
    at_desk = await staff.role_of(accounts, profile.tenant_id, profile.subject_id)
    return Me(
        id=profile.subject_id,
        tenant_id=profile.tenant_id,
        confirmed=profile.confirmed,
        keep_h=profile.keep_h,
        role=profile.role,
        facts=profile.facts,
        country=profile.country,
        staff=at_desk,
        purposes=sorted(words.STAFF_PURPOSES.get(at_desk or "", ())),
        may=permissions.own_to(admitted.role),
    )
