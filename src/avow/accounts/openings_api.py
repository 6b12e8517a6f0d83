"""The route by which people see who looked at their data."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import QueryParameter

from avow.accounts import openings
from avow.accounts.callers import Accounts, Person
from avow.accounts.openings import Opening

PAGE_MAX = 100


class OpeningPage(msgspec.Struct):
    """Lines of the record, newest first; `after` asks for the next page, null: there is none."""

    openings: list[Opening]
    after: UUID | None


@get("/api/me/openings")
async def list_openings(
    person: Person,
    accounts: Accounts,
    after: Annotated[UUID | None, QueryParameter()] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> OpeningPage:
    """Who opened one's data or changed one's account, for which purpose, and why."""
    found = await openings.listed(accounts, person, after, limit)
    return OpeningPage(found, found[-1].id if len(found) == limit else None)


ROUTES = (list_openings,)
