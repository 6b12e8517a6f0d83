"""`/docs/errors`: every error that people can meet here, told by the classes that raise them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from litestar import Response, get
from litestar.datastructures import State

from avow.base.errors import AvowError
from avow.site.layout import Accepted, Locale, page


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


@get("/docs/errors", include_in_schema=False)
async def errors(state: State, locale: Locale = None, accepted: Accepted = "") -> Response[str]:
    return page(state.site, "errors.html", locale, accepted, entries=entries())
