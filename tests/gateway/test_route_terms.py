"""A model's route that is changed while the gateway runs: where the next request goes, and what is refused."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select

from avow.base.actor import PLATFORM
from avow.base.errors import BadInput, NotFound
from avow.base.money import NANO
from avow.billing.tables import price
from avow.gateway import route_terms, tables
from avow.gateway.route_terms import COST_MAX, NUMBER_MAX, Change, RouteMoved

from .test_routes import ASK, NAME, route, routed

__all__ = ["routed"]
HIGHEST = Change(their_name="x" * 200, rank=NUMBER_MAX, weight=NUMBER_MAX, cost=str(COST_MAX // NANO))


async def amend(house, upstream="u0", revision=None, **wanted):
    """Change a route as the role of the product, which may read it and nothing else."""
    async with house.databases.app.tenant(PLATFORM) as c:
        return await route_terms.change(c, NAME, upstream, Change(**wanted), revision)


async def kept(house, upstream="u0"):
    async with house.databases.keeper.begin() as c:
        known = select(tables.route).join(tables.upstream).where(tables.upstream.c.name == upstream)
        return (await c.execute(known.where(tables.route.c.model_id == NAME))).one()


async def test_the_next_request_goes_by_the_new_rank_and_name_and_costs_what_it_did(routed):
    house, first, second = routed
    ann = await house.customer()
    versions = select(func.count()).select_from(price)
    async with house.databases.keeper.begin() as c:
        before = await c.scalar(versions)
    assert (await house.post(ann, ASK)).status_code == 200
    made = await amend(house, rank=2)
    assert (made.before, made.after) == ({"rank": 0}, {"rank": 2})
    assert (await house.post(ann, ASK)).status_code == 200
    assert (len(first.requests), len(second.requests)) == (1, 1)
    await amend(house, rank=0, their_name="other")
    assert (await house.post(ann, ASK)).status_code == 200
    assert [each["model"] for each in first.requests] == ["theirs", "other"]
    assert {row.amount for row in await house.usages(ann)} - {0} == {20_000}, "the price is not touched"
    async with house.databases.keeper.begin() as c:
        assert await c.scalar(versions) == before


async def test_of_one_rank_the_cost_decides_where_the_model_says_so(routed):
    house, first, second = routed
    ann = await house.customer()
    async with house.databases.keeper.begin() as c:
        await c.execute(tables.model.update().where(tables.model.c.id == NAME).values(routing="price"))
    await amend(house, "u1", rank=0, cost="0.15")
    await amend(house, cost="0.2")
    assert (await house.post(ann, ASK)).status_code == 200
    assert (len(first.requests), len(second.requests)) == (0, 1)
    row = await kept(house)
    assert (row.cost_nano, row.weight, row.their_name) == (200_000_000, 1, "theirs"), "what is not named stays"


async def test_a_change_to_what_somebody_else_has_changed_is_not_made(routed):
    house, *_ = routed
    seen = (await kept(house)).revision
    await amend(house, weight=3, revision=seen)
    with pytest.raises(RouteMoved):
        await amend(house, weight=4, revision=seen)
    both = await asyncio.gather(*(amend(house, weight=each) for each in (5, 6)), return_exceptions=True)
    done = [each for each in both if not isinstance(each, Exception)]
    assert len(done) + sum(isinstance(each, RouteMoved) for each in both) == 2
    assert (await kept(house)).revision == seen + 1 + len(done)


async def test_a_model_that_is_said_anew_is_another_revision(routed):
    house, first, _ = routed
    seen = (await kept(house)).revision
    await route(house, "u0", first, 4)
    with pytest.raises(RouteMoved):
        await amend(house, rank=1, revision=seen)
    assert ((await kept(house)).rank, (await kept(house)).revision) == (4, seen + 1)


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({"rank": -1}, "rank"),
        ({"rank": NUMBER_MAX + 1}, "rank"),
        ({"weight": 0}, "weight"),
        ({"weight": NUMBER_MAX + 1}, "weight"),
        ({"cost": "-0.1"}, "cost"),
        ({"cost": "4000000000.000000001"}, "cost"),
        ({"cost": "0.0000000001"}, "cost"),
        ({"cost": "much"}, "cost"),
        ({"cost": "NaN"}, "cost"),
        ({"cost": "1e999999"}, "cost"),
        ({"their_name": ""}, "their_name"),
        ({"their_name": "x" * 201}, "their_name"),
    ],
)
async def test_what_no_route_can_be_chosen_by_is_refused_by_its_name(routed, wanted, param):
    house, *_ = routed
    with pytest.raises(BadInput) as refused:
        await amend(house, **wanted)
    assert refused.value.param == param
    assert (await kept(house)).revision == 1


async def test_the_highest_of_all_is_kept_and_answers(routed):
    house, *_ = routed
    ann = await house.customer()
    async with house.databases.app.tenant(PLATFORM) as c:
        await route_terms.change(c, NAME, "u0", HIGHEST)
    assert (await house.post(ann, ASK)).status_code == 200


async def test_a_model_has_no_route_to_where_it_does_not_run(routed):
    house, *_ = routed
    for name in ("inside", "nobody"):
        with pytest.raises(NotFound):
            await amend(house, name, rank=1)
