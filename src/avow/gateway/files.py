"""Files of requests, for batches: JSON lines, sealed in parts, with the end that the policy gives to content.

Only what something here reads is taken, so the one purpose is `batch`. Where nothing is kept of requests, or what is kept may not
be used for the service, no file is. A file belongs to whom the content of its key's requests belongs; nobody else finds it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, insert, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts.directory import KeyRecord
from avow.accounts.ownership import readable
from avow.base.clock import Clock
from avow.base.db import Database
from avow.base.errors import AvowError, NotFound
from avow.base.ids import uuid7
from avow.gateway.forms import Form
from avow.gateway.refusals import InvalidRequest, StoringForbidden, TooLarge
from avow.gateway.rules import CONTENT, Rules
from avow.gateway.tables import upload, upload_part
from avow.policy import Never, Question, decide
from avow.vault import Gone, Ref, Vault, standing

SERVICE = "service"
PREFIX = "file-"
FILES_MAX, BYTES_MAX = 100, 256 * 1024 * 1024
"""Of one organisation at once."""
LINES_MAX = 10_000
LINE_BYTES_MAX = 1024 * 1024
PART_CHARS = 256 * 1024
_SECONDS = re.compile(r"[0-9]{1,9}")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
"""As `judged` counts them: what else Unicode calls the end of a line ends none here."""


class FilesForbidden(StoringForbidden):
    """The policy keeps no content of your requests for this, so no file is taken (clause category.api_content)."""

    code = "files_forbidden"
    hint = "Nothing was charged. Send the requests one by one, or ask for a history where the policy offers one."


class TooManyFiles(AvowError):
    """Your organisation has as many files, or as many bytes of them, as it may have."""

    status = 409
    code = "too_many_files"
    hint = f"Delete some: at most {FILES_MAX} files and {BYTES_MAX // 1024**2} MB are kept at once."


class Kept(NamedTuple):
    """A file; `name` as it was given."""

    id: UUID
    at: datetime
    ends_at: datetime | None
    size: int
    name: str


class Whose(NamedTuple):
    """Who owns what is kept of a key's requests from `at` on, and until when."""

    tenant_id: UUID
    owner: UUID
    at: datetime
    ends_at: datetime | None
    policy_version: int

    def fact(self) -> dict[str, Any]:
        """The columns of a fact that is collected now."""
        ends = {"ends_at": self.ends_at, "policy_version": self.policy_version}
        return {"tenant_id": self.tenant_id, "subject_id": self.owner, "since": self.at, **ends}


class Files:
    """The files of one process's database; `database` speaks as role `avow_app`."""

    def __init__(self, database: Database, vault: Vault, clock: Clock) -> None:
        self.database, self.vault, self.clock = database, vault, clock

    async def whose(self, key: KeyRecord, rules: Rules, retention_h: int | None = None) -> Whose:
        """Whose a file of a key is. Raises FilesForbidden."""
        plan, now = rules.plan(key), self.clock.now()
        ends_at = plan.end(CONTENT, now, retention_h)
        owner = key.tenant_id if CONTENT in plan.of_tenant else key.subject_id
        if isinstance(ends_at, Never):
            raise FilesForbidden
        async with self.database.tenant(key.tenant_id) as c:
            held = (await standing.load(c, {owner}, now))[owner]
        if not decide(rules.policy, held, Question(CONTENT, SERVICE, key.actor.role, owner=True)):
            raise FilesForbidden
        return Whose(key.tenant_id, owner, now, ends_at, plan.policy_version)

    async def keep(self, key: KeyRecord, whose: Whose, form: Form) -> Kept:
        """Take the file of a form. Raises InvalidRequest, TooLarge and TooManyFiles."""
        said = await asyncio.to_thread(judged, form)
        whose = whose._replace(ends_at=_sooner(whose.ends_at, form, whose.at))
        made, size, name = uuid7(), len(said.encode()), form.files[0].name
        fact = whose.fact()
        await self.vault.prepare(whose.owner, CONTENT, whose.ends_at)
        rows = await asyncio.to_thread(lambda: list(self._parts(whose, fact, made, said)))
        box = self.vault.seal(self._ref(whose, upload.name, made), {"file": name}, whose.ends_at)
        async with self.database.tenant(whose.tenant_id) as c:
            await self._make_room(c, whose.tenant_id, size)
            await c.execute(insert(upload).values(id=made, key_id=key.key_id, size=size, box=box, **fact))
            await c.execute(insert(upload_part), rows)
        return Kept(made, whose.at, whose.ends_at, size, name)

    async def listed(self, key: KeyRecord, after: UUID | None, limit: int, *, newest_first: bool = True) -> list[Kept]:
        """One's files, at most `limit` of them behind the file `after`."""
        at = upload.c.id
        query = select(upload).where(self._mine(key, upload.c.key_id), self._alive(upload.c.ends_at))
        if after is not None:
            query = query.where(at < after if newest_first else at > after)
        async with self.database.tenant(key.tenant_id) as c:
            found = list(await c.execute(query.order_by(at.desc() if newest_first else at).limit(limit)))
            boxes = [(Ref(row.tenant_id, upload.name, CONTENT, row.id, row.subject_id), row.box) for row in found]
            opened = await self.vault.open_many(c, boxes, SERVICE, key.actor)
        pairs = zip(found, opened, strict=True)
        return [Kept(r.id, r.since, r.ends_at, r.size, str(box["file"])) for r, box in pairs if box is not Gone]

    async def find(self, key: KeyRecord, file_id: UUID) -> Kept:
        """One of one's files. Raises NotFound."""
        mine = self._mine(key, upload.c.key_id), self._alive(upload.c.ends_at)
        async with self.database.tenant(key.tenant_id) as c:
            row = (await c.execute(select(upload).where(upload.c.id == file_id, *mine))).one_or_none()
            if row is None:
                raise NotFound
            ref = Ref(row.tenant_id, upload.name, CONTENT, row.id, row.subject_id)
            opened = await self.vault.open(c, ref, row.box, SERVICE, key.actor)
        if opened is Gone:
            raise NotFound
        return Kept(row.id, row.since, row.ends_at, row.size, str(opened["file"]))

    async def texts(self, key: KeyRecord, file_id: UUID) -> AsyncIterator[str]:
        """What is in a file that `find` has found, part by part; whole lines each."""
        number, at = -1, upload_part.c
        while True:
            query = select(upload_part).where(at.upload_id == file_id, at.number > number).order_by(at.number).limit(4)
            async with self.database.tenant(key.tenant_id) as c:
                rows = list(await c.execute(query))
                boxes = [(Ref(r.tenant_id, upload_part.name, CONTENT, r.id, r.subject_id), r.box) for r in rows]
                opened = await self.vault.open_many(c, boxes, SERVICE, key.actor)
            if not rows:
                return
            number = rows[-1].number
            for box in opened:
                if box is Gone:
                    raise NotFound
                yield str(box["text"])

    async def end(self, key: KeyRecord, file_id: UUID) -> None:
        """Delete a file: row and bytes now, its key when its hour ends. Raises NotFound."""
        mine = delete(upload).where(upload.c.id == file_id, self._mine(key, upload.c.key_id))
        async with self.database.tenant(key.tenant_id) as c:
            if not (await c.execute(mine)).rowcount:
                raise NotFound
            await c.execute(delete(upload_part).where(upload_part.c.upload_id == file_id))

    def _parts(self, whose: Whose, fact: dict[str, Any], file_id: UUID, said: str) -> Iterator[dict[str, Any]]:
        for number, part in enumerate(_portions(said)):
            made = uuid7()
            box = self.vault.seal(self._ref(whose, upload_part.name, made), {"text": part}, whose.ends_at)
            yield {"id": made, "upload_id": file_id, "number": number, "box": box, **fact}

    async def _make_room(self, c: AsyncConnection, tenant_id: UUID, size: int) -> None:
        await c.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"files {tenant_id}"}
        )
        counted = select(func.count(), func.coalesce(func.sum(upload.c.size), 0)).where(self._alive(upload.c.ends_at))
        count, total = (await c.execute(counted.where(upload.c.tenant_id == tenant_id))).one()
        if count >= FILES_MAX or total + size > BYTES_MAX:
            raise TooManyFiles

    def _ref(self, whose: Whose, table: str, row_id: UUID) -> Ref:
        return Ref(whose.tenant_id, table, CONTENT, row_id, whose.owner)

    def _mine(self, key: KeyRecord, key_id: ColumnElement[UUID]) -> ColumnElement[bool]:
        return readable(key.tenant_id, key.subject_id, upload.c.subject_id, key_id)

    def _alive(self, ends_at: ColumnElement[datetime]) -> ColumnElement[bool]:
        return or_(ends_at.is_(None), ends_at > self.clock.now())


def judged(form: Form) -> str:
    """The text of a form's file. Raises InvalidRequest and TooLarge."""
    if form.fields.get("purpose") != "batch":
        raise InvalidRequest("Files are taken for batches only: `batch`.", param="purpose")
    if len(form.files) != 1 or form.files[0].field != "file":
        raise InvalidRequest("This is one file.", param="file")
    try:
        said = form.files[0].data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequest("The file is not text in UTF-8.", param="file") from None
    if not said.strip() or "\0" in said:
        raise InvalidRequest("The file holds no lines of JSON.", param="file")
    # Counted before it is split: each line is an object, however short.
    if said.count("\n") > LINES_MAX or max(map(len, said.split("\n"))) > LINE_BYTES_MAX:
        raise TooLarge(f"A file has at most {LINES_MAX} lines, each of at most {LINE_BYTES_MAX} bytes.", param="file")
    return said


def _sooner(ends_at: datetime | None, form: Form, now: datetime) -> datetime | None:
    """The end that a client asks for, where it is sooner. Raises InvalidRequest."""
    wanted = form.fields.get("expires_after[seconds]")
    if wanted is None:
        return ends_at
    if not _SECONDS.fullmatch(str(wanted)) or form.fields.get("expires_after[anchor]") != "created_at":
        raise InvalidRequest("This is `created_at` and a whole number of seconds.", param="expires_after")
    asked = now + timedelta(seconds=int(wanted))
    return asked if ends_at is None else min(asked, ends_at)


def _portions(said: str) -> Iterator[str]:
    """The lines of a text in portions of about `PART_CHARS`."""
    waiting: list[str] = []
    size = 0
    for line in _LINE.finditer(said):
        waiting.append(line[0])
        size += len(line[0])
        if size >= PART_CHARS:
            yield "".join(waiting)
            waiting, size = [], 0
    if waiting:
        yield "".join(waiting)
