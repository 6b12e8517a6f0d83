"""What filters decided, on record by filter, kind and count, never with a text; whom it is about has it looked at by a person."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import bindparam, exists, insert, or_, select, update

from avow.accounts.directory import KeyRecord
from avow.accounts.needs import Needs
from avow.accounts.people import own
from avow.accounts.tables import person
from avow.base import log
from avow.base.actor import Actor
from avow.base.db import Database
from avow.base.errors import AvowError, NotFound
from avow.base.ids import uuid7
from avow.gateway.filters import Action, Hit, Stage
from avow.gateway.tables import filter_decision
from avow.policy import Never, Plan
from avow.privacy import requests

CATEGORY = "moderation"
WORDS_CHARS_MAX = 3500


_COLUMNS = tuple(filter_decision.c)
_OF_SOMEBODY = insert(filter_decision).from_select(
    [column.name for column in _COLUMNS],
    select(*(bindparam(column.name, type_=column.type) for column in _COLUMNS)).where(
        exists().where(person.c.id == bindparam("subject_id", type_=person.c.id.type))
    ),
)
"""A request may outlive its person: of whom was erased meanwhile nothing is written any more."""


class AlreadyAppealed(AvowError):
    """This decision is being looked at already."""

    status = 409
    code = "already_appealed"
    hint = "GET /api/privacy/requests shows the complaint, the date by which it is answered, and the answer."


class Decision(msgspec.Struct):
    """What a filter did with one request of one's own. `score`: how many pieces it found; see `Hit`."""

    id: UUID
    at: datetime
    request_id: UUID
    filter: str
    stage: Stage
    kind: str
    action: Action
    score: int
    state: Literal["stands", "appealed"]
    expires_at: datetime | None


class Appeal(msgspec.Struct):
    """The complaint that an appeal makes, and by when it is answered."""

    request_id: UUID
    due_at: datetime


class Found(Protocol):
    """Where filters found something: an order, or a file that was sent."""

    @property
    def request_id(self) -> UUID: ...

    @property
    def key(self) -> KeyRecord: ...

    @property
    def plan(self) -> Plan: ...

    @property
    def at(self) -> datetime: ...


class Upload(NamedTuple):
    """A file that was sent and searched."""

    request_id: UUID
    key: KeyRecord
    plan: Plan
    at: datetime


class Decisions:
    """Where the gateway writes decisions down, as role `avow_app`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, order: Found, hits: Iterable[Hit]) -> None:
        """Write down what filters found in a request, or a file. Nothing that happens here stops the request."""
        ends_at = order.plan.end(CATEGORY, order.at)
        if isinstance(ends_at, Never):
            return
        fact = {"tenant_id": order.key.tenant_id, "subject_id": order.key.subject_id, "since": order.at}
        fact |= {"ends_at": ends_at, "policy_version": order.plan.policy_version}
        rows = [
            {"id": uuid7(), "request_id": order.request_id, "state": "stands", **fact, **hit._asdict()} for hit in hits
        ]
        try:
            async with self._database.tenant(order.key.tenant_id) as c:
                await c.execute(_OF_SOMEBODY, rows)
        except Exception as wrong:  # money is held: the request goes on
            structlog.get_logger().error("decision_not_written", **log.failure(wrong))


async def listed(needs: Needs, who: Actor, after: UUID | None, limit: int) -> list[Decision]:
    """Decisions about one's own requests, newest first, at most `limit` of them older than the decision `after`."""
    tenant_id, subject_id = own(who)
    table, now = filter_decision.c, needs.clock.now()
    query = select(filter_decision).where(
        table.subject_id == subject_id, or_(table.ends_at.is_(None), table.ends_at > now)
    )
    if after is not None:
        query = query.where(table.id < after)
    async with needs.database.tenant(tenant_id) as c:
        rows = (await c.execute(query.order_by(table.id.desc()).limit(limit))).all()
    return [_decision(row) for row in rows]


async def appeal(needs: Needs, who: Actor, decision_id: UUID, words: str) -> Appeal:
    """Have a decision about one's own request looked at by a person: a complaint with its date of answer.

    Raises NotFound, AlreadyAppealed, and what `requests.take` raises.
    """
    tenant_id, subject_id = own(who)
    table, now = filter_decision.c, needs.clock.now()
    mine = (table.id == decision_id, table.subject_id == subject_id, or_(table.ends_at.is_(None), table.ends_at > now))
    async with needs.database.tenant(tenant_id) as c:
        row = (await c.execute(select(filter_decision).where(*mine).with_for_update())).one_or_none()
        if row is None:
            raise NotFound
        if row.state == "appealed":
            raise AlreadyAppealed
        await c.execute(update(filter_decision).where(*mine).values(state="appealed"))
        about = f"Filter {row.filter} ({row.stage}, {row.kind}, {row.action}) of request {row.request_id}."
        text = f"{about} {words}".strip()
        taken = await requests.take(c, needs.vault, tenant_id, subject_id, "complain", now, text)
    return Appeal(taken.id, taken.due_at)


def _decision(row: Any) -> Decision:
    names = {
        name: getattr(row, name) for name in ("id", "request_id", "filter", "stage", "kind", "action", "score", "state")
    }
    return Decision(at=row.since, expires_at=row.ends_at, **names)
