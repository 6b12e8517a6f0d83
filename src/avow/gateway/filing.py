"""`/v1/files` and `/v1/batches` in OpenAI's words: what a route asks of `files` and `batches`, and how it is answered."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec

from avow.accounts.directory import KeyRecord
from avow.base.errors import NotFound
from avow.base.ids import uuid7
from avow.gateway import batches, forms, refusals, wire
from avow.gateway.batches import Batch, Batches, Kind, Wanted
from avow.gateway.decisions import Decisions, Upload
from avow.gateway.files import Files, Kept, judged
from avow.gateway.filters import Search
from avow.gateway.refusals import InvalidRequest
from avow.gateway.rules import RuleBook

FILES, BATCHES = "/v1/files", "/v1/batches"
PAGE_MAX = 100
PARAMETERS_MAX = 16
JSONL = b"application/jsonl"

_ID = re.compile(r"(file-|batch_|file-output-|file-errors-)([0-9a-f]{32})")
_encode = msgspec.json.Encoder().encode
_wanted = msgspec.json.Decoder(Wanted).decode


class Errand(NamedTuple):
    """A request that was let in: `boundary` stands between the parts of a form, `retention_h` is how long it may be kept."""

    key: KeyRecord
    method: str
    path: str
    query: bytes
    body: bytes
    boundary: bytes | None
    retention_h: int | None


class Told(NamedTuple):
    """An answer: a value that becomes JSON, or texts that follow one another."""

    value: Any = None
    texts: AsyncIterator[bytes] | None = None


def is_filing(path: str) -> bool:
    """Whether a path is one of these routes."""
    return path in (FILES, BATCHES) or path.startswith((FILES + "/", BATCHES + "/"))


def bytes_max(path: str) -> int:
    """How large the body of a request may be."""
    return forms.BYTES_MAX if path == FILES else wire.BODY_BYTES_MAX


class Filing:
    """The routes of one process."""

    def __init__(self, rules: RuleBook, files: Files, batches: Batches, decisions: Decisions) -> None:
        self._rules, self._files, self._batches, self._decisions = rules, files, batches, decisions

    async def answer(self, asked: Errand) -> Told:
        """Answer a request. Raises what it is refused by."""
        head, _, rest = asked.path.removeprefix("/v1/").partition("/")
        id, _, what = rest.partition("/")
        if head == "files":
            return await (self._of_file(asked, id, what) if id else self._of_files(asked))
        return await (self._of_batch(asked, id, what) if id else self._of_batches(asked))

    async def _of_files(self, asked: Errand) -> Told:
        if asked.method == "POST":
            if asked.boundary is None:
                raise refusals.NoForm()
            form = await asyncio.to_thread(forms.read, asked.body, asked.boundary)
            whose = await self._files.whose(asked.key, self._rules.current, asked.retention_h)
            await self._search(asked.key, await asyncio.to_thread(judged, form))
            return Told(_file(await self._files.keep(asked.key, whose, form)))
        _only(asked, "GET", "GET, POST")
        after, limit, newest_first = _page(asked.query, "file-")
        found = await self._files.listed(asked.key, after, limit + 1, newest_first=newest_first)
        return Told(_listed([_file(each) for each in found], limit))

    async def _search(self, key: KeyRecord, said: str) -> None:
        """Have a file searched where the policy has filters. Raises ContentBlocked."""
        rules = self._rules.current
        if rules.filters is None:
            return
        search = Search(rules.filters)
        try:
            await asyncio.to_thread(search.upload, said)
        finally:
            if search.hits:
                found = Upload(uuid7(), key, rules.plan(key), self._files.clock.now())
                await self._decisions.record(found, search.hits.values())

    async def _of_file(self, asked: Errand, id: str, what: str) -> Told:
        kind, row_id = _id(id)
        if what not in ("", "content"):
            raise refusals.RouteUnknown()
        _only(asked, *(("GET", "GET") if what else ("GET, DELETE", "GET, DELETE")))
        if kind in (batches.OUTPUT, batches.ERRORS):
            return await self._of_results(asked, id, "done" if kind == batches.OUTPUT else "failed", row_id, what)
        if kind != "file-":
            raise NotFound
        if asked.method == "DELETE":
            await self._files.end(asked.key, row_id)
            return Told({"id": id, "object": "file", "deleted": True})
        found = await self._files.find(asked.key, row_id)
        return Told(texts=_bytes(self._files.texts(asked.key, row_id))) if what else Told(_file(found))

    async def _of_results(self, asked: Errand, id: str, kind: Kind, row_id: UUID, what: str) -> Told:
        """A file that is nowhere but in the lines of a batch."""
        found = await self._batches.find(asked.key, row_id)
        if id not in (batches.shown(found)["output_file_id"], batches.shown(found)["error_file_id"]):
            raise NotFound
        if asked.method == "DELETE":
            await self._batches.end_results(asked.key, found, kind)
            return Told({"id": id, "object": "file", "deleted": True})
        if what:
            return Told(texts=self._batches.results(asked.key, found, kind))
        size = sum([len(part) async for part in self._batches.results(asked.key, found, kind)])
        told = Kept(row_id, found.row.ended_at, found.row.ends_at, size, f"{id}.jsonl")
        return Told({**_file(told), "id": id, "purpose": "batch_output"})

    async def _of_batches(self, asked: Errand) -> Told:
        if asked.method == "POST":
            _, wanted = wire.read(asked.body, _wanted)
            if wanted.endpoint not in batches.PATHS:
                raise InvalidRequest(f"This is one of {', '.join(batches.PATHS)}.", param="endpoint")
            if len(wanted.metadata or {}) > batches.METADATA_MAX:
                raise InvalidRequest(f"There are more than {batches.METADATA_MAX}.", param="metadata")
            kind, file_id = _id(wanted.input_file_id)
            if kind != "file-":
                raise NotFound
            whose = await self._files.whose(asked.key, self._rules.current, asked.retention_h)
            return Told(batches.shown(await self._batches.begin(asked.key, whose, file_id, wanted)))
        _only(asked, "GET", "GET, POST")
        after, limit, _ = _page(asked.query, "batch_")
        found = await self._batches.listed(asked.key, after, limit + 1)
        return Told(_listed([batches.shown(each) for each in found], limit))

    async def _of_batch(self, asked: Errand, id: str, what: str) -> Told:
        kind, row_id = _id(id)
        if kind != batches.PREFIX:
            raise NotFound
        if what == "cancel":
            _only(asked, "POST", "POST")
            return Told(batches.shown(await self._batches.cancel(asked.key, row_id)))
        if what:
            raise refusals.RouteUnknown()
        _only(asked, "GET", "GET")
        found: Batch = await self._batches.find(asked.key, row_id)
        return Told(batches.shown(found))


def _only(asked: Errand, methods: str, allowed: str) -> None:
    if asked.method not in methods.split(", "):
        raise refusals.MethodWrong(allowed)


def _id(given: str) -> tuple[str, UUID]:
    """What an id is of, and the row's. Raises NotFound."""
    known = _ID.fullmatch(given)
    if known is None:
        raise NotFound
    return known[1], UUID(known[2])


def _page(query: bytes, prefix: str) -> tuple[UUID | None, int, bool]:
    """What comes after which, how many, and whether the newest come first. Raises InvalidRequest."""
    try:
        given = dict(parse_qsl(query.decode("latin-1"), max_num_fields=PARAMETERS_MAX))
    except ValueError:
        raise InvalidRequest(f"There are more than {PARAMETERS_MAX} parameters.") from None
    after, limit = given.get("after"), given.get("limit", str(PAGE_MAX))
    if not re.fullmatch(r"[0-9]{1,5}", limit) or int(limit) < 1:
        raise InvalidRequest("This is a whole number, 1 or more.", param="limit")
    if given.get("order", "desc") not in ("asc", "desc"):
        raise InvalidRequest("This is `asc` or `desc`.", param="order")
    known = None if after is None else _ID.fullmatch(after)
    if after is not None and (known is None or known[1] != prefix):
        raise InvalidRequest("This is the id of the last one of the page before.", param="after")
    row_id = None if known is None else UUID(known[2])
    return row_id, min(int(limit), PAGE_MAX), given.get("order", "desc") == "desc"


def _listed(found: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    page = found[:limit]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {"first_id": None, "last_id": None}
    return {"object": "list", "data": page, **ends, "has_more": len(found) > limit}


def _file(kept: Kept) -> dict[str, Any]:
    def seconds(at: datetime | None) -> int | None:
        return None if at is None else int(at.timestamp())

    return {
        **{"id": f"file-{kept.id.hex}", "object": "file", "bytes": kept.size, "created_at": seconds(kept.at)},
        **{"filename": kept.name, "purpose": "batch", "status": "processed", "expires_at": seconds(kept.ends_at)},
    }


async def _bytes(texts: AsyncIterator[str]) -> AsyncIterator[bytes]:
    async for text in texts:
        yield text.encode()
