"""`/docs/errors`: every error that people can meet here, told by the classes that raise them; and what a browser shows
where there is no page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from litestar import Response, get
from litestar.datastructures import State
from litestar.types import ExceptionHandlersMap

from avow.accounts import surface
from avow.base.errors import AvowError
from avow.site.layout import page
from avow.site.reader import Reading, stranger

MISSING: Final = frozenset({404, 405})


@dataclass(frozen=True)
class Entry:
    """One code: the anchor that a problem's `type` leads to."""

    code: str
    status: int
    sentence: str
    hint: str


@cache
def entries() -> tuple[Entry, ...]:
    """One entry a code, in the order of their codes. Where classes share a code, the most general one speaks."""
    found: dict[str, Entry] = {}
    for kind in _kinds(AvowError):
        sentence = " ".join((kind.__doc__ or "").split())
        found.setdefault(kind.code, Entry(kind.code, kind.status, sentence, kind.hint))
    return tuple(found[code] for code in sorted(found))


def _kinds(kind: type[AvowError]) -> Iterator[type[AvowError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)


def handlers() -> ExceptionHandlersMap:
    """Errors as everywhere (`surface`); to a browser that looks for a page, one that says so and leads back home."""
    usual = surface.handlers()

    def shown(kind: type[Exception]) -> Any:
        def render(request: surface.AnyRequest, error: Any) -> Response[Any]:
            made: Response[Any] = usual[kind](request, error)
            status = made.status_code or 500
            about = "missing" if status in MISSING else "broken" if status >= 500 else None
            return _page(request, made, about) if about and _is_browser(request) else made

        return render

    return {kind: shown(kind) for kind in usual if isinstance(kind, type)}


def _is_browser(request: surface.AnyRequest) -> bool:
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith(("/api/", "/v1/"))


def _page(request: surface.AnyRequest, made: Response[Any], about: str) -> Response[str]:
    found = page(request.app.state.site, "astray.html", stranger(request), made.status_code or 500, about=about)
    found.headers.update(
        {name: value for name, value in made.headers.items() if name.lower() in ("allow", "retry-after")}
    )
    return found


@get("/docs/errors", include_in_schema=False)
async def errors(state: State, reader: Reading) -> Response[str]:
    return page(state.site, "errors.html", reader, entries=entries())
