"""The routes of API keys. Only a person who is signed in makes and changes keys; a key cannot. Whoever found a key may say so."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from avow.accounts import keys, leaks, rotation
from avow.accounts.callers import Accounts, Fresh, Person
from avow.accounts.key_terms import Change, Setting
from avow.accounts.keys import ListedKey, MadeKey

PAGE_MAX = 100
KEY_CHARS_MAX = 1000


class KeyPage(msgspec.Struct):
    """Keys, by id; `after` asks for the next page, null: there is none."""

    keys: list[ListedKey]
    after: UUID | None


class Rotation(msgspec.Struct, forbid_unknown_fields=True):
    """For how many hours the secret before goes on working, 7 days at most."""

    overlap_h: Annotated[int, msgspec.Meta(ge=0, le=rotation.OVERLAP_H_MAX)] = rotation.OVERLAP_H


class Leak(msgspec.Struct, forbid_unknown_fields=True):
    """A whole key, as it was found."""

    key: Annotated[str, msgspec.Meta(max_length=KEY_CHARS_MAX)]


@post("/api/keys", status_code=201)
async def create_key(data: JSONBody[Setting], fresh: Fresh, accounts: Accounts) -> MadeKey:
    """Make an API key; the answer is the only place where its secret is ever shown. Needs a step-up."""
    return await keys.create(accounts, fresh, data)


@get("/api/keys")
async def list_keys(
    person: Person,
    accounts: Accounts,
    after: Annotated[UUID | None, QueryParameter()] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> KeyPage:
    """One's own keys, without their secrets."""
    found = await keys.listed(accounts, person, after, limit)
    return KeyPage(found, found[-1].id if len(found) == limit else None)


@patch("/api/keys/{key_id:uuid}")
async def amend_key(key_id: FromPath[UUID], data: JSONBody[Change], fresh: Fresh, accounts: Accounts) -> ListedKey:
    """Change one's own key; what is left out stays, null takes a restriction away, `limits` is replaced as a whole.

    Needs a step-up.
    """
    return await keys.amend(accounts, fresh, key_id, data)


@delete("/api/keys/{key_id:uuid}", status_code=204)
async def revoke_key(key_id: FromPath[UUID], person: Person, accounts: Accounts) -> None:
    """Revoke one's own key."""
    await keys.revoke(accounts, person, key_id)


@post("/api/keys/{key_id:uuid}/rotate", status_code=200)
async def rotate_key(
    key_id: FromPath[UUID], data: JSONBody[Rotation], fresh: Fresh, accounts: Accounts
) -> rotation.Rotated:
    """Give one's own key a new secret, shown once; the one before works on for a while. Needs a step-up."""
    return await rotation.rotate(accounts, fresh, key_id, data.overlap_h)


@post("/api/keys/leaked", status_code=202)
async def report_leak(data: JSONBody[Leak], accounts: Accounts) -> dict[str, str]:
    """Revoke a key that was found in public; the answer is the same whether it was a key of this place."""
    await leaks.report(accounts, data.key)
    return {"detail": "Thank you. If this is a key of this place, it does not work any more."}


ROUTES = (create_key, list_keys, amend_key, revoke_key, rotate_key, report_leak)
