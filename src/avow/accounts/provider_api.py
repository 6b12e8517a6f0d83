"""The routes about an identity provider (OpenID Connect). A cookie binds the provider's answer to this browser."""

from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from litestar import Response, delete, get, post
from litestar.datastructures import Cookie
from litestar.params import FromPath

from avow.accounts import callers, ceremonies, identities, sessions
from avow.accounts.callers import Accounts, Fresh, Person
from avow.accounts.needs import Needs
from avow.accounts.oidc import CALLBACK
from avow.accounts.surface import AnyRequest
from avow.base.errors import AvowError

APP, SIGN_IN, SETTINGS = "/app", "/app/sign-in", "/app/settings"
"""Where a browser goes on: signed in, refused, and after a link or a refused one."""


class ListedProvider(msgspec.Struct):
    """The identity provider at which people can sign in: the name of its host; null: none is set up."""

    name: str | None


@get("/api/auth/provider")
async def read_provider(accounts: Accounts) -> ListedProvider:
    """Where people can sign in instead of with a password."""
    return ListedProvider(urlsplit(accounts.provider.issuer).netloc if accounts.provider else None)


@get("/api/auth/provider/start", status_code=302)
async def enter_with_provider(request: AnyRequest, accounts: Accounts) -> Response[None]:
    """Go to the identity provider to sign in."""
    token, address = await identities.begin(accounts, caller=callers.address(request))
    return Response(None, status_code=302, headers={"location": address}, cookies=[_bound(accounts, token)])


@get(CALLBACK, status_code=303)
async def return_from_provider(request: AnyRequest, accounts: Accounts) -> Response[None]:
    """Come back from the identity provider: signed in, with a new account if need be, or linked; goes on to the app.

    A browser that is refused goes on too, and the app says why; other clients get the problem itself.
    """
    visitor = callers.visitor(accounts, request)
    current = await sessions.look(accounts, visitor.old_token) if visitor.old_token else None
    given = request.query_params.multi_items()
    token = callers.ceremony_token(accounts, request)
    try:
        entered = callers.signed_in(accounts, *await identities.finish(accounts, token, given, current, visitor))
    except AvowError as error:
        if "text/html" not in request.headers.get("accept", ""):
            raise
        place = f"{SETTINGS if current else SIGN_IN}?refused={error.code}"
        return Response(None, status_code=303, headers={"location": place})
    gone = callers.cookie(accounts, "", 0, ceremonies.COOKIE)
    place = SETTINGS if current else APP
    return Response(None, status_code=303, headers={"location": place}, cookies=[*entered.cookies, gone])


@post("/api/me/identities", status_code=200)
async def link_identity(fresh: Fresh, accounts: Accounts) -> Response[dict[str, str]]:
    """Begin to link one's identity at the provider: the `url` to go to. Needs a step-up."""
    token, address = await identities.begin(accounts, fresh)
    return Response({"url": address}, status_code=200, cookies=[_bound(accounts, token)])


@get("/api/me/identities")
async def list_identities(person: Person, accounts: Accounts) -> list[dict[str, Any]]:
    """One's own linked identities."""
    return [each._asdict() for each in await identities.listed(accounts, person)]


@delete("/api/me/identities/{identity_id:uuid}", status_code=204)
async def unlink_identity(identity_id: FromPath[UUID], fresh: Fresh, accounts: Accounts) -> None:
    """Unlink one of one's own identities. Needs a step-up."""
    await identities.unlink(accounts, fresh, identity_id)


def _bound(accounts: Needs, token: str) -> Cookie:
    return callers.cookie(accounts, token, int(ceremonies.WITHIN.total_seconds()), ceremonies.COOKIE)


ROUTES = (read_provider, enter_with_provider, return_from_provider, link_identity, list_identities, unlink_identity)
