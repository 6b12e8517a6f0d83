"""Failed attempts slow an account down, are forgotten, and are bounded in memory."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from tests.accounts.conftest import PASSWORD, House

from avow.accounts.throttle import FORGET_AFTER, Throttle, mailbox

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FREE = 5


def make(size_max: int = 100) -> Throttle:
    return Throttle(FREE, timedelta(seconds=1), timedelta(minutes=15), size_max)


def fail(throttle: Throttle, times: int, name: str = "a@example.org", now: datetime = NOW) -> None:
    for _ in range(times):
        throttle.fail(name, now)


def test_the_first_failures_cost_nothing_and_the_next_ones_double() -> None:
    throttle = make()
    fail(throttle, FREE)
    assert throttle.wait_s("a@example.org", NOW) == 0
    waits = []
    for _ in range(4):
        fail(throttle, 1)
        waits.append(throttle.wait_s("a@example.org", NOW))
    assert waits == [1, 2, 4, 8]
    assert throttle.wait_s("a@example.org", NOW + timedelta(seconds=7.5)) == 1
    assert throttle.wait_s("a@example.org", NOW + timedelta(seconds=8)) == 0


def test_the_wait_never_becomes_a_lock() -> None:
    assert make().wait_after(10**9) == timedelta(minutes=15)


def test_another_name_and_a_success_do_not_wait() -> None:
    throttle = make()
    fail(throttle, 20)
    assert throttle.wait_s("b@example.org", NOW) == 0
    throttle.succeed("a@example.org")
    assert throttle.wait_s("a@example.org", NOW) == 0


def test_a_day_without_failures_is_a_new_beginning() -> None:
    throttle = make()
    fail(throttle, 20)
    later = NOW + FORGET_AFTER + timedelta(seconds=1)
    fail(throttle, 1, now=later)
    assert throttle.wait_s("a@example.org", later) == 0


def test_memory_is_bounded_and_holds_no_address() -> None:
    throttle = make(size_max=10)
    for number in range(100):
        fail(throttle, 1, f"person{number}@example.org")
    assert len(throttle) == 10
    assert b"person99" not in repr(throttle._seen).encode()


def test_attempts_under_way_count_until_they_end() -> None:
    throttle, name = make(), "a@example.org"
    with ExitStack() as many:
        for _ in range(FREE):
            assert throttle.wait_s(name, NOW) == 0
            many.enter_context(throttle.trying(name))
        assert throttle.wait_s(name, NOW) == 1
        assert throttle.wait_s("b@example.org", NOW) == 0
    assert throttle.wait_s(name, NOW) == 0
    fail(throttle, FREE)
    with throttle.trying(name):
        assert throttle.wait_s(name, NOW) == 1
    assert throttle.wait_s(name, NOW) == 0 and not throttle._under_way


@pytest.mark.parametrize(
    ("address", "reaches"),
    [
        ("a.d.a@example.org", "ada@example.org"),
        ("Ada+anything.else@Example.org", "ada@example.org"),
        ("ada+a+b@example.org", "ada@example.org"),
        ("+ada@example.org", "@example.org"),
        ("ada@mail.example.org", "ada@mail.example.org"),
    ],
)
def test_ways_to_write_one_mailbox_count_as_one(address: str, reaches: str) -> None:
    assert mailbox(address) == reaches


async def test_one_mailbox_is_not_filled_through_many_addresses(house: House) -> None:
    """Confirmations, reminders and resets count together; known and unknown addresses are answered alike."""
    async with house.browser() as browser:

        async def sign_up(email: str) -> httpx.Response:
            return await browser.post("/api/auth/signup", json={"email": email, "password": PASSWORD})

        answers = [await sign_up(f"a{'.' * (n % 2)}da+{n}@example.org") for n in range(12)]
        assert [each.status_code for each in answers] == [202] * 11 + [429]
        assert answers[-1].json()["code"] == "mailbox_slowed"
        assert int(answers[-1].headers["retry-after"]) > 0
        assert (await sign_up("ada+0@example.org")).status_code == 429, "one that has an account is answered alike"
        await browser.post("/api/auth/reset", json={"email": "ada+0@example.org"})
        assert len(await house.mail()) == 11
        assert await house.rows("person") == 11
        assert (await sign_up("bob@example.org")).status_code == 202
        house.clock.move(timedelta(minutes=10, seconds=1))
        assert (await sign_up("ada+99@example.org")).status_code == 202
