"""What people see of their money: the wallet of their tenant, and what their own requests used. Money is a decimal string."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter
from sqlalchemy import ColumnElement, Date, Select, Table, and_, cast, func, literal, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts.needs import Needs
from avow.accounts.ownership import readable
from avow.accounts.people import own
from avow.accounts.tables import api_key
from avow.base import money
from avow.base.actor import Actor
from avow.base.errors import BadInput, NotFound
from avow.billing.tables import charge, key_use, ledger_entry, usage, wallet

PAGE_MAX = 100
DAYS_DEFAULT = 31
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Who = NamedDependency[Actor]
Accounts = NamedDependency[Needs]
After = Annotated[UUID | None, QueryParameter(description="The id where the page before ended.")]
Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)]
Since = Annotated[datetime | None, QueryParameter(description="Sum from this time on, with its zone.")]


class Line(msgspec.Struct):
    """A change of the balance: a credit, or a request's charge, or a month of charges that have ended."""

    id: UUID
    at: datetime
    kind: Literal["charge", "promotion", "payment", "correction", "fold"]
    amount: str


class Wallet(msgspec.Struct):
    """The tenant's money in `currency`: the balance, what running requests hold of it, and what is free for new ones.

    `ledger` shows the tenant's credits and the caller's own charges, newest first.
    """

    id: UUID
    currency: str
    balance: str
    held: str
    available: str
    state: str
    ledger: list[Line]
    after: UUID | None


class Used(msgspec.Struct):
    """One request of the caller's; `estimated`: no upstream told what it used. `cost` is null once the charge has ended and
    was folded."""

    id: UUID
    at: datetime
    ends_at: datetime | None
    model: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    latency_ms: int
    status: int
    why: str
    estimated: bool
    cost: str | None


class Sum(msgspec.Struct):
    """A day (UTC) of one model."""

    day: date
    model: str
    requests: int
    input_tokens: int
    output_tokens: int
    cost: str


class KeyUse(msgspec.Struct):
    """What a key has used, running requests with the most that they may; `held` is that part of the money.

    It is counted from the key's first request under a limit; all zero before.
    """

    requests: int
    tokens: int
    day: str
    month: str
    total: str
    held: str


class UsagePage(msgspec.Struct):
    """Requests, newest first, and the sums of the days asked for; `after` asks for the next page, null: there is none."""

    requests: list[Used]
    days: list[Sum]
    after: UUID | None


@get("/api/wallet")
async def read_wallet(who: Who, accounts: Accounts, after: After = None, limit: Limit = 50) -> Wallet:
    """The caller's wallet with a page of its ledger."""
    tenant_id, subject_id = own(who)
    async with accounts.database.tenant(tenant_id) as c:
        found = (await c.execute(select(wallet).order_by(wallet.c.currency))).first()
        if found is None:
            raise NotFound("This account has no wallet.")
        lines = await _ledger(c, found.id, subject_id, accounts.clock.now(), after, limit)
    return Wallet(
        found.id,
        found.currency,
        money.text(found.posted),
        money.text(found.held),
        money.text(found.posted + found.credit_limit - found.held),
        found.state,
        lines,
        lines[-1].id if len(lines) == limit else None,
    )


@get("/api/usage")
async def read_usage(
    who: Who,
    accounts: Accounts,
    after: After = None,
    limit: Limit = 50,
    since: Since = None,
) -> UsagePage:
    """A page of the caller's requests, and their sums by day and model over the last 31 days (or from `since`)."""
    tenant_id, subject_id = own(who)
    now = accounts.clock.now()
    since = since or now - timedelta(days=DAYS_DEFAULT)
    if since.tzinfo is None:
        raise BadInput("A time needs its zone, for example 2026-11-22T12:00:00Z.", param="since")
    if not EPOCH <= since.replace(tzinfo=UTC) <= now + timedelta(days=2):
        raise BadInput("The time lies before 1970 or in the future.", param="since")
    async with accounts.database.tenant(tenant_id) as c:
        mine = readable(tenant_id, subject_id, usage.c.subject_id, usage.c.key_id)
        requests = [_used(r) for r in await c.execute(_requests(mine, now, after, limit))]
        days = [_sum(r) for r in await c.execute(_days(mine, now, since))]
    return UsagePage(requests, days, requests[-1].id if len(requests) == limit else None)


@get("/api/keys/{key_id:uuid}/use")
async def read_key_use(key_id: FromPath[UUID], who: Who, accounts: Accounts) -> KeyUse:
    """What one's own key has used within its limits, in the current minute, day and month (UTC)."""
    tenant_id, subject_id = own(who)
    mine = (api_key.c.id == key_id) & (api_key.c.subject_id == subject_id)
    query = select(key_use).select_from(api_key.outerjoin(key_use, key_use.c.id == api_key.c.id)).where(mine)
    async with accounts.database.tenant(tenant_id) as c:
        row = (await c.execute(query)).one_or_none()
    if row is None:
        raise NotFound("There is no such key of yours.")
    return KeyUse(0, 0, *map(money.text, (0, 0, 0, 0))) if row.id is None else _key_use(row, accounts.clock.now())


ROUTES = (read_wallet, read_usage, read_key_use)


async def _ledger(
    c: AsyncConnection, wallet_id: UUID, subject_id: UUID, now: datetime, after: UUID | None, limit: int
) -> list[Line]:
    credits = select(
        ledger_entry.c.txn_id.label("id"), ledger_entry.c.at, ledger_entry.c.kind, ledger_entry.c.amount
    ).where(ledger_entry.c.wallet_id == wallet_id, ledger_entry.c.account == "wallet")
    charges = select(
        charge.c.id, charge.c.since.label("at"), literal("charge").label("kind"), (-charge.c.amount).label("amount")
    ).where(
        *(charge.c.wallet_id == wallet_id, charge.c.subject_id == subject_id, _lives(charge, now)),
        charge.c.amount > 0,  # what cost nothing moved no money; the usage lists it
    )
    lines = union_all(credits, charges).subquery()
    page = select(lines).order_by(lines.c.at.desc(), lines.c.id.desc()).limit(limit)
    if after is not None:
        last = select(lines.c.at).where(lines.c.id == after).scalar_subquery()
        page = page.where(or_(lines.c.at < last, and_(lines.c.at == last, lines.c.id < after)))
    return [Line(r.id, r.at, r.kind, money.text(r.amount)) for r in await c.execute(page)]


def _requests(mine: ColumnElement[bool], now: datetime, after: UUID | None, limit: int) -> Select[Any]:
    """Newest first: request ids sort by time."""
    wanted = (
        select(usage, charge.c.amount)
        .outerjoin(charge, charge.c.id == usage.c.id)
        .where(mine, _lives(usage, now))
        .order_by(usage.c.id.desc())
        .limit(limit)
    )
    return wanted if after is None else wanted.where(usage.c.id < after)


def _days(mine: ColumnElement[bool], now: datetime, since: datetime) -> Select[Any]:
    day = cast(func.timezone("UTC", usage.c.since), Date).label("day")
    return (
        select(
            day,
            usage.c.model,
            func.count().label("requests"),
            func.sum(usage.c.input_tokens).label("input_tokens"),
            func.sum(usage.c.output_tokens).label("output_tokens"),
            func.coalesce(func.sum(charge.c.amount), 0).label("cost"),
        )
        .outerjoin(charge, charge.c.id == usage.c.id)
        .where(
            mine,
            _lives(usage, now),
            usage.c.since >= since,
        )
        .group_by(day, usage.c.model)
        .order_by(day.desc(), usage.c.model)
    )


def _lives(of: Table, now: datetime) -> ColumnElement[bool]:
    """What has ended is hidden, also before the sweep has been here."""
    return or_(of.c.ends_at.is_(None), of.c.ends_at > now)


def _used(row: Any) -> Used:
    cost = None if row.amount is None else money.text(row.amount)
    tokens = (row.input_tokens, row.cached_tokens, row.output_tokens)
    return Used(
        row.id, row.since, row.ends_at, row.model, *tokens, row.latency_ms, row.status, row.why, row.estimated, cost
    )


def _sum(row: Any) -> Sum:
    return Sum(row.day, row.model, row.requests, row.input_tokens, row.output_tokens, money.text(int(row.cost)))


def _key_use(row: Any, now: datetime) -> KeyUse:
    """Counters as of `now`: those of a window that has ended since are zero."""
    at, minute = (each.astimezone(UTC).timetuple()[:5] for each in (max(now, row.minute), row.minute))
    same_minute, same_day, same_month = (at[:n] == minute[:n] for n in (5, 3, 2))
    counts = (row.requests * same_minute, row.tokens * same_minute)
    sums = (row.day_nano * same_day, row.month_nano * same_month, row.total_nano, row.held_nano)
    return KeyUse(*counts, *map(money.text, sums))
