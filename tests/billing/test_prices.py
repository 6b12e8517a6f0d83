from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.base.ids import uuid7
from avow.billing import prices
from avow.billing.prices import ModelHasNoPrice, Price, Prices, Seal, Used
from tests.billing.conftest import NOW, PRICE, SEAL, Bank

nano = st.integers(0, 10**12)
maybe = st.none() | nano
tokens = st.integers(0, 10**7)
named = st.just(PRICE.id), st.just("m"), st.just("USD")
any_price = st.builds(Price, *named, nano, nano, nano, st.just(NOW), maybe, maybe, maybe, maybe)


@pytest.mark.parametrize(
    ("counts", "due"),
    [
        ((0, 0, 0), 0),
        ((1, 0, 0), 1),
        ((1_000_000, 0, 0), 150_000),
        ((1, 0, 1), 1),  # 0.15 + 0.6 of a nano-unit: rounded up once, not twice
        ((7, 0, 0), 2),  # 1.05
        ((1_000_000, 400_000, 0), 120_000),
        ((10, 99, 0), 1),  # a provider that reports more cached than sent
    ],
)
def test_a_request_is_rounded_up_once(counts: tuple[int, int, int], due: int) -> None:
    price = Price(PRICE.id, "m", "USD", 150_000, 75_000, 600_000, NOW)
    assert prices.cost(price, Used(*counts)) == due


@given(any_price, st.tuples(*[tokens] * 7))
def test_every_part_costs_its_own_price_or_that_of_what_it_is_part_of(price: Price, parts: tuple[int, ...]) -> None:
    plain, cached, written, said, thought, image, audio = parts
    used = Used(plain + cached + written, cached, said + thought, written, thought, image, audio)

    def rate(own: int | None, base: int) -> int:
        return base if own is None else own

    dearer = max(price.input_nano, price.output_nano)
    exact = Fraction(
        plain * price.input_nano
        + cached * price.cached_nano
        + written * rate(price.cache_write_nano, price.input_nano)
        + said * price.output_nano
        + thought * rate(price.reasoning_nano, price.output_nano)
        + image * rate(price.image_nano, dearer)
        + audio * rate(price.audio_nano, dearer),
        10**6,
    )
    assert prices.cost(price, used) == ceil(exact)


@given(any_price, st.tuples(*[tokens] * 4), st.tuples(*[tokens] * 7))
def test_no_request_within_the_bounds_costs_more_than_the_bound(
    price: Price, bounds: tuple[int, int, int, int], parts: tuple[int, ...]
) -> None:
    """Whatever parts a provider tells, also such as cannot be."""
    sent, cached, out, written, thought, image, audio = parts
    sent_max, out_max, image_max, audio_max = bounds
    used = Used(
        min(sent, sent_max), cached, min(out, out_max), written, thought, min(image, image_max), min(audio, audio_max)
    )
    assert 0 <= prices.cost(price, used) <= prices.upper(price, *bounds)


@given(any_price, tokens, st.integers(0, 10**15))
def test_the_affordable_output_is_the_largest_that_fits(price: Price, sent_max: int, amount: int) -> None:
    most = prices.output_tokens_affordable(price, sent_max, amount)
    if most is None:
        assert prices.upper(price, sent_max, 10**9) <= amount
    elif most < 0:
        assert prices.upper(price, sent_max, 0) > amount
    else:
        assert prices.upper(price, sent_max, most) <= amount < prices.upper(price, sent_max, most + 1)


def test_a_model_without_a_price_in_force_is_refused() -> None:
    book = Prices([PRICE])
    with pytest.raises(ModelHasNoPrice) as refused:
        book.of("other", NOW)
    assert (refused.value.status, refused.value.param) == (503, "model")
    with pytest.raises(ModelHasNoPrice):
        book.of("smol", PRICE.valid_from - timedelta(seconds=1))


async def test_a_price_that_somebody_wrote_into_the_database_is_none(bank: Bank) -> None:
    ours, theirs = Price(uuid7(), "ours", "USD", 9, 9, 9, NOW), Price(uuid7(), "theirs", "USD", 9, 9, 9, NOW)
    async with bank.databases.keeper.begin() as c:
        await prices.put(c, ours, SEAL)
        await prices.put(c, theirs, Seal(bytes(32)))
    book = Prices()
    async with bank.databases.writer.begin() as c:
        await book.load(c, SEAL)
    assert book.of("ours", NOW) == ours
    with pytest.raises(ModelHasNoPrice):
        book.of("theirs", NOW)
    await bank.admin.execute("UPDATE price SET output_nano = 0 WHERE model = 'ours'")
    async with bank.databases.writer.begin() as c:
        await book.load(c, SEAL)
    with pytest.raises(ModelHasNoPrice):
        book.of("ours", NOW)


def test_whether_a_model_is_given_away_is_told_by_the_price_in_force() -> None:
    free = Price(uuid7(), "m", "USD", 0, 0, 0, NOW - timedelta(days=1))
    assert Prices([free]).gives_away(NOW) and not Prices([free]).gives_away(NOW - timedelta(days=2))
    assert not Prices([free, Price(uuid7(), "m", "USD", 0, 0, 0, NOW, reasoning_nano=1)]).gives_away(NOW)


async def test_a_new_version_holds_from_its_time_on_and_the_old_one_before(bank: Bank) -> None:
    dearer = Price(uuid7(), "smol", "USD", 9, 9, 9, NOW)
    async with bank.databases.keeper.begin() as c:
        await prices.put(c, dearer, SEAL)
        await prices.put(c, dearer, SEAL)
    book = Prices()
    async with bank.databases.writer.begin() as c:
        await book.load(c, SEAL)
    assert book.of("smol", NOW) == dearer
    assert book.of("smol", NOW - timedelta(seconds=1)) == PRICE
