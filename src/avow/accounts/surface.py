"""What every request to `/api` passes before a route sees it, and how every error leaves: as RFC 9457 problem details."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap
from sqlalchemy.exc import DBAPIError

from avow.accounts import origin
from avow.base import log
from avow.base.errors import AvowError, BadInput

DEPTH_MAX = 64
SIZE_MAX = 64 * 1024
"""Bytes of a body; far above what any route of accounts needs."""
PARAMETERS_MAX = 100
FORMS = frozenset({"/cookies"})
"""Paths to which a form without script is sent, as a browser spells it; everywhere else a body is JSON."""
UNFIT = frozenset({"22000", "22021"})
"""SQLSTATE of a value that is no value for PostgreSQL: a time before the year 1 in UTC, a number beyond 32 or 64 bits, NUL."""
MEDIA_TYPE = "application/problem+json"
NO_STORE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
"""What every answer of `/api` tells a browser: do not keep it, and do not guess what it is."""
STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""Also one that never ends: else each quote behind it would be tried as the start of another."""

AnyRequest = Request[Any, Any, Any]


async def check(request: AnyRequest) -> None:
    """Refuse what another site sent, an address with NUL, a parameter that comes twice and what is no sound JSON, before a route
    runs.

    Raises CrossSite or BadInput.
    """
    origin.check(request.method, {name.lower(): value for name, value in request.headers.items()})
    if "\x00" in request.scope["path"]:
        raise BadInput("The address holds NUL.")
    check_query(request.scope["query_string"])
    body = await request.body()
    if body and request.url.path in FORMS:
        check_query(body)
    elif body:
        check_body(body)


def check_query(query: bytes) -> None:
    """Refuse a query that two readers could read differently. Raises BadInput."""
    try:
        names = [
            name for name, _ in parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=PARAMETERS_MAX)
        ]
    except ValueError:
        raise BadInput("The query of the address, or the form, cannot be read.") from None
    for name, count in Counter(names).items():
        if count > 1:
            raise BadInput("A parameter comes twice.", param=name[:64])


def check_body(body: bytes) -> None:
    """Refuse JSON that two readers could read differently or that is made to hurt: deep, doubled, not text."""
    if depth(body) > DEPTH_MAX:
        raise BadInput(f"The JSON is nested more than {DEPTH_MAX} deep.")
    try:
        value = json.loads(body, object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise BadInput("The body is not valid JSON.") from None
    if any("\x00" in text or not _is_unicode(text) for text in texts(value)):
        raise BadInput("A text holds NUL or half of a character.")


def depth(body: bytes) -> int:
    """How deep JSON is nested, counted without parsing it."""
    level = deepest = 0
    for byte in STRING.sub(b"", body):
        if byte in b"[{":
            level += 1
            deepest = max(deepest, level)
        elif byte in b"]}":
            level -= 1
    return deepest


def texts(value: object) -> Iterator[str]:
    """All texts in a JSON value, names too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, dict):
        for name, each in value.items():
            yield name
            yield from texts(each)


def handlers() -> ExceptionHandlersMap:
    """The one place where `/api` turns exceptions into answers."""
    by_kind: ExceptionHandlersMap = {
        AvowError: _render,
        HTTPException: _render_refusal,
        DBAPIError: _render_of_database,
    }
    return {**by_kind, Exception: _render_unexpected}


def _render(_: AnyRequest, error: AvowError) -> Response[dict[str, Any]]:
    return problem(error.problem(), error.headers)


def _render_refusal(request: AnyRequest, error: HTTPException) -> Response[dict[str, Any]]:
    """What the router itself refused: unknown route, wrong method, a body of the wrong shape."""
    if isinstance(error, ValidationException):
        return _render(request, _misshapen(error))
    title = HTTPStatus(error.status_code).phrase
    code = title.lower().replace(" ", "_")
    body = {"type": "about:blank", "title": title, "status": error.status_code, "detail": title, "code": code}
    headers = dict(error.headers or {})
    if "GET" in (allowed := headers.get("allow", "").split(", ")):
        headers["allow"] = ", ".join([*allowed, "HEAD"])  # which is answered as GET is
    return problem(body, headers)


def _render_of_database(request: AnyRequest, error: DBAPIError) -> Response[dict[str, Any]]:
    """A value that came with the request and that no column can be compared with is named; all else is a failure of ours."""
    if getattr(error.orig, "sqlstate", None) not in UNFIT:
        return _render_unexpected(request, error)
    structlog.get_logger().warning("request unfit", route=request.scope.get("path_template", ""), method=request.method)
    return _render(request, BadInput("A value of the request lies outside of what can be stored or compared."))


def _render_unexpected(request: AnyRequest, error: Exception) -> Response[dict[str, Any]]:
    route = request.scope.get("path_template", "")
    structlog.get_logger().error("request failed", route=route, method=request.method, **log.failure(error))
    return _render(request, AvowError())


def problem(body: dict[str, Any], headers: dict[str, str]) -> Response[dict[str, Any]]:
    """An answer of problem details; never stored by a cache."""
    return Response(body, status_code=body["status"], media_type=MEDIA_TYPE, headers={**NO_STORE, **headers})


def _misshapen(error: ValidationException) -> BadInput:
    """The first thing wrong with a body or parameter, by name and kind; its value is not repeated."""
    found = error.extra[0] if isinstance(error.extra, list) and error.extra else {}
    message, key = str(found.get("message", "")), str(found.get("key", ""))[:64]
    unknown = re.match(r"Object contains unknown field `(.{1,64})", message)
    if unknown:
        name = "".join(each if each.isprintable() else "?" for each in unknown[1].rstrip("`"))
        return BadInput(f"The field {name!r} is not known here and was not stored.", param=name)
    missing = re.match(r"Object missing required field `(\w{1,64})`", message)
    if missing:
        return BadInput(f"The field {missing[1]!r} is missing.", param=missing[1])
    return BadInput("A field has the wrong type or value." if key else None, param=key or None)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made


def _no_number(_: str) -> None:
    raise ValueError


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
