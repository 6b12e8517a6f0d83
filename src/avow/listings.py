"""The commands that list or find: people by their address, a person's keys, upstreams, and models. Nothing is opened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from avow import commands, printing
from avow.base.actor import COMMAND
from avow.base.errors import NotFound
from avow.limiting import said
from avow.terminal import PAGE_MAX, at_desk, run

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from avow.billing.prices import Price
    from avow.desk import Desk

Row = Mapping[str, Any]
Query = Callable[["Desk", "AsyncConnection"], Awaitable[Sequence[Row]]]

_limit = click.option("--limit", type=click.IntRange(1, PAGE_MAX), default=100, show_default=True, help="Rows at most.")


@click.command("find")
@click.argument("email")
@click.pass_context
def find_subject(context: click.Context, email: str) -> None:
    """Find a person by their address; that you looked is on their record."""
    from sqlalchemy import select

    from avow.accounts import people
    from avow.accounts.tables import person
    from avow.vault import Act

    async def work() -> Row:
        async with at_desk(context) as at:
            found = await people.find(at.accounts, email)
            if found is None:
                hint = "Check the address; who closed their account or was erased is not found any more."
                raise NotFound("There is nobody with this address.", hint=hint)
            async with at.keeper.begin() as c:
                reason = commands.why(context)
                act = Act(COMMAND, "find by address", found.tenant_id, found.subject_id, "account", "legal", reason)
                await at.vault.record_act(c, act)
                role = await c.scalar(select(person.c.role).where(person.c.id == found.subject_id))
            confirmed = found.confirmed_at is not None
            return {"id": found.subject_id, "tenant_id": found.tenant_id, "confirmed": confirmed, "role": role}

    printing.show(run(work()))


@click.command("report")
@click.argument("purpose")
@click.pass_context
def report(context: click.Context, purpose: str) -> None:
    """Show the sums over many organisations that may serve PURPOSE: improve, analytics, research or develop.

    A purpose that the policy does not list for the record of use is refused, and that you asked is on the record.
    """
    from avow.billing import sums

    async def work() -> Sequence[Row]:
        async with at_desk(context) as at:
            return await sums.read(at.keeper, at.vault, COMMAND, purpose)

    printing.rows(run(work()), None)


@click.command("list")
@click.argument("id", type=click.UUID)
@click.option("--after", type=click.UUID, help="Begin behind the key of this id.")
@_limit
@click.pass_context
def list_keys(context: click.Context, id: UUID, after: UUID | None, limit: int) -> None:
    """List the API keys of a person, by id, with their limits, without their secrets and names."""
    from sqlalchemy import select

    from avow.accounts.limits import Limits
    from avow.accounts.tables import api_key

    columns = ("id", "public_id", "state", "project_id", "since", "expires_at", "last_used_at", "revoked_at", "models")
    limits = Limits.__struct_fields__

    async def query(_: Desk, c: AsyncConnection) -> Sequence[Row]:
        mine = select(*(api_key.c[name] for name in (*columns, *limits))).where(api_key.c.subject_id == id)
        mine = mine if after is None else mine.where(api_key.c.id > after)
        rows = (await c.execute(mine.order_by(api_key.c.id).limit(limit))).mappings()
        return [
            {**{name: row[name] for name in columns}, "limits": said({name: row[name] for name in limits})}
            for row in rows
        ]

    _list(context, query, "id", limit)


@click.command("list")
@click.option("--after", help="Begin behind the upstream of this name.")
@_limit
@click.pass_context
def list_upstreams(context: click.Context, after: str | None, limit: int) -> None:
    """List the providers, with what is declared of each; their credentials stay sealed."""
    from avow.gateway import offered

    async def query(_: Desk, c: AsyncConnection) -> Sequence[Row]:
        return [dict(row._mapping) for row in await offered.upstreams(c, after, limit)]

    _list(context, query, "name", limit)


@click.command("list")
@click.option("--after", help="Begin behind the model of this id.")
@_limit
@click.pass_context
def list_models(context: click.Context, after: str | None, limit: int) -> None:
    """List the models, with their price of a million tokens and the upstreams where they run."""
    from avow.billing.prices import Seal
    from avow.gateway import offered

    async def query(at: Desk, c: AsyncConnection) -> Sequence[Row]:
        found = await offered.models(c, Seal.of(at.vault.ring), at.parts.clock.now(), after, limit)
        return [{**each.row._mapping, **_price(each.price), "routes": _routes(each.routes)} for each in found]

    _list(context, query, "id", limit)


def _routes(routes: Sequence[Any]) -> list[Row]:
    from avow.base import money

    return [
        {
            "upstream": row.upstream,
            "theirs": row.their_name,
            "rank": row.rank,
            "weight": row.weight,
            "cost": money.text(row.cost_nano),
        }
        for row in routes
    ]


def _price(price: Price | None) -> Row:
    from avow.base import money

    if price is None:
        return {"input": None, "output": None}
    return {"input": money.text(price.input_nano), "output": money.text(price.output_nano)}


def _list(context: click.Context, query: Query, name: str, limit: int) -> None:
    async def work() -> Sequence[Row]:
        async with at_desk(context) as at, at.keeper.begin() as c:
            return await query(at, c)

    rows = run(work())
    printing.rows(rows, str(rows[-1][name]) if len(rows) == limit else None)
