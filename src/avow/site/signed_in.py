"""The signed-in app: one page for all its addresses, and the files that its build made.

The files are read once, when a worker starts; their names hold a hash of their content, so a browser keeps them for good.
Each answer of the page names a nonce of its own, with which the app's styles are let in; nothing else is inline. Where the
app was not built, its address says so, and everything else works.
"""

from __future__ import annotations

import mimetypes
import secrets
from pathlib import Path
from typing import Annotated, Final

from litestar import MediaType, Response, get
from litestar.datastructures import State
from litestar.params import FromPath, HeaderParameter

from avow.base.errors import NotFound
from avow.site.app_build import Built
from avow.site.layout import Site, page
from avow.site.reader import Reading

NONCE_AT: Final = "NONCE"
"""What stands in the built page where the nonce of an answer goes."""
ENCODINGS: Final = (("br", ".br"), ("gzip", ".gz"))
TYPES: Final = {".js": "text/javascript", ".woff2": "font/woff2", ".svg": "image/svg+xml"}
FOREVER: Final = "public, max-age=31536000, immutable"
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), publickey-credentials-get=(self)",
}


@get(["/app", "/app/{path:path}"], include_in_schema=False)
async def app_page(state: State, reader: Reading) -> Response[str]:
    """The page of the app, for each of its addresses."""
    site: Site = state.site
    if site.app is None:
        return page(site, "app_missing.html", reader, 503)
    nonce = secrets.token_urlsafe(16)
    headers = {**_HEADERS, "content-security-policy": _CSP.format(nonce=nonce), "cache-control": "no-store"}
    return Response(site.app.page.replace(NONCE_AT, nonce), media_type=MediaType.HTML, headers=headers)


@get("/app/assets/{name:str}", include_in_schema=False)
async def app_file(
    name: FromPath[str],
    state: State,
    encodings: Annotated[str, HeaderParameter(name="accept-encoding", max_length=1000)] = "",
) -> Response[bytes]:
    """A file of the app, packed as the browser takes it. Raises NotFound."""
    made: Built | None = state.site.app
    content = made.files.get(name) if made else None
    if made is None or content is None or name.endswith((".br", ".gz")):
        raise NotFound
    headers = {**_HEADERS, "cache-control": FOREVER, "vary": "accept-encoding"}
    for encoding, ending in ENCODINGS:
        packed = made.files.get(name + ending)
        if packed is not None and encoding in {each.partition(";")[0].strip() for each in encodings.split(",")}:
            content, headers["content-encoding"] = packed, encoding
            break
    kind = TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(content, media_type=kind, headers=headers)


ROUTES = (app_page, app_file)
