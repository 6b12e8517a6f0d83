"""The routes under `/api/requests`: a person's own requests, by session or API key."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Router, delete, get
from litestar.params import FromPath, QueryParameter

from avow.accounts import surface
from avow.accounts.callers import Accounts, Caller, dependencies
from avow.accounts.needs import Needs
from avow.gateway import requests

PAGE_MAX = 100


class RequestPage(msgspec.Struct):
    """Requests, newest first; `after` asks for the next page, null: there is none."""

    requests: list[dict[str, Any]]
    after: UUID | None


@get("/api/requests")
async def list_requests(
    who: Caller,
    accounts: Accounts,
    after: Annotated[UUID | None, QueryParameter()] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> RequestPage:
    """One's own requests."""
    found = await requests.listed(accounts, who, after, limit)
    return RequestPage([each._asdict() for each in found], found[-1].id if len(found) == limit else None)


@get("/api/requests/{request_id:uuid}")
async def read_request(request_id: FromPath[UUID], who: Caller, accounts: Accounts) -> dict[str, Any]:
    """What was kept of one's own request: what was asked and answered."""
    return await requests.read(accounts, who, request_id)


@delete("/api/requests/{request_id:uuid}", status_code=204)
async def end_request(request_id: FromPath[UUID], who: Caller, accounts: Accounts) -> None:
    """Delete what was kept of one's own request."""
    await requests.end(accounts, who, request_id)


ROUTES = (list_requests, read_request, end_request)


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
