"""The desk: routes for the operator's staff. What is asked for stands in the body, so that no address and no reason is in
a URL; each answer is for this reader alone and stored nowhere."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import post
from litestar.params import JSONBody

from avow.accounts import looking, surface
from avow.accounts.callers import Accounts
from avow.accounts.looking import Found, Line, Seen
from avow.privacy.desk import Reason, Staff

PAGE_MAX = 100

Limit = Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)]
Word = Annotated[str, msgspec.Meta(max_length=100)] | None
Time = Annotated[datetime, msgspec.Meta(tz=True)]


class Address(msgspec.Struct, forbid_unknown_fields=True):
    """Who is wanted, for which purpose of the policy, and why."""

    email: str
    purpose: str
    reason: Reason = ""


class Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """Whose data of which category is to be opened, for which purpose, and why; `after` is where the page before ended."""

    subject: UUID
    category: str
    purpose: str
    reason: Reason = ""
    after: UUID | None = None
    limit: Limit = 20


class Search(msgspec.Struct, forbid_unknown_fields=True):
    """Whose record is searched (everybody's if left out; the platform's own is 00000000-…-0001), by whom (`actor`, as a
    line tells it), for which act, category and outcome, from when until when, and why."""

    subject: UUID | None = None
    actor: Word = None
    act: Word = None
    category: Word = None
    outcome: Word = None
    reason: Reason = ""
    since: Time | None = None
    until: Time | None = None
    after: UUID | None = None
    limit: Limit = PAGE_MAX


class SeenPage(msgspec.Struct):
    """What was opened, newest first; `after` asks for the next page, null: there is none."""

    facts: list[Seen]
    after: UUID | None


class LinePage(msgspec.Struct):
    """Lines of the record, newest first; `after` asks for the next page, null: there is none."""

    openings: list[Line]
    after: UUID | None


@post("/api/desk/people", status_code=200, response_headers=surface.NO_STORE)
async def find_person(data: JSONBody[Address], staff: Staff, accounts: Accounts) -> Found:
    """Find a person by address; they can read that somebody did, and why."""
    return await looking.find(accounts, staff, data.email, data.purpose, data.reason)


@post("/api/desk/open", status_code=200, response_headers=surface.NO_STORE)
async def open_facts(data: JSONBody[Wanted], staff: Staff, accounts: Accounts) -> SeenPage:
    """Open what the policy lets this role open for this purpose; on record before anything is shown."""
    found = await looking.look(
        accounts, staff, data.subject, data.category, data.purpose, data.reason, data.after, data.limit
    )
    return SeenPage(found, found[-1].id if len(found) == data.limit else None)


@post("/api/desk/openings", status_code=200, response_headers=surface.NO_STORE)
async def search_openings(data: JSONBody[Search], staff: Staff, accounts: Accounts) -> LinePage:
    """Search the record of who looked at whom; for the auditor."""
    sought = looking.Sought(*(getattr(data, name) for name in looking.Sought._fields))
    found = await looking.search(accounts, staff, data.reason, sought, data.after, data.limit)
    return LinePage(found, found[-1].id if len(found) == data.limit else None)


ROUTES = (find_person, open_facts, search_openings)
