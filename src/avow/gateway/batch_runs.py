"""Runs batches: each worker takes the one that waits longest, works on a page of its lines, and lets go of it.

Whatever happens, a line is charged once: it goes through the gateway under an idempotency key that is its own, and its answer
is written in the transaction of its charge. What cost nothing may be asked again. A lease that is not renewed runs out, and
somebody else goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import Row, delete, func, insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from avow.accounts.agreements import NotAccepted
from avow.accounts.directory import Directory, KeyRecord
from avow.base import log, money
from avow.base.errors import AvowError, NotFound, Unavailable
from avow.base.ids import uuid7
from avow.billing.tables import charge, claim
from avow.gateway import surfaces
from avow.gateway.ask import Ask, Headers
from avow.gateway.completion import Gateway
from avow.gateway.files import SERVICE, Files
from avow.gateway.rules import CONTENT
from avow.gateway.tables import batch, batch_line
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
    """This request was charged, and its answer was lost with a process."""

    status = 500
    code = "batch_interrupted"
    hint = "Send it again, if it is still wanted."

    def __init__(self, cost: str, model: str) -> None:
        super().__init__(f"This request was charged {cost} for an answer of {model}, which was lost with a process.")


class _Answer(NamedTuple):
    """What came of a line: `later`: nothing yet."""

    state: Literal["done", "failed", "later"]
    response: dict[str, Any]


Seal = Callable[[dict[str, Any]], tuple[bytes, int]]
"""Makes of the answer of a line its box and size."""


class _Collected:
    """Where an answer goes that no client waits for. `is_written`: it stands in its line as soon as it is charged."""

    def __init__(self, line_id: UUID, seal: Seal) -> None:
        self.status, self.body, self.request_id, self.is_written = 500, b"", "", False
        self._line_id, self._seal = line_id, seal

    def beside(self, request_id: UUID, status: int, body: bytes, cost_nano: int) -> tuple[UUID, bytes, int]:
        """See `completion.Beside`."""
        written = self._line_id, *self._seal(_response(status, request_id, _decode(body), cost_nano))
        self.is_written = True
        return written

    async def whole(self, status: int, headers: Headers, body: bytes, kind: bytes = b"") -> None:
        self.status, self.body = status, body
        self.request_id = next((value.decode() for name, value in headers if name == b"avow-request-id"), "")

    def begin(self, headers: Headers, kind: bytes = b"") -> None:
        raise TypeError("a line of a batch is answered whole")

    def pass_on(self, data: bytes) -> bool:
        return True

    async def flush(self) -> None:
        return

    def outlet(self) -> None:
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
        try:
            key = await self._directory.by_id(tenant_id, row.key_id, "inference")
        except NotAccepted:  # asked again until its person has accepted the policy, or it is due
            return await self._set(row, lease_until=self._clock.now() + PAUSE)
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
        """Have a line answered; False: later."""
        surface, body, name = surfaces.BY_PATH[row.path], _encode(asked["body"]), f"batch-{line.id.hex}".encode()

        def seal(response: dict[str, Any]) -> tuple[bytes, int]:
            fields = {"request": {"custom_id": asked["custom_id"]}, "response": response}
            return self._vault.seal(_ref(line), fields, line.ends_at), len(_encode(fields))

        await self._vault.prepare(line.subject_id, CONTENT, line.ends_at)
        reply, hours = _Collected(line.id, seal), _hours_left(row.ends_at, self._clock.now())
        ask = Ask("", body, hours, None, surface, None, name, key=key, beside=reply.beside)
        task = self._gateway.start(ask, reply).task
        assert task is not None
        await asyncio.shield(task)
        if reply.is_written:
            return True
        came = _judged(reply)
        if came.state == "failed" and came.response["body"]["error"]["code"] == "already_answered":
            came = await self._interrupted(key, name, row.path, asked["body"])
        if came.state == "later":
            return False
        box, size = await asyncio.to_thread(seal, came.response)
        mine = update(batch_line).where(batch_line.c.id == line.id, batch_line.c.state == "waiting")
        async with self._database.tenant(line.tenant_id) as c:
            await c.execute(mine.values(state=came.state, box=box, size=size))
        return True

    async def _interrupted(self, key: KeyRecord, name: bytes, path: str, body: dict[str, Any]) -> _Answer:
        """What is said of a line that was charged. Where somebody else had it answered, its answer stands there already and
        this is dropped; else a process died that had told the ledger how far its answer was."""
        known = self._gateway.claims.named(name, path, _encode(body), key.tenant_id, key.subject_id)
        paid = func.coalesce(charge.c.amount, claim.c.charged, 0).label("amount")
        told = select(claim.c.request_id, paid).select_from(claim.outerjoin(charge, charge.c.id == claim.c.request_id))
        async with self._database.tenant(key.tenant_id) as c:
            found = (await c.execute(told.where(claim.c.id == known.id))).one_or_none()
        if found is None:  # it has ended this moment
            return _Answer("later", {})
        error = _Interrupted(money.text(found.amount), str(body["model"]))
        shown = {"message": f"{error.sentence} {error.hint}", "type": "server_error", "code": error.code}
        return _Answer("failed", _response(error.status, found.request_id, {"error": shown}, found.amount))

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
    response = _response(reply.status, reply.request_id, body, 0)
    code = body["error"]["code"]
    if (reply.status in _LATER and code not in _NEVER) or code == "request_running":
        return _Answer("later", response)
    return _Answer("failed", response)


def _response(status: int, request_id: UUID | str, body: dict[str, Any], cost_nano: int) -> dict[str, Any]:
    cost = money.text(cost_nano)
    return {"status_code": status, "request_id": str(request_id), "body": body, "avow_cost": cost}


def _hours_left(ends_at: datetime | None, now: datetime) -> int | None:
    """How long what is kept of a line's request may be kept, so that it never outlives its batch; None: as planned."""
    return None if ends_at is None else max(0, (ends_at - now) // HOUR)


def _ref(row: Row[Any]) -> Ref:
    return Ref(row.tenant_id, batch_line.name, CONTENT, row.id, row.subject_id)
