"""Routes of the public pages. Each answers without a cookie, and none writes anything."""

from __future__ import annotations

from litestar import MediaType, Response, get
from litestar.datastructures import State

from avow.proof import receipts
from avow.site import log_pages, policy_pages, proof_pages
from avow.site.layout import Accepted, Locale, Site, page, page_with_script

__all__ = ["ROUTES", "Site"]


@get("/", include_in_schema=False)
async def home(state: State, locale: Locale = None, accepted: Accepted = "") -> Response[str]:
    return page(state.site, "home.html", locale, accepted)


@get("/confirm", include_in_schema=False)
async def confirm(state: State, locale: Locale = None, accepted: Accepted = "") -> Response[str]:
    """Where the message of a sign-up leads: the token stands after the #, which browsers do not send."""
    return page_with_script(state.site, "confirm", locale, accepted)


@get("/reset", include_in_schema=False)
async def reset(state: State, locale: Locale = None, accepted: Accepted = "") -> Response[str]:
    """Where a forgotten password is asked for, and where the message about it leads."""
    return page_with_script(state.site, "reset", locale, accepted)


@get("/privacy/ask", include_in_schema=False)
async def ask(state: State, locale: Locale = None, accepted: Accepted = "") -> Response[str]:
    """Where people without an account ask about their data, and where the message about it leads."""
    return page_with_script(state.site, "ask", locale, accepted)


@get("/status", include_in_schema=False)
async def status(state: State, locale: Locale = None, accepted: Accepted = "") -> Response[str]:
    parts = await state.site.parts()
    return page(state.site, "status.html", locale, accepted, parts=list(parts.items()))


@get("/healthz", include_in_schema=False, media_type=MediaType.TEXT)
async def healthz() -> str:
    """Alive: this process answers."""
    return "ok"


@get("/readyz", include_in_schema=False)
async def readyz(state: State) -> Response[dict[str, bool]]:
    """Ready: migrated, policy loaded, ledger answering; 503 and which part is missing otherwise."""
    parts = await state.site.parts()
    return Response(parts, status_code=200 if all(parts.values()) else 503)


@get("/.well-known/avow-receipt-key", include_in_schema=False)
async def receipt_key(state: State) -> dict[str, str]:
    """The public key with which anybody can check a receipt, off line, and as that of the log (`NAME+ID+KEY`)."""
    return receipts.published(state.site.signer.public_key) | {"log": str(state.site.log.key)}


ROUTES = (
    *(home, confirm, reset, ask, status, healthz, readyz, receipt_key),
    *(*policy_pages.ROUTES, *proof_pages.ROUTES, *log_pages.ROUTES),
)
