"""Runs batches: each worker takes the one that waits longest, works on a page of its lines, and lets go of it.

Whatever happens, a line is charged once: it goes through the gateway under an idempotency key that is its own. Who finds that
it was answered already (a process died between the charge and the line) takes the answer from what was kept of the request
with the charge. A lease that is not renewed runs out, and somebody else goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import Row, delete, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from avow.accounts.directory import Directory, KeyRecord
from avow.base import log
from avow.base.errors import AvowError, NotFound, Unavailable
from avow.base.ids import uuid7
from avow.billing.tables import claim
from avow.gateway import surfaces
from avow.gateway.completion import Ask, Gateway, Headers
from avow.gateway.files import SERVICE, Files
from avow.gateway.rules import CONTENT
from avow.gateway.tables import batch, batch_line, trace
from avow.vault import Gone, Ref

POLL_S = 1.0
LEASE = timedelta(seconds=30)
RENEW_S = 10.0
PAUSE = timedelta(seconds=5)
HOUR = timedelta(hours=1)
PAGE_LINES, LINES_AT_ONCE = 32, 8
ERRORS_MAX = 100
ROWS_AT_ONCE = 200
CUSTOM_ID_CHARS_MAX = 128
_NEXT = text("SELECT id, tenant_id FROM batch_next(:at, :until)")
_LATER = frozenset((408, 429, 503, 504))
_NEVER = frozenset(("model_has_no_price",))

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class _Interrupted(AvowError):
    """This request was answered and charged when a process was lost, and its answer with it."""

    status = 500
    code = "batch_interrupted"
    hint = "GET /api/requests tells what it cost. Send it again, if it is still wanted."


class _Answer(NamedTuple):
    """What came of a line: `later`: nothing yet."""

    state: Literal["done", "failed", "later"]
    response: dict[str, Any]


class _Collected:
    """Where an answer goes that no client waits for."""

    def __init__(self) -> None:
        self.status, self.body, self.request_id = 500, b"", ""

    async def whole(self, status: int, headers: Headers, body: bytes, kind: bytes = b"") -> None:
        self.status, self.body = status, body
        self.request_id = next((value.decode() for name, value in headers if name == b"avow-request-id"), "")

    def begin(self, headers: Headers, kind: bytes = b"") -> None:
        raise TypeError("a line of a batch is answered whole")

    def pass_on(self, data: bytes) -> bool:
        return True

    async def flush(self) -> None:
        return

    async def end(self, data: bytes) -> None:
        return


class Runs:
    """The batches of one process."""

    def __init__(self, gateway: Gateway, files: Files, directory: Directory) -> None:
        self._gateway, self._files, self._directory = gateway, files, directory
        self._database, self._vault, self._clock = files.database, files.vault, files.clock

    async def go_on(self) -> None:
        """Work until cancelled. What runs then ends as it would; its answer is found by who goes on."""
        while True:
            try:
                busy = await self.step()
            except (SQLAlchemyError, OSError, Unavailable) as wrong:
                structlog.get_logger().warning("batch_waits", **log.failure(wrong))
                busy = False
            if not busy:
                await asyncio.sleep(POLL_S)

    async def step(self) -> bool:
        """Work on a batch for a while; False: there is none."""
        now = self._clock.now()
        async with self._database.begin() as c:
            found = (await c.execute(_NEXT, {"at": now, "until": now + LEASE})).one_or_none()
        if found is None:
            return False
        renewing = asyncio.create_task(self._renew(found.tenant_id, found.id))
        try:
            await self._work(found.tenant_id, found.id)
        except Unavailable:
            raise
        except AvowError as refused:
            await self._fail(found.tenant_id, found.id, [{"code": refused.code, "message": refused.sentence}])
        except Exception as wrong:  # it is tried again when its lease has run out
            structlog.get_logger().error("batch_failed", **log.failure(wrong))
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
        return True

    async def _work(self, tenant_id: UUID, batch_id: UUID) -> None:
        async with self._database.tenant(tenant_id) as c:
            row = (
                await c.execute(select(batch).where(batch.c.id == batch_id, batch.c.ended_at.is_(None)))
            ).one_or_none()
        if row is None:
            return
        if row.state == "cancelling":
            return await self._set(row, state="cancelled", ended_at=self._clock.now())
        if row.due_at <= self._clock.now():
            return await self._set(row, state="expired", ended_at=self._clock.now())
        key = await self._directory.by_id(tenant_id, row.key_id, "inference")
        if row.state == "validating":
            await self._split(row, key)
        else:
            await self._answer_page(row, key)

    async def _split(self, row: Row[Any], key: KeyRecord) -> None:
        """Make rows of the lines of the file, or end a batch that has a wrong one."""
        try:
            await self._files.find(key, row.upload_id)
            said = [part async for part in self._files.texts(key, row.upload_id)]
        except NotFound:
            errors = [{"code": "file_gone", "message": "The file is not there any more.", "param": "input_file_id"}]
            return await self._fail(row.tenant_id, row.id, errors)
        read = await asyncio.to_thread(_read, "".join(said), row.path)
        if read.errors:
            return await self._fail(row.tenant_id, row.id, read.errors)
        await self._vault.prepare(row.subject_id, CONTENT, row.ends_at)
        made = await asyncio.to_thread(lambda: list(self._rows(row, read.lines)))
        async with self._database.tenant(row.tenant_id) as c:
            await c.execute(delete(batch_line).where(batch_line.c.batch_id == row.id))
            for at in range(0, len(made), ROWS_AT_ONCE):
                await c.execute(insert(batch_line), made[at : at + ROWS_AT_ONCE])
        await self._set(row, state="in_progress", lease_until=self._clock.now())

    def _rows(self, row: Row[Any], lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        fact = {name: getattr(row, name) for name in ("tenant_id", "subject_id", "ends_at", "policy_version")}
        for number, line in enumerate(lines):
            made = uuid7()
            ref = Ref(row.tenant_id, batch_line.name, CONTENT, made, row.subject_id)
            box = self._vault.seal(ref, {"request": line, "response": None}, row.ends_at)
            where = {"id": made, "batch_id": row.id, "number": number, "state": "waiting", "size": 0}
            yield {**where, "box": box, "since": self._clock.now(), **fact}

    async def _answer_page(self, row: Row[Any], key: KeyRecord) -> None:
        at = batch_line.c
        query = select(batch_line).where(at.batch_id == row.id, at.state == "waiting").order_by(at.number)
        async with self._database.tenant(row.tenant_id) as c:
            lines = list(await c.execute(query.limit(PAGE_LINES)))
            opened = await self._vault.open_many(c, [(_ref(each), each.box) for each in lines], SERVICE, key.actor)
        if not lines:
            return await self._set(row, state="completed", ended_at=self._clock.now())
        turns = asyncio.Semaphore(LINES_AT_ONCE)

        async def one(line: Row[Any], box: Any) -> bool:
            async with turns:
                return box is Gone or await self._answer(row, key, line, box["request"])

        answered = await asyncio.gather(*(one(line, box) for line, box in zip(lines, opened, strict=True)))
        await self._set(row, lease_until=self._clock.now() + (timedelta() if all(answered) else PAUSE))

    async def _answer(self, row: Row[Any], key: KeyRecord, line: Row[Any], asked: dict[str, Any]) -> bool:
        """Have a line answered and write it down; False: later."""
        surface, body, name = surfaces.BY_PATH[row.path], _encode(asked["body"]), f"batch-{line.id.hex}".encode()
        reply = _Collected()
        hours = _hours_left(row.ends_at, self._clock.now())
        task = self._gateway.start(Ask("", body, hours, None, surface, None, name, key=key), reply).task
        assert task is not None
        await asyncio.shield(task)
        came = _judged(reply)
        if came.state == "failed" and came.response["body"]["error"]["code"] == "already_answered":
            came = await self._found_again(key, name, row.path, body)
        if came.state == "later":
            return False
        await self._vault.prepare(line.subject_id, CONTENT, line.ends_at)
        fields = {"request": {"custom_id": asked["custom_id"]}, "response": came.response}
        box = await asyncio.to_thread(self._vault.seal, _ref(line), fields, line.ends_at)
        written = {"state": came.state, "box": box, "size": len(_encode(fields))}
        mine = update(batch_line).where(batch_line.c.id == line.id, batch_line.c.state == "waiting")
        async with self._database.tenant(line.tenant_id) as c:
            await c.execute(mine.values(**written))
        return True

    async def _found_again(self, key: KeyRecord, name: bytes, path: str, body: bytes) -> _Answer:
        """The answer that was charged and not written down, from what was kept of its request."""
        known = self._gateway.claims.named(name, path, body, key.tenant_id, key.subject_id)
        async with self._database.tenant(key.tenant_id) as c:
            request_id = await c.scalar(select(claim.c.request_id).where(claim.c.id == known.id))
            row = (await c.execute(select(trace).where(trace.c.id == request_id))).one_or_none()
            opened: Any = Gone
            if row is not None:
                ref = Ref(row.tenant_id, trace.name, CONTENT, row.id, row.subject_id)
                opened = await self._vault.open(c, ref, row.box, SERVICE, key.actor)
        if opened is Gone or "response" not in opened:
            error = _Interrupted()
            told = {"message": f"{error.sentence} {error.hint}", "type": "server_error", "code": error.code}
            return _Answer("failed", {"status_code": 500, "request_id": str(request_id), "body": {"error": told}})
        return _Answer("done", {"status_code": 200, "request_id": str(request_id), "body": opened["response"]})

    async def _renew(self, tenant_id: UUID, batch_id: UUID) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            with contextlib.suppress(SQLAlchemyError, OSError):
                async with self._database.tenant(tenant_id) as c:
                    mine = update(batch).where(batch.c.id == batch_id, batch.c.ended_at.is_(None))
                    await c.execute(mine.values(lease_until=self._clock.now() + LEASE))

    async def _set(self, row: Row[Any], **values: Any) -> None:
        """What is cancelled meanwhile stays so."""
        mine = update(batch).where(batch.c.id == row.id, batch.c.ended_at.is_(None), batch.c.state == row.state)
        async with self._database.tenant(row.tenant_id) as c:
            await c.execute(mine.values(**values))

    async def _fail(self, tenant_id: UUID, batch_id: UUID, errors: list[dict[str, Any]]) -> None:
        async with self._database.tenant(tenant_id) as c:
            row = (await c.execute(select(batch).where(batch.c.id == batch_id))).one_or_none()
        if row is None:
            return
        ref = Ref(row.tenant_id, batch.name, CONTENT, row.id, row.subject_id)
        await self._vault.prepare(row.subject_id, CONTENT, row.ends_at)
        full = [{"code": "", "message": "", "line": None, "param": None, **each} for each in errors]
        box = self._vault.seal(ref, {"metadata": None, "error": full}, row.ends_at)
        await self._set(row, state="failed", ended_at=self._clock.now(), box=box)


class _Read(NamedTuple):
    lines: list[dict[str, Any]]
    errors: list[dict[str, Any]]


def _read(said: str, path: str) -> _Read:
    """The lines of a file, and what is wrong with them; no error repeats what was sent."""
    lines: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    names: set[str] = set()
    for number, line in enumerate(said.split("\n"), 1):
        if not line.strip():
            continue
        wrong = _wrong(line, path, names, lines)
        if wrong:
            errors.append({"code": "invalid_line", "message": wrong, "line": number, "param": None})
        if len(errors) >= ERRORS_MAX:
            break
    return _Read(lines, errors)


def _wrong(line: str, path: str, names: set[str], lines: list[dict[str, Any]]) -> str:
    try:
        asked = _decode(line.encode())
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return "The line is not a JSON object."
    name, body = asked.get("custom_id"), asked.get("body")
    if not isinstance(name, str) or not 1 <= len(name) <= CUSTOM_ID_CHARS_MAX:
        return f"custom_id is a text of 1 to {CUSTOM_ID_CHARS_MAX} characters."
    if name in names:
        return "This custom_id occurs twice."
    if asked.get("method") != "POST" or asked.get("url") != path:
        return "method is POST, and url the endpoint of the batch."
    if not isinstance(body, dict) or body.get("stream"):
        return "body is an object, and asks for no stream."
    names.add(name)
    lines.append({"custom_id": name, "body": body})
    return ""


def _judged(reply: _Collected) -> _Answer:
    """An answer as it is written down, and whether there is one."""
    body = _decode(reply.body) if reply.body else {"error": {"code": "", "message": ""}}
    response = {"status_code": reply.status, "request_id": reply.request_id, "body": body}
    if reply.status == 200:
        return _Answer("done", response)
    code = body["error"]["code"]
    if (reply.status in _LATER and code not in _NEVER) or code == "request_running":
        return _Answer("later", response)
    return _Answer("failed", response)


def _hours_left(ends_at: datetime | None, now: datetime) -> int | None:
    """How long what is kept of a line's request may be kept, so that it never outlives its batch; None: as planned."""
    return None if ends_at is None else max(0, (ends_at - now) // HOUR)


def _ref(row: Row[Any]) -> Ref:
    return Ref(row.tenant_id, batch_line.name, CONTENT, row.id, row.subject_id)
