"""Sums over many organisations: who is in them, and what the role that makes them can reach."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts.tables import person, tenant_kind
from avow.base import access
from avow.base.db import Database
from avow.base.ids import uuid7
from avow.billing import sums
from avow.billing.tables import usage, usage_sum
from avow.catalog import metadata
from avow.catalog.words import NotPersonal, Personal, Undeclared, declaration, fact_columns, personal, table
from avow.policy import Policy
from avow.privacy import purpose_rules
from avow.vault import fact, standing
from tests.conftest import Databases
from tests.policy.test_profiles import load

NOW = datetime(2026, 5, 10, 3, tzinfo=UTC)
DAY = timedelta(days=1)
INFINER = load("infiner")


@pytest.fixture
async def analyst(database: Databases) -> Any:
    made = Database(database.dsn(access.ANALYST), pool_size=1)
    yield made
    await made.close()


async def call(c: AsyncConnection, policy: Policy, count: int, at: datetime, **more: Any) -> list[UUID]:
    """One call each of `count` new organisations of one person."""
    people = [uuid7() for _ in range(count)]
    await c.execute(insert(tenant_kind), [{"tenant_id": each, "kind": "customer"} for each in people])
    used = {"model": "m", "latency_ms": 20, "status": 200, "why": "done", **more}
    used |= {"input_tokens": 5, "cached_tokens": 0, "output_tokens": 2}
    rows = [fact.begin(policy, "usage", each, each, at) | used | {"key_id": uuid7()} for each in people]
    await c.execute(insert(usage), rows)
    return people


async def made(database: Databases, analyst: Database, policy: Policy = INFINER, at: datetime = NOW) -> list[Any]:
    await sums.make(analyst, policy, at)
    async with database.keeper.begin() as c:
        return list(await c.execute(select(usage_sum).order_by(usage_sum.c.purpose, usage_sum.c.day)))


async def test_a_day_is_summed_over_ten_organisations_and_no_fewer(database: Databases, analyst: Database) -> None:
    async with database.keeper.begin() as c:
        await purpose_rules.learn(c, INFINER)
        await call(c, INFINER, 10, NOW - DAY)
        await call(c, INFINER, 9, NOW - DAY, model="few")
        await call(c, INFINER, 10, NOW, model="not over yet")
        await call(c, INFINER, 10, NOW - 8 * DAY, model="too long ago")
    for _ in range(2):
        rows = await made(database, analyst)
        assert [(row.purpose, row.day, row.model, row.why, row.organisations) for row in rows] == [
            (purpose, (NOW - DAY).date(), "m", "done", 10) for purpose in ("analytics", "improve")
        ]
        assert {(row.calls, row.input_tokens, row.output_tokens, row.latency_ms) for row in rows} == {(10, 50, 20, 200)}


async def say(c: AsyncConnection, who: UUID, kind: standing.Kind, purpose: str = "", *, value: bool = True) -> None:
    await standing.record(c, INFINER, who, who, kind, value=value, at=NOW, purpose=purpose)


async def object_to_one(c: AsyncConnection, who: UUID) -> None:
    await say(c, who, "objection", "improve")


async def restrict(c: AsyncConnection, who: UUID) -> None:
    await say(c, who, "restriction")


async def end(c: AsyncConnection, who: UUID) -> None:
    await c.execute(update(usage).where(usage.c.subject_id == who).values(ends_at=NOW))


async def make_internal(c: AsyncConnection, who: UUID) -> None:
    await c.execute(update(tenant_kind).where(tenant_kind.c.tenant_id == who).values(kind="internal"))


async def erase(c: AsyncConnection, who: UUID) -> None:
    await c.execute(usage.delete().where(usage.c.subject_id == who))


@pytest.mark.parametrize(
    ("act", "left"),
    [(object_to_one, ["analytics"]), (restrict, []), (end, []), (make_internal, []), (erase, [])],
)
async def test_who_is_left_out_leaves_the_sums_of_last_week_too(
    database: Databases, analyst: Database, act: Callable[..., Any], left: list[str]
) -> None:
    async with database.keeper.begin() as c:
        await purpose_rules.learn(c, INFINER)
        people = await call(c, INFINER, 10, NOW - 2 * DAY)
    assert [row.purpose for row in await made(database, analyst)] == ["analytics", "improve"]
    async with database.keeper.begin() as c:
        await act(c, people[0])
    assert [row.purpose for row in await made(database, analyst)] == left


async def test_what_was_taken_back_counts_again_and_consent_is_asked_where_use_rests_on_it(
    database: Databases, analyst: Database
) -> None:
    async with database.keeper.begin() as c:
        await purpose_rules.learn(c, INFINER)
        people = await call(c, INFINER, 10, NOW - DAY)
        for value in (True, False):
            await say(c, people[0], "objection", "improve", value=value)
            await say(c, people[0], "restriction", value=value)
    assert len(await made(database, analyst)) == 2
    async with database.keeper.begin() as c:
        await c.execute(text("UPDATE purpose_rule SET consent = true WHERE category = 'usage'"))
    assert await made(database, analyst) == []
    async with database.keeper.begin() as c:
        for who in people:
            await say(c, who, "consent", "improve")
    assert [row.purpose for row in await made(database, analyst)] == ["improve"]


async def in_organisation(c: AsyncConnection, tenant: UUID, role: str = "member") -> UUID:
    """A person in an organisation, whose usage is its own."""
    row = fact.begin(INFINER, "account", tenant, uuid7(), NOW)
    made = row["subject_id"]
    row |= {"id": made, "email_index": made.bytes, "role": role, "box": b""}
    await c.execute(insert(person), row)
    return made


@pytest.mark.parametrize(
    ("kind", "purpose", "left"), [("objection", "improve", ["analytics"]), ("restriction", "", [])]
)
async def test_usage_of_an_organisation_is_left_out_where_one_of_its_people_said_no(
    database: Databases, analyst: Database, kind: standing.Kind, purpose: str, left: list[str]
) -> None:
    async with database.keeper.begin() as c:
        await purpose_rules.learn(c, INFINER)
        organisations = await call(c, INFINER, 10, NOW - DAY)
        who = await in_organisation(c, organisations[0])
    assert [row.purpose for row in await made(database, analyst)] == ["analytics", "improve"]
    async with database.keeper.begin() as c:
        await standing.record(c, INFINER, organisations[0], who, kind, value=True, at=NOW, purpose=purpose)
    assert [row.purpose for row in await made(database, analyst)] == left


async def test_usage_of_an_organisation_that_rests_on_consent_needs_that_of_everybody_in_it(
    database: Databases, analyst: Database
) -> None:
    async with database.keeper.begin() as c:
        await purpose_rules.learn(c, INFINER)
        await c.execute(text("UPDATE purpose_rule SET consent = true WHERE category = 'usage'"))
        organisations = await call(c, INFINER, 10, NOW - DAY)
        people = [(each, await in_organisation(c, each)) for each in (*organisations, organisations[0])]
        await in_organisation(c, organisations[0], "former")
    for count, found in ((10, []), (11, ["improve"])):
        async with database.keeper.begin() as c:
            for tenant, who in people[count - 1 if count == 11 else 0 : count]:
                await standing.record(c, INFINER, tenant, who, "consent", value=True, at=NOW, purpose="improve")
        assert [row.purpose for row in await made(database, analyst)] == found


async def test_a_purpose_that_leaves_the_policy_takes_its_sums_along(database: Databases, analyst: Database) -> None:
    async with database.keeper.begin() as c:
        await purpose_rules.learn(c, INFINER)
        await call(c, INFINER, 10, NOW - DAY)
    assert len(await made(database, analyst)) == 2
    default = load("default")
    async with database.keeper.begin() as c:
        await purpose_rules.learn(c, default)
        assert await purpose_rules.held(c) == purpose_rules.of(default)
    async with analyst.begin() as c:
        await c.execute(text("SELECT set_config('app.at', :at, true)"), {"at": NOW.isoformat()})
        assert (await c.execute(text("SELECT * FROM for_improve.usage_by_day"))).all() == []
    assert await made(database, analyst, default) == []


async def test_the_role_can_read_nothing_about_anybody(database: Databases, analyst: Database) -> None:
    views = [f"for_{purpose}.{name}" for purpose in ("improve", "develop") for name in ("usage", "standing")]
    others = [each.name for each in metadata.sorted_tables if each.name != "usage_sum"]
    assert {each.name for each in metadata.sorted_tables if isinstance(declaration(each).holds[0], Personal)} < {
        *others
    }
    for place in (*others, *views, "jobs.pgqueuer", "alembic_version"):
        for query in (f"SELECT * FROM {place} LIMIT 1", *([] if place in views else [f"DELETE FROM {place}"])):
            with pytest.raises(DBAPIError, match="permission denied"):
                async with analyst.begin() as c:
                    await c.execute(text(query))
    for query in (
        "CREATE TABLE public.kept (x int)",
        "SET ROLE avow_owner",
        "SELECT * FROM person_by_email('', now())",
        "COPY usage_sum TO PROGRAM 'cat'",
    ):
        with pytest.raises(DBAPIError):
            async with analyst.begin() as c:
                await c.execute(text(query))
    # Without a moment there is no answer, so no row that has ended is counted by mistake.
    with pytest.raises(DBAPIError, match=r"app\.at"):
        async with analyst.begin() as c:
            await c.execute(text("SELECT * FROM for_improve.usage_by_day"))


async def test_a_sum_over_fewer_is_refused_by_the_table_itself(analyst: Database) -> None:
    row = {"purpose": "improve", "day": NOW.date(), "model": "m", "why": "done", "organisations": 9}
    with pytest.raises(DBAPIError, match="ck_usage_sum_group"):
        async with analyst.begin() as c:
            counts = dict.fromkeys(("calls", "input_tokens", "output_tokens", "latency_ms"), 1)
            await c.execute(insert(usage_sum).values(**row, **counts))


def test_no_table_about_people_can_be_given_to_the_role() -> None:
    assert isinstance(declaration(usage_sum).holds[0], NotPersonal)
    with pytest.raises(Undeclared, match="view of sums"):
        table(
            "scratch_given_away",
            *fact_columns(),
            holds=[personal("usage", clear=["subject_id"], why="a test")],
            analyst="read",
        )
