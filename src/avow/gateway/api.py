"""The routes under `/api/requests` and `/api/filter`: a person's own requests, by session or API key, and what filters did."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Router, delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from avow.accounts import surface
from avow.accounts.callers import Accounts, Caller, dependencies
from avow.accounts.needs import Needs
from avow.base.errors import BadInput
from avow.gateway import decisions, explained, requests
from avow.gateway.decisions import Appeal, Decision
from avow.gateway.explained import Explained
from avow.gateway.requests import ListedRequest, ShownRequest

PAGE_MAX = 100


class RequestPage(msgspec.Struct):
    """Requests, newest first; `after` asks for the next page, null: there is none."""

    requests: list[ListedRequest]
    after: UUID | None


class DecisionPage(msgspec.Struct):
    """Decisions of filters, newest first; `after` asks for the next page, null: there is none."""

    decisions: list[Decision]
    after: UUID | None


class Words(msgspec.Struct, forbid_unknown_fields=True):
    """What somebody wants to say about a decision."""

    text: Annotated[str, msgspec.Meta(max_length=decisions.WORDS_CHARS_MAX)] = ""


@get("/api/requests")
async def list_requests(
    who: Caller,
    accounts: Accounts,
    after: Annotated[UUID | None, QueryParameter()] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> RequestPage:
    """One's own requests."""
    found = await requests.listed(accounts, who, after, limit)
    return RequestPage(found, found[-1].id if len(found) == limit else None)


@get("/api/requests/{request_id:uuid}")
async def read_request(request_id: FromPath[UUID], who: Caller, accounts: Accounts) -> ShownRequest:
    """One's own request, and what was asked and answered where that is kept."""
    return await requests.read(accounts, who, request_id)


@get("/api/requests/{request_id:uuid}/policy")
async def explain_request(request_id: FromPath[UUID], who: Caller, accounts: Accounts) -> Explained:
    """Why one's own request was stored as it was, or not: each value, the level that set it, and the clause behind it."""
    return await explained.of(accounts, who, request_id)


@delete("/api/requests/{request_id:uuid}", status_code=204)
async def end_request(request_id: FromPath[UUID], who: Caller, accounts: Accounts) -> None:
    """Delete what was kept of one's own request."""
    await requests.end(accounts, who, request_id)


@delete("/api/requests", status_code=200)
async def end_requests(
    who: Caller,
    accounts: Accounts,
    since: Annotated[datetime | None, QueryParameter()] = None,
    until: Annotated[datetime | None, QueryParameter()] = None,
) -> dict[str, int]:
    """Delete what was kept of all one's own requests, or of those of a span of time (with its zone)."""
    for name, time in (("since", since), ("until", until)):
        if time is not None and time.tzinfo is None:
            raise BadInput("A time needs its zone, for example 2026-11-22T12:00:00Z.", param=name)
    return {"ended": await requests.end_many(accounts, who, since, until)}


@get("/api/filter/decisions")
async def list_decisions(
    who: Caller,
    accounts: Accounts,
    after: Annotated[UUID | None, QueryParameter()] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> DecisionPage:
    """What filters decided about one's own requests: kinds and counts, no text."""
    found = await decisions.listed(accounts, who, after, limit)
    return DecisionPage(found, found[-1].id if len(found) == limit else None)


@post("/api/filter/decisions/{decision_id:uuid}/appeal", status_code=202)
async def appeal(decision_id: FromPath[UUID], data: JSONBody[Words], who: Caller, accounts: Accounts) -> Appeal:
    """Have a decision about one's own request looked at by a person; it becomes a complaint with a date of answer."""
    return await decisions.appeal(accounts, who, decision_id, data.text)


ROUTES = (
    *(list_requests, read_request, explain_request, end_request, end_requests),
    *(list_decisions, appeal),
)


def router(accounts: Needs) -> Router:
    """The routes, with the checks that every request to `/api` passes."""
    return Router(
        "/",
        route_handlers=ROUTES,
        dependencies=dependencies(accounts),
        before_request=surface.check,
        exception_handlers=surface.handlers(),
        request_max_body_size=surface.SIZE_MAX,
        response_headers=surface.NO_STORE,
    )
