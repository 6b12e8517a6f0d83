"""Batches: many requests in a file, each answered through the same flow as any other, paid for once, within a day.

A batch is a row that workers lease (`batch_runs`), its lines are rows too: a line waits until its answer is written beside it.
Lines go with their own holds under the key that brought the batch, so its limits, budgets, models and end hold for each.
Answers and errors are read as two files that are nowhere but in the lines. All of it ends together, as the policy says of
content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Row, delete, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts.directory import KeyRecord
from avow.accounts.ownership import readable
from avow.base.errors import AvowError, NotFound
from avow.base.ids import uuid7
from avow.gateway import surfaces
from avow.gateway.files import SERVICE, Files, Whose
from avow.gateway.rules import CONTENT
from avow.gateway.tables import batch, batch_line
from avow.vault import Gone, Ref

PREFIX, OUTPUT, ERRORS = "batch_", "file-output-", "file-errors-"
PATHS = tuple(
    surface.path
    for surface in surfaces.ALL
    if surface.name in ("chat", "completions", "responses", "embeddings", "moderations")
)
BATCHES_MAX = 50
"""Of one organisation at once, those included that have ended and are still kept."""
WINDOW = timedelta(hours=24)
METADATA_MAX = 16
PAGE_LINES = 100
ENDED = {"expired": "batch_expired", "cancelled": "batch_cancelled", "failed": "batch_failed"}

Kind = Literal["done", "failed"]
_encode = msgspec.json.Encoder().encode


class TooManyBatches(AvowError):
    """Your organisation has as many batches as it may have."""

    status = 409
    code = "too_many_batches"
    hint = f"Wait until some end: at most {BATCHES_MAX} are kept at once."


class Wanted(msgspec.Struct):
    """The body of a request for a batch."""

    input_file_id: str
    endpoint: str
    completion_window: Literal["24h"]
    metadata: dict[str, str] | None = None


class Batch(NamedTuple):
    """A batch and how far it is: `counts` of its lines by state, `box` what is sealed of it."""

    row: Row[Any]
    counts: Counter[str]
    box: dict[str, Any]


class Batches:
    """The batches of one process's database."""

    def __init__(self, files: Files) -> None:
        self._files, self._database = files, files.database
        self._vault, self._clock = files.vault, files.clock

    async def begin(self, key: KeyRecord, whose: Whose, upload_id: UUID, wanted: Wanted) -> Batch:
        """Take a batch of a file that is one's own. Raises NotFound and TooManyBatches."""
        file = await self._files.find(key, upload_id)
        made, now = uuid7(), whose.at
        await self._vault.prepare(whose.owner, CONTENT, whose.ends_at)
        ref = Ref(whose.tenant_id, batch.name, CONTENT, made, whose.owner)
        box = self._vault.seal(ref, {"metadata": wanted.metadata, "error": None}, whose.ends_at)
        row = {"id": made, "key_id": key.key_id, "upload_id": file.id, "path": wanted.endpoint, "state": "validating"}
        times = {"due_at": now + WINDOW, "lease_until": now}
        async with self._database.tenant(key.tenant_id) as c:
            name = {"name": f"batches {key.tenant_id}"}
            await c.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), name)
            if (await c.scalar(select(func.count()).select_from(batch)) or 0) >= BATCHES_MAX:
                raise TooManyBatches
            await c.execute(insert(batch).values(**row, **times, box=box, **whose.fact()))
        return await self.find(key, made)

    async def find(self, key: KeyRecord, batch_id: UUID) -> Batch:
        """One of one's batches. Raises NotFound."""
        return (await self._read(key, batch.c.id == batch_id, limit=1) or _none())[0]

    async def listed(self, key: KeyRecord, after: UUID | None, limit: int) -> list[Batch]:
        """One's batches, newest first, at most `limit` of them older than the batch `after`."""
        return await self._read(key, *(() if after is None else (batch.c.id < after,)), limit=limit)

    async def cancel(self, key: KeyRecord, batch_id: UUID) -> Batch:
        """Begin nothing more of a batch; what runs ends as it would. One that has ended stays as it is. Raises NotFound."""
        found = await self.find(key, batch_id)
        at, now = batch.c, self._clock.now()
        to = update(batch).where(at.id == batch_id, at.ended_at.is_(None)).values(state="cancelling", lease_until=now)
        async with self._database.tenant(key.tenant_id) as c:
            await c.execute(to)
        return await self.find(key, found.row.id)

    async def results(self, key: KeyRecord, found: Batch, kind: Kind) -> AsyncIterator[bytes]:
        """The lines of a batch that were answered, or those that were not, in their order, page by page."""
        number, at = -1, batch_line.c
        states = [kind] if kind == "done" or found.row.ended_at is None else [kind, "waiting"]
        while True:
            query = select(batch_line).where(at.batch_id == found.row.id, at.state.in_(states), at.number > number)
            async with self._database.tenant(key.tenant_id) as c:
                rows = list(await c.execute(query.order_by(at.number).limit(PAGE_LINES)))
                opened = await self._vault.open_many(c, [(_line(row), row.box) for row in rows], SERVICE, key.actor)
            if not rows:
                return
            number = rows[-1].number
            pairs = zip(rows, opened, strict=True)
            yield b"".join(_told(found, row, dict(box)) + b"\n" for row, box in pairs if box is not Gone)

    async def end_results(self, key: KeyRecord, found: Batch, kind: Kind) -> None:
        """Delete what was answered, or what went wrong. Raises NotFound while the batch runs."""
        if found.row.ended_at is None:
            raise NotFound
        states = [kind] if kind == "done" else [kind, "waiting"]
        gone = delete(batch_line).where(batch_line.c.batch_id == found.row.id, batch_line.c.state.in_(states))
        async with self._database.tenant(key.tenant_id) as c:
            await c.execute(gone)

    async def _read(self, key: KeyRecord, *which: ColumnElement[bool], limit: int) -> list[Batch]:
        mine = readable(key.tenant_id, key.subject_id, batch.c.subject_id, batch.c.key_id)
        alive = or_(batch.c.ends_at.is_(None), batch.c.ends_at > self._clock.now())
        query = select(batch).where(mine, alive, *which).order_by(batch.c.id.desc()).limit(limit)
        async with self._database.tenant(key.tenant_id) as c:
            rows = list(await c.execute(query))
            counts = await _counts(c, [row.id for row in rows])
            boxes = [(Ref(r.tenant_id, batch.name, CONTENT, r.id, r.subject_id), r.box) for r in rows]
            opened = await self._vault.open_many(c, boxes, SERVICE, key.actor)
        pairs = zip(rows, opened, strict=True)
        return [Batch(row, counts[row.id], dict(box)) for row, box in pairs if box is not Gone]


def shown(found: Batch) -> dict[str, Any]:
    """A batch in OpenAI's words; times are Unix seconds."""
    row, counts, ended = found.row, found.counts, found.row.ended_at
    missing = counts["failed"] + (counts["waiting"] if ended is not None and row.state != "failed" else 0)
    times: dict[str, int | None] = {f"{state}_at": None for state in ("completed", "failed", "expired", "cancelled")}
    if ended is not None:
        times[f"{row.state}_at"] = _s(ended)
    error = found.box.get("error")
    return {
        **{"id": f"{PREFIX}{row.id.hex}", "object": "batch", "endpoint": row.path, "completion_window": "24h"},
        **{"status": row.state, "input_file_id": f"file-{row.upload_id.hex}", "metadata": found.box.get("metadata")},
        "errors": {"object": "list", "data": error} if error else None,
        "output_file_id": f"{OUTPUT}{row.id.hex}" if ended is not None and counts["done"] else None,
        "error_file_id": f"{ERRORS}{row.id.hex}" if ended is not None and missing else None,
        **{"created_at": _s(row.since), "expires_at": _s(row.due_at), **times},
        "request_counts": {"total": sum(counts.values()), "completed": counts["done"], "failed": missing},
    }


def _none() -> Sequence[Batch]:
    raise NotFound


def _s(at: datetime) -> int:
    return int(at.timestamp())


def _line(row: Row[Any]) -> Ref:
    return Ref(row.tenant_id, batch_line.name, CONTENT, row.id, row.subject_id)


def _told(found: Batch, row: Row[Any], box: dict[str, Any]) -> bytes:
    """A line of an output file, or of one with errors."""
    response, error = box.get("response"), None
    if row.state == "waiting":
        error = {"code": ENDED.get(found.row.state, "batch_failed"), "message": "The batch ended before this request."}
    told = {"custom_id": box["request"]["custom_id"], "response": response, "error": error}
    return _encode({"id": f"batch_req_{row.id.hex}", **told})


async def _counts(c: AsyncConnection, ids: list[UUID]) -> dict[UUID, Counter[str]]:
    at = batch_line.c
    query = select(at.batch_id, at.state, func.count()).where(at.batch_id.in_(ids)).group_by(at.batch_id, at.state)
    found: dict[UUID, Counter[str]] = {each: Counter() for each in ids}
    for batch_id, state, count in await c.execute(query):
        found[batch_id][state] = count
    return found
