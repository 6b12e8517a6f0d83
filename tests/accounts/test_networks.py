"""Many refused attempts slow a network down and are told; nothing of it is remembered for long or locks anybody out."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from tests.accounts.conftest import PASSWORD, House

from avow.accounts.networks import Networks, NetworkSlowed, network_of

ADA = "ada@example.org"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def fail(networks: Networks, times: int, address: str, now: datetime = NOW) -> None:
    for _ in range(times):
        networks.fail(address, now)


def test_a_network_waits_after_its_free_attempts_and_others_do_not() -> None:
    networks = Networks(free=3)
    fail(networks, 4, "8.8.8.8")
    with pytest.raises(NetworkSlowed) as slowed:
        networks.check("8.8.8.8", NOW)
    assert slowed.value.headers == {"retry-after": "1"}
    networks.check("8.8.4.4", NOW)
    networks.check("8.8.8.8", NOW + timedelta(seconds=1))


def test_a_household_with_ipv6_is_one_network() -> None:
    networks = Networks(free=3)
    for host in range(4):
        networks.fail(f"2606:4700:1:2::{host:x}", NOW)
    with pytest.raises(NetworkSlowed):
        networks.check("2606:4700:1:2:ffff::1", NOW)
    networks.check("2606:4700:1:3::1", NOW)


def test_the_key_and_its_counts_die_after_an_hour() -> None:
    networks = Networks(free=3)
    fail(networks, 20, "8.8.8.8")
    assert len(networks) == 1
    key = networks._throttle._key
    networks.check("8.8.8.8", NOW + timedelta(hours=1))
    assert len(networks) == 0 and networks._throttle._key != key


def test_nothing_readable_is_held() -> None:
    networks = Networks()
    networks.fail("8.8.8.8", NOW)
    assert "8.8.8.8" not in repr(networks._throttle._seen)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "fe80::1", "::ffff:192.168.0.1", "", None, "x"])
def test_an_address_that_stands_for_many_is_not_counted(address: str | None) -> None:
    assert network_of(address) is None


def test_an_ipv4_address_is_itself_however_written() -> None:
    assert network_of("::ffff:8.8.8.8") == network_of("8.8.8.8") == "8.8.8.8"


async def test_one_password_on_many_accounts_slows_the_network_but_no_session(house: House) -> None:
    known = house.visitor("8.8.8.8")
    known.cookies.update((await house.signed_in(ADA)).cookies)
    object.__setattr__(house.needs, "networks", Networks(free=5))
    stranger = house.visitor("8.8.8.8")
    bodies = [{"email": f"p{number}@example.org", "password": "Winter in Berlin 2026"} for number in range(7)]
    statuses = [(await stranger.post("/api/auth/login", json=body)).status_code for body in bodies]
    assert statuses == [401] * 6 + [429]
    compared = house.hasher.compared
    slowed = await stranger.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
    assert (slowed.status_code, slowed.json()["code"]) == (429, "network_slowed")
    assert int(slowed.headers["retry-after"]) >= 1 and house.hasher.compared == compared
    assert (await stranger.post("/api/auth/reset", json={"email": ADA})).status_code == 429
    assert (await known.get("/api/me")).status_code == 200
    elsewhere = house.visitor("8.8.4.4")
    assert (await elsewhere.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})).status_code == 200


async def test_many_accounts_from_one_network_wait_and_others_do_not(house: House) -> None:
    object.__setattr__(house.needs, "newcomers", Networks(free=3))
    stranger = house.visitor("8.8.8.8")

    async def sign_up(number: int, browser: httpx.AsyncClient) -> httpx.Response:
        return await browser.post("/api/auth/signup", json={"email": f"p{number}@example.org", "password": PASSWORD})

    assert [(await sign_up(number, stranger)).status_code for number in range(4)] == [202] * 4
    hashed = house.hasher.hashed
    slowed = await sign_up(0, stranger)
    assert (slowed.status_code, slowed.json()["code"]) == (429, "network_slowed"), "a known address is answered alike"
    assert int(slowed.headers["retry-after"]) >= 1 and house.hasher.hashed == hashed
    assert await house.rows("person") == 4
    assert (await sign_up(9, house.visitor("8.8.4.4"))).status_code == 202
    signed_in = await stranger.post("/api/auth/login", json={"email": "p0@example.org", "password": PASSWORD})
    assert signed_in.status_code == 200, "signing in counts apart"


async def test_the_tenth_failure_is_told_to_the_person_and_the_operator_once(house: House) -> None:
    object.__setattr__(house.needs, "operator_mail", "operator@example.net")
    known = await house.signed_in(ADA)
    me = (await known.get("/api/me")).json()
    before = len(await house.mail())
    for number in range(12):
        wrong = {"email": ADA, "password": "wrong password here"}
        assert (await house.browser().post("/api/auth/login", json=wrong)).status_code == 401
        assert len(await house.mail()) == before + (2 if number >= 9 else 0)
        house.clock.move(timedelta(minutes=15))
    told = {to: text for to, _, text in (await house.mail())[before:]}
    assert set(told) == {ADA, "operator@example.net"}
    assert me["id"] in told["operator@example.net"] and ADA not in told["operator@example.net"]
    assert (await known.get("/api/me")).status_code == 200
    assert (await known.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})).status_code == 200


async def test_failures_for_nobody_are_told_to_nobody(house: House) -> None:
    for _ in range(11):
        await house.browser().post("/api/auth/login", json={"email": "nobody@example.org", "password": "wrong"})
        house.clock.move(timedelta(minutes=15))
    assert await house.mail() == []
