"""Prices of images by their size and quality: said, signed, held at their highest, charged as what was made."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import click
import pytest
from sqlalchemy import func, select, text, update

from avow import offering
from avow.base.ids import uuid7
from avow.billing.prices import PER, Price, Seal
from avow.billing.tables import price
from avow.gateway import extents, offers, tables
from avow.gateway.offers import Offer
from avow.gateway.refusals import InvalidRequest
from avow.gateway.scripted import Script

from .test_media import IMAGE, PAINTS

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SIZES = {",": 4, "1024x1024,": 2, "1024x1792,hd": 12, ",low": 1}


@pytest.mark.parametrize(
    ("asked", "told", "held", "charged", "estimated"),
    [
        ({"size": "1024x1024", "quality": "high"}, {}, 2, 2, False),
        ({"size": "1024x1792", "quality": "hd"}, {}, 12, 12, False),
        ({"size": "1024x1792", "quality": "standard"}, {}, 4, 4, False),
        ({"size": "512x512", "quality": "low"}, {}, 1, 1, False),
        ({"size": "1024x1792"}, {"quality": "hd"}, 12, 12, False),
        ({"size": "1024x1792"}, {"quality": "low"}, 12, 1, False),
        ({"size": "auto", "quality": "auto"}, {"size": "1024x1024", "quality": "medium"}, 12, 2, False),
        ({}, {}, 12, 1, True),
        ({"size": "1024x1024", "quality": "high"}, {"size": "1024x1792", "quality": "hd"}, 2, 2, False),
        ({"quality": "low"}, {"size": 7, "quality": ["x"]}, 2, 2, True),
        ({"size": "1024x1792"}, {}, 12, 12, True),
        ({"size": None, "quality": "auto"}, {}, 12, 1, True),
    ],
)
async def test_images_of_several_sizes_have_several_prices(house, asked, told, held, charged, estimated):
    """Held is the most that the request can cost; charged is what the upstream says that it made, never above the hold."""
    await house.offer(PAINTS, counts="images", image_nano=IMAGE * PER, sizes=SIZES)
    ann = await house.customer()
    house.upstream.script = Script(images_fields=told)
    await house.post(ann, {"model": PAINTS, "prompt": "A boat.", "n": 2, **asked}, path="/v1/images/generations")
    row = await house.settled(ann)
    assert (row.held, row.amount, row.estimated) == (2 * held * IMAGE, 2 * charged * IMAGE, estimated)
    async with house.databases.keeper.begin() as c:
        assert (await c.execute(text("SELECT * FROM ledger_violations(:at)"), {"at": house.clock.now()})).all() == []


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *[
            ("size", each)
            for each in (" 1792x1024", "1792x1024 ", "01792x1024", "+1792x1024", "1792X1024", "", 7, ["x"])
        ],
        *[("quality", each) for each in (" hd", "HD", "best", ["hd"], {})],
    ],
)
def test_what_is_not_known_for_a_size_is_refused_where_sizes_have_prices(name, given):
    """An upstream may understand it: it would be held for as anything, and charged as the least."""
    sized, plain = (
        Price(uuid7(), PAINTS, "USD", 0, 0, 0, NOW, counts="images", image_nano=1, sizes=sizes)
        for sizes in (SIZES, None)
    )
    with pytest.raises(InvalidRequest) as refused:
        extents.check(sized, {name: given})
    assert (refused.value.code, refused.value.param) == ("unknown_image_kind", name)
    extents.check(plain, {name: given})


async def test_a_size_that_is_not_known_costs_nothing(house):
    await house.offer(PAINTS, counts="images", image_nano=IMAGE * PER, sizes=SIZES)
    ann = await house.customer()
    asked = {"model": PAINTS, "prompt": "x", "size": "01792x1024"}
    answer = await house.post(ann, asked, path="/v1/images/generations")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unknown_image_kind")
    assert house.upstream.requests == [] and await house.usages(ann) == []


async def test_sizes_that_were_not_signed_are_no_price(house):
    await house.offer(PAINTS, counts="images", image_nano=IMAGE * PER, sizes=SIZES)
    cheaper = update(price).where(price.c.model == PAINTS).values(sizes={",": 0})
    await house.execute(cheaper)
    await house.bump_epoch()
    await house.gateway.rules.renew(house.gateway.rules.current.epoch + 1)
    ann = await house.customer()
    answer = await house.post(ann, {"model": PAINTS, "prompt": "x"}, path="/v1/images/generations")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_has_no_price")


async def test_a_model_keeps_what_an_offer_does_not_name(house):
    """Its prices by size, and how many tokens a picture makes, when it gets one more route."""
    offer = Offer(PAINTS, "inside", "x", 8192, 100, 0, 0, counts="images", image_nano=7 * PER, sizes={",": 2, "a,": 3})
    seal, now = Seal.of(house.vault.ring), house.clock.now()
    rows = select(func.count()).select_from(price).where(price.c.model == PAINTS)
    tokens = select(tables.model.c.picture_tokens).where(tables.model.c.id == PAINTS)
    async with house.databases.keeper.begin() as c:
        for change, count, shown in (
            ({"picture_tokens": 9}, 1, 9),
            ({}, 1, 9),
            ({"sizes": None}, 1, 9),
            ({"upstream": "outside", "picture_tokens": 0}, 1, None),
        ):
            await offers.put_model(c, replace(offer, **change), now, seal)
            assert (await c.scalar(rows), await c.scalar(tokens)) == (count, shown)
        await offers.put_model(c, replace(offer, sizes={",": 2, "a,": 4}), now + timedelta(seconds=1), seal)
        assert await c.scalar(rows) == 2


@pytest.mark.parametrize(
    ("rows", "unit", "units"),
    [
        (("1024x1792,HD=0.12", "1024x1792,=0.08"), 40_000_000, {",": 1, "1024x1792,hd": 3, "1024x1792,": 2}),
        ((",low=0.011",), 1_000_000, {",": 40, ",low": 11}),
        ((",low=0",), 40_000_000, {",": 1, ",low": 0}),
    ],
)
def test_what_an_operator_says_becomes_one_price_and_how_many_times_it(rows, unit, units):
    assert offering._sizes("0.04", rows) == {"image_nano": unit * PER, "sizes": units}
    assert offering._sizes("0.04", ()) == {}


@pytest.mark.parametrize("row", ["", "0.04", "a=1", ",=1", "a,b,c=1", "a,b", "a,b=x", "a b,=1", "auto,=1", "a,=-1"])
def test_what_is_no_price_of_a_size_is_refused(row):
    with pytest.raises(click.ClickException):
        offering._sizes("0.04", (row,))


def test_prices_of_sizes_go_with_one_for_all_others_and_are_bounded():
    for per_image, rows in ((None, (",low=1",)), ("1", tuple(f"{n}x{n},=1" for n in range(offering.SIZES_MAX)))):
        with pytest.raises(click.ClickException):
            offering._sizes(per_image, rows)
