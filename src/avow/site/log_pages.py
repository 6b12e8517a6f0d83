"""Routes of the transparency log, as c2sp.org/tlog-tiles says where what lies, and of the program that checks it."""

from __future__ import annotations

import asyncio
from functools import cache
from importlib.resources import files
from typing import Any

from litestar import MediaType, Response, get
from litestar.datastructures import State
from litestar.params import FromPath

from avow.base.errors import NotFound
from avow.proof import log
from avow.site.layout import Site

FOREVER = {"cache-control": "public, max-age=31536000, immutable"}
NOW = {"cache-control": "no-cache"}
PLACE_MAX = 2**40


@get("/log/checkpoint", include_in_schema=False, media_type=MediaType.TEXT)
async def checkpoint(state: State) -> Response[bytes]:
    """The newest signed head of the log."""
    note = await asyncio.to_thread(state.site.log.note)
    return Response(note, media_type="text/plain", headers=NOW)


@get("/log/tile/{path:path}", include_in_schema=False)
async def tile(path: FromPath[str], state: State) -> Response[bytes]:
    """A tile of hashes or a bundle of entries, whole or its beginning; what was served once stays the same for good."""
    found = await asyncio.to_thread(state.site.log.resource, f"tile/{path.strip('/')}")
    return Response(found, media_type="application/octet-stream", headers=FOREVER)


@get("/log/entries/{place:int}", include_in_schema=False)
async def entry(place: FromPath[int], state: State) -> Response[dict[str, Any]]:
    """What a leaf says, with the salt and the proof that show it; 404 for one that is not public, or was erased."""
    site: Site = state.site
    note = await asyncio.to_thread(site.log.note)
    head = site.log.checkpoint(note)
    if not 0 <= place < head.size:
        raise NotFound
    async with site.database.begin() as c:
        row = await log.at(c, place)
    if row is None:
        raise NotFound
    proof = await asyncio.to_thread(site.log.proof, row.salt, place, head)
    told = {"kind": row.kind, "content": row.content, "log": proof, "checkpoint": note.decode()}
    return Response(told, headers=NOW)


@get("/proof/verify.py", include_in_schema=False)
async def program() -> Response[bytes]:
    """The program with which a visitor checks all that is published here."""
    return Response(_program(), media_type="text/x-python", headers=NOW)


@cache
def _program() -> bytes:
    return files("avow.proof").joinpath("verifier.py").read_bytes()


ROUTES = (checkpoint, tile, entry, program)
