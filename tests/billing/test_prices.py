from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.base.ids import uuid7
from avow.billing import prices
from avow.billing.prices import ModelHasNoPrice, Price, Prices
from tests.billing.conftest import NOW, PRICE, Bank

nano = st.integers(0, 10**12)
tokens = st.integers(0, 10**7)
any_price = st.builds(Price, st.just(PRICE.id), st.just("m"), st.just("USD"), nano, nano, nano, st.just(NOW))


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
    assert prices.cost(price, *counts) == due


@given(any_price, tokens, tokens, tokens)
def test_the_cost_is_the_exact_price_rounded_up(price: Price, sent: int, cached: int, out: int) -> None:
    cached = min(cached, sent)
    exact = Fraction((sent - cached) * price.input_nano + cached * price.cached_nano + out * price.output_nano, 10**6)
    assert prices.cost(price, sent, cached, out) == ceil(exact)


@given(any_price, tokens, tokens, st.data())
def test_no_request_within_the_bounds_costs_more_than_the_bound(
    price: Price, sent_max: int, out_max: int, data: st.DataObject
) -> None:
    sent, out = data.draw(st.integers(0, sent_max)), data.draw(st.integers(0, out_max))
    cached = data.draw(st.integers(0, sent))
    assert prices.cost(price, sent, cached, out) <= prices.upper(price, sent_max, out_max)


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


async def test_a_new_version_holds_from_its_time_on_and_the_old_one_before(bank: Bank) -> None:
    dearer = Price(uuid7(), "smol", "USD", 9, 9, 9, NOW)
    async with bank.databases.keeper.begin() as c:
        await prices.put(c, dearer)
        await prices.put(c, dearer)
    book = Prices()
    async with bank.databases.writer.begin() as c:
        await book.load(c)
    assert book.of("smol", NOW) == dearer
    assert book.of("smol", NOW - timedelta(seconds=1)) == PRICE
