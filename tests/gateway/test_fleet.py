"""Which upstream is tried, when one is left alone, and how often a request is tried again: without any I/O."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avow.gateway import fleet as fleets
from avow.gateway import refusals
from avow.gateway.client import Client, Target
from avow.gateway.connection import UpstreamError, UpstreamFull, UpstreamGarbage, UpstreamLost, UpstreamTimeout
from avow.gateway.fleet import Fleet, Route, UpstreamsDown
from avow.gateway.forecast import Forecast, Job
from avow.gateway.upstreams import Upstream


class Time:
    """A clock that is moved."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def upstream(name: str) -> Upstream:
    return Upstream(name, None, {})


def moved(revision: int, port: int) -> Upstream:
    """An upstream as it is after so many changes."""
    return Upstream("m", None, {}, probe=Target(f"http://127.0.0.1:{port}/v1", {}), revision=revision)


A, B, C = (upstream(name) for name in "abc")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def fleet(time: Time) -> Fleet:
    return Fleet(Client(), now_s=time)


def fail(fleet: Fleet, at: Upstream, times: int = fleets.FAILURES_MAX) -> None:
    for _ in range(times):
        fleet.of(at).begin()
        fleet.end(at, False, 1.0)


def first(fleet: Fleet, routes: list[Route], routing: fleets.Routing = "finish") -> str:
    return fleet.ranked(routes, routing)[0].upstream.name


def test_a_lower_rank_comes_first_whatever_else(fleet):
    routes = [Route(A, "m", rank=1, weight=100), Route(B, "m", rank=0, cost_nano=10**9)]
    assert {first(fleet, routes, routing) for routing in fleets.ROUTINGS} == {"b"}


def test_the_least_expected_finish_counts_what_runs_there_and_how_long_it_takes(fleet):
    routes = [Route(A, "m"), Route(B, "m")]
    for _ in range(30):
        fleet.of(A).begin()
        fleet.end(A, True, 0.1)
        fleet.of(B).begin()
        fleet.end(B, True, 3.0)
    assert first(fleet, routes) == "a"
    for _ in range(60):
        fleet.of(A).begin()
    assert first(fleet, routes) == "b"
    assert first(fleet, [Route(A, "m", weight=100), Route(B, "m")]) == "a"


def test_the_cheapest_is_asked_first_where_price_decides(fleet):
    routes = [Route(A, "m", cost_nano=9), Route(B, "m", cost_nano=3), Route(C, "m", cost_nano=3)]
    fleet.of(B).begin()
    assert first(fleet, routes, "price") == "c"


def test_weights_are_shares(fleet):
    routes = [Route(A, "m", weight=3), Route(B, "m", weight=1)]
    count = Counter(first(fleet, routes, "weight") for _ in range(4000))
    assert 2.4 < count["a"] / count["b"] < 3.8


def test_who_fails_several_times_in_a_row_is_left_alone_and_tried_by_one(fleet, time):
    fail(fleet, A, fleets.FAILURES_MAX - 1)
    assert first(fleet, [Route(A, "m")]) == "a"
    fail(fleet, A, 1)
    assert first(fleet, [Route(A, "m", rank=0), Route(B, "m", rank=9)]) == "b"
    with pytest.raises(UpstreamsDown) as caught:
        fleet.ranked([Route(A, "m")], "finish")
    assert int(caught.value.headers["retry-after"]) >= 1
    time.now_s += fleets.OPEN_S_MAX
    assert first(fleet, [Route(A, "m")]) == "a"
    fleet.of(A).begin()
    with pytest.raises(UpstreamsDown):
        fleet.ranked([Route(A, "m")], "finish")
    fleet.end(A, True, 1.0)
    assert first(fleet, [Route(A, "m")]) == "a" and not fleet.of(A).is_open


def test_whoever_fails_its_trial_is_left_alone_for_longer(fleet, time):
    fail(fleet, A)
    waits = []
    for _ in range(8):
        waits.append(fleet.of(A).wait_s(time.now_s))
        time.now_s += waits[-1]
        fail(fleet, A, 1)
    assert waits[3] > 3 * waits[0] and max(waits) <= fleets.OPEN_S_MAX * 1.25


async def test_who_was_judged_by_rules_since_replaced_takes_no_probe_from_the_upstream_as_it_is(fleet):
    before, now = moved(1, 1), moved(2, 2)
    fail(fleet, before, 1)
    fleet.of(now).begin()
    fail(fleet, before, 1)
    assert [health.left for _, health in fleet.healths()] == [True, False], "told last as it is"
    fleet.end(now, False, 1.0)
    fail(fleet, now)
    probing = fleet.of(now).probing
    assert fleet.of(now).is_open and probing is not None
    fail(fleet, before)
    assert fleet.of(before).probing is None, "nobody asks there any more"
    assert fleet.of(now).probing is probing and not probing.cancelling()
    fleet.close()


async def test_an_upstream_that_is_again_as_it_was_is_probed_again(fleet):
    before, between = moved(1, 1), moved(2, 2)
    again = replace(before, revision=3)
    fleet.of(before).begin()
    fail(fleet, between, 1)
    fleet.end(again, None, 1.0)
    fail(fleet, again)
    assert fleet.of(again).probing is not None
    assert [health.left for _, health in fleet.healths()] == [False], "what was between is forgotten"
    fleet.of(between)
    assert not fleet.of(again).left
    fleet.close()


def test_a_call_that_says_nothing_of_an_upstream_changes_nothing(fleet):
    fail(fleet, A, fleets.FAILURES_MAX - 1)
    fleet.of(A).begin()
    fleet.end(A, None, 1.0)
    assert not fleet.of(A).is_open and fleet.of(A).in_flight == 0
    fail(fleet, A, 1)
    assert fleet.of(A).is_open


def test_routes_are_tried_in_turn_and_then_again(fleet):
    routes = [Route(A, "m", rank=0), Route(B, "m", rank=1)]
    assert [route.upstream.name for route in fleet.tries(routes, "finish")] == ["a", "b", "a"]


def test_retries_stay_a_small_part_of_all_requests(fleet):
    asked = 2000
    calls = sum(len(list(fleet.tries([Route(A, "m")], "finish"))) for _ in range(asked))
    assert asked < calls <= asked * (1 + fleets.RETRY_SHARE) + fleets.RETRIES_SAVED_MAX


@pytest.mark.parametrize(
    ("error", "elsewhere", "here", "well"),
    [
        (UpstreamLost(), True, True, False),
        (UpstreamError(), True, True, False),
        (UpstreamTimeout(), True, False, False),
        (UpstreamGarbage(), True, False, False),
        (UpstreamFull(), True, False, None),
        (refusals.UpstreamBusy(), True, False, None),
        (refusals.UpstreamRejected(), False, False, True),
        (refusals.InvalidRequest(), False, False, None),
    ],
)
def test_what_a_failure_means(error, elsewhere, here, well):
    assert fleets.may_retry(error, elsewhere=True) is elsewhere
    assert fleets.may_retry(error, elsewhere=False) is here
    assert fleets.verdict(error) is well


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([True, False, None])), max_size=60))
def test_whatever_ends_how_often_nothing_stays_in_flight(ends):
    fleet = Fleet(Client(), now_s=Time())
    for name, well in ends:
        fleet.of(upstream(name)).begin()
        fleet.end(upstream(name), well, 0.5)
    assert all(fleet.of(each).in_flight == 0 for each in (A, B, C))


def job(input_tokens: int, output_tokens: int, prefix: bytes = b"") -> Job:
    return Job(input_tokens, output_tokens, prefix)


def test_what_a_call_takes_is_learned_from_its_sizes(fleet: Fleet) -> None:
    """One is slow to begin and fast to write, the other the other way round: each gets the calls that it ends first."""
    slow_start, slow_pen = Route(A, "m"), Route(B, "m")
    chance = random.Random(7)
    for _ in range(60):
        asked = job(chance.randrange(10, 4000), chance.randrange(1, 2000))
        fleet.learn(slow_start, asked, 3.0 + 0.0005 * asked.output_tokens)
        fleet.learn(slow_pen, asked, 0.2 + 0.01 * asked.output_tokens + 0.0001 * asked.input_tokens)

    def at(asked: Job) -> str:
        return fleet.ranked([slow_start, slow_pen], "finish", asked)[0].upstream.name

    assert [at(job(100, 50)), at(job(100, 1500)), at(job(4000, 20))] == ["b", "a", "b"]
    for _ in range(200):  # it became slower: what was learned is forgotten
        asked = job(100, chance.randrange(1, 2000))
        fleet.learn(slow_pen, asked, 9.0)
    assert at(job(100, 50)) == "a"


@given(st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 2**31), st.floats(0, 1e5)), max_size=60))
def test_a_forecast_stays_near_the_calls_that_were_seen(calls: list[tuple[int, int, float]]) -> None:
    known = Forecast()
    for input_tokens, output_tokens, took_s in calls:
        known.learn(job(input_tokens, output_tokens), took_s)
        found = known.s(job(output_tokens, input_tokens))
        assert known.mean_s / 10 <= found <= known.mean_s * 10


def test_calls_that_begin_alike_go_where_the_beginning_was_read_unless_that_one_is_busy(fleet: Fleet) -> None:
    routes = [Route(each, "m") for each in (A, B, C)]
    names = {bytes([n]): fleet.ranked(routes, "finish", job(9, 9, bytes([n])))[0].upstream.name for n in range(60)}
    assert {*names.values()} == {"a", "b", "c"}
    for prefix, name in names.items():
        assert fleet.ranked(routes[::-1], "finish", job(5, 5, prefix))[0].upstream.name == name
        left = [route for route in routes if route.upstream.name != name]
        gone = [route for route in routes if route.upstream.name != min({*"abc"} - {name})]
        assert fleet.ranked(gone, "finish", job(9, 9, prefix))[0].upstream.name == name, (
            "the others' going moves nothing"
        )
        assert fleet.ranked(left, "finish", job(9, 9, prefix))
    fleet.of(A).begin()
    mine = next(prefix for prefix, name in names.items() if name == "a")
    assert fleet.ranked(routes, "finish", job(9, 9, mine))[0].upstream.name != "a"
