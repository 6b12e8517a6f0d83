"""The routes about passkeys. Each ceremony begins with a route that gives what the browser's `navigator.credentials` takes,
and sets a cookie that binds the answer to this browser."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody

from avow.accounts import callers, ceremonies, passkeys
from avow.accounts.callers import Accounts, Fresh, Person
from avow.accounts.needs import Needs
from avow.accounts.passkeys import ListedPasskey
from avow.accounts.surface import AnyRequest


class NewPasskey(msgspec.Struct, forbid_unknown_fields=True):
    """What `navigator.credentials.create` gave, as JSON, and a name by which its owner knows it."""

    credential: dict[str, Any]
    name: str = ""


class UsedPasskey(msgspec.Struct, forbid_unknown_fields=True):
    """What `navigator.credentials.get` gave, as JSON."""

    credential: dict[str, Any]


@post("/api/me/passkeys/begin", status_code=200)
async def begin_adding_passkey(fresh: Fresh, accounts: Accounts) -> Response[dict[str, Any]]:
    """Begin to add a passkey: the `publicKey` for `navigator.credentials.create`. Needs a step-up."""
    return _begun(accounts, *await passkeys.begin_adding(accounts, fresh))


@post("/api/me/passkeys", status_code=201)
async def add_passkey(
    request: AnyRequest, data: JSONBody[NewPasskey], fresh: Fresh, accounts: Accounts
) -> Response[dict[str, UUID]]:
    """Add the passkey that the device made. Needs a step-up."""
    token = callers.ceremony_token(accounts, request)
    made = await passkeys.add(accounts, fresh, token, data.credential, data.name)
    return Response({"id": made}, status_code=201, cookies=[callers.cookie(accounts, "", 0, ceremonies.COOKIE)])


@get("/api/me/passkeys")
async def list_passkeys(person: Person, accounts: Accounts) -> list[ListedPasskey]:
    """One's own passkeys, oldest first: names and times."""
    return await passkeys.listed(accounts, person)


@delete("/api/me/passkeys/{passkey_id:uuid}", status_code=204)
async def remove_passkey(passkey_id: FromPath[UUID], fresh: Fresh, accounts: Accounts) -> None:
    """Remove one of one's own passkeys. Needs a step-up."""
    await passkeys.remove(accounts, fresh, passkey_id)


@post("/api/auth/passkey/begin", status_code=200)
async def begin_using_passkey(request: AnyRequest, accounts: Accounts) -> Response[dict[str, Any]]:
    """Begin to sign in with a passkey: the `publicKey` for `navigator.credentials.get`."""
    return _begun(accounts, *await passkeys.begin_using(accounts, callers.address(request)))


@post("/api/auth/passkey", status_code=200)
async def use_passkey(
    request: AnyRequest, data: JSONBody[UsedPasskey], accounts: Accounts
) -> Response[dict[str, UUID | None]]:
    """Sign in with a passkey, or show with it once more who is there; the session's token is set as a cookie."""
    token, visitor = callers.ceremony_token(accounts, request), callers.visitor(accounts, request)
    answer = callers.signed_in(accounts, *await passkeys.sign_in(accounts, token, data.credential, visitor))
    answer.cookies.append(callers.cookie(accounts, "", 0, ceremonies.COOKIE))
    return answer


def _begun(accounts: Needs, token: str, options: dict[str, Any]) -> Response[dict[str, Any]]:
    age_s = int(ceremonies.WITHIN.total_seconds())
    return Response(options, status_code=200, cookies=[callers.cookie(accounts, token, age_s, ceremonies.COOKIE)])


ROUTES = (begin_adding_passkey, add_passkey, list_passkeys, remove_passkey, begin_using_passkey, use_passkey)
