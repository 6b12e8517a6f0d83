"""Sign-ups that nobody confirms end when the policy says so, and leave nothing; others stay."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from tests.accounts.conftest import PASSWORD, House, Start
from tests.accounts.keeping import desk
from tests.platform import policy_text

from avow import keeper
from avow.policy import Policy, parse
from avow.privacy import stores

ADA, BOB = "ada@example.org", "bob@example.org"
WITHIN = 'unconfirmed = "7 days"'


async def sign_up(house: House, email: str) -> None:
    async with house.browser() as browser:
        assert (await browser.post("/api/auth/signup", json={"email": email, "password": PASSWORD})).status_code == 202


async def test_who_does_not_confirm_in_time_is_gone_and_can_begin_anew(start: Start) -> None:
    house: House = await start(must_confirm=True)
    await sign_up(house, ADA)
    await sign_up(house, BOB)
    async with house.browser() as browser:
        await browser.post("/api/auth/confirm", json={"token": await house.token(BOB)})
    house.clock.move(timedelta(days=7, minutes=-10))
    assert await keeper.end_unconfirmed(desk(house)) == 0
    house.clock.move(timedelta(minutes=10))
    (gone, kept) = await house.query("SELECT id FROM person ORDER BY since")
    assert await keeper.end_unconfirmed(desk(house)) == 1
    assert [row.id for row in await house.query("SELECT id FROM person")] == [kept.id]
    for table in stores.tables():
        if table.ending(house.needs.policy, "erasure") == "delete":
            async with house.databases.keeper.begin() as c:
                assert (await table.find(c, gone.id)).facts == 0, table.name
    assert house.needs.tombstones.person(gone.id) in [stone.name for stone in house.needs.tombstones.read()]
    assert await keeper.end_unconfirmed(desk(house)) == 0
    await sign_up(house, ADA)
    async with house.browser() as browser:
        await browser.post("/api/auth/confirm", json={"token": await house.token(ADA)})
        entered = await browser.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
        assert entered.status_code == 200


async def test_a_policy_that_names_no_time_ends_nobody(start: Start, policy: Policy) -> None:
    house: House = await start(must_confirm=True)
    await sign_up(house, ADA)
    house.clock.move(timedelta(days=400))
    quiet = parse(policy_text((WITHIN, "")))
    at = desk(house)
    at.accounts = SimpleNamespace(policy=quiet)
    assert await keeper.end_unconfirmed(at) == 0
    assert await keeper.end_unconfirmed(desk(house)) == 1


@pytest.mark.parametrize("period", ["0", "life of the account"])
def test_the_time_to_confirm_is_a_period(period: str) -> None:
    with pytest.raises(ValueError, match="The time to confirm an address is a period"):
        parse(policy_text((WITHIN, f'unconfirmed = "{period}"')))


def test_the_time_to_confirm_is_published_and_shortening_it_tightens() -> None:
    (clause,) = [each for each in parse(policy_text()).clauses if each.id == "sign_up"]
    assert "within 7 days" in clause.en
    assert "7 天" in clause.zh or "7天" in clause.zh
