"""A new secret with the old one beside it for a while; and keys that somebody found."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.accounts.conftest import House

from avow.accounts import key_text
from avow.accounts.directory import KeyExpired, KeyRefused, KeyRevoked

ADA, BOB = "ada@example.org", "bob@example.org"


async def rotated(browser: Any, key_id: str, **body: int) -> dict[str, Any]:
    answer = await browser.post(f"/api/keys/{key_id}/rotate", json=body)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


async def test_both_secrets_work_until_the_overlap_ends(house: House) -> None:
    browser, find = await house.signed_in(ADA), house.needs.directory.find
    old = (await browser.post("/api/keys", json={"name": "robot"})).json()
    await find(old["secret"])
    new = await rotated(browser, old["id"], overlap_h=20)
    assert new["id"] == old["id"] and new["secret"] != old["secret"]
    assert datetime.fromisoformat(new["old_until"]) - house.clock.now() > timedelta(hours=19, minutes=59)
    assert (await find(old["secret"])).key_id == (await find(new["secret"])).key_id
    house.clock.move(timedelta(hours=20, seconds=1))
    with pytest.raises(KeyExpired):
        await find(old["secret"])
    assert await find(new["secret"])
    (listed,) = (await browser.get("/api/keys")).json()["keys"]
    assert (listed["prefix"], listed["name"], listed["old_until"]) == (new["prefix"], "robot", new["old_until"])


async def test_without_overlap_the_old_secret_ends_at_once(house: House) -> None:
    browser, find = await house.signed_in(ADA), house.needs.directory.find
    old = (await browser.post("/api/keys", json={})).json()
    await find(old["secret"])
    new = await rotated(browser, old["id"], overlap_h=0)
    with pytest.raises(KeyExpired):
        await find(old["secret"])
    assert await find(new["secret"])


async def test_a_second_rotation_ends_the_first_secret(house: House) -> None:
    browser, find = await house.signed_in(ADA), house.needs.directory.find
    first = (await browser.post("/api/keys", json={})).json()
    second = await rotated(browser, first["id"])
    third = await rotated(browser, first["id"])
    with pytest.raises(KeyRefused):
        await find(first["secret"])
    assert await find(second["secret"]) and await find(third["secret"])
    await browser.delete(f"/api/keys/{first['id']}")
    for each in (second, third):
        with pytest.raises(KeyRevoked):
            await find(each["secret"])


async def test_the_halves_of_two_secrets_make_no_third(house: House) -> None:
    browser = await house.signed_in(ADA)
    old = (await browser.post("/api/keys", json={})).json()
    new = await rotated(browser, old["id"])
    head = f"{new['prefix']}-{old['secret'].split('-')[3]}-"
    with pytest.raises(KeyRefused):
        await house.needs.directory.find(head + key_text.checksum(head))


async def test_an_end_of_the_key_is_an_end_of_the_old_secret_too(house: House) -> None:
    browser = await house.signed_in(ADA)
    end = house.clock.now() + timedelta(hours=1)
    old = (await browser.post("/api/keys", json={"expires_at": end.isoformat()})).json()
    await rotated(browser, old["id"], overlap_h=24)
    house.clock.move(timedelta(hours=1, seconds=1))
    with pytest.raises(KeyExpired):
        await house.needs.directory.find(old["secret"])


@pytest.mark.parametrize("overlap_h", [-1, 169, 1.5, "long"])
async def test_an_overlap_is_at_most_seven_days(house: House, overlap_h: object) -> None:
    browser = await house.signed_in(ADA)
    old = (await browser.post("/api/keys", json={})).json()
    answer = await browser.post(f"/api/keys/{old['id']}/rotate", json={"overlap_h": overlap_h})
    assert answer.status_code == 400
    (listed,) = (await browser.get("/api/keys")).json()["keys"]
    assert listed["old_until"] is None


async def test_whoever_found_a_key_ends_it_and_its_owner_is_told(house: House) -> None:
    browser = await house.signed_in(ADA)
    found, other = [(await browser.post("/api/keys", json={})).json() for _ in range(2)]
    finder = house.browser()
    answer = await finder.post("/api/keys/leaked", json={"key": found["secret"]})
    assert answer.status_code == 202
    with pytest.raises(KeyRevoked):
        await house.needs.directory.find(found["secret"])
    assert await house.needs.directory.find(other["secret"])
    again = await finder.post("/api/keys/leaked", json={"key": found["secret"]})
    assert (again.status_code, again.content) == (202, answer.content)
    letters = [body for to, _, body in await house.mail() if to == ADA and "revoked" in body]
    assert len(letters) == 1 and found["id"] in letters[0] and found["secret"] not in letters[0]


async def test_a_secret_that_still_works_after_a_rotation_ends_the_key_when_found(house: House) -> None:
    browser = await house.signed_in(ADA)
    old = (await browser.post("/api/keys", json={})).json()
    new = await rotated(browser, old["id"])
    await house.browser().post("/api/keys/leaked", json={"key": old["secret"]})
    with pytest.raises(KeyRevoked):
        await house.needs.directory.find(new["secret"])


async def test_what_is_no_key_of_ours_is_answered_the_same_and_ends_nothing(house: House) -> None:
    browser = await house.signed_in(ADA)
    made = (await browser.post("/api/keys", json={})).json()
    head = f"{made['prefix']}-{'0' * 43}-"
    answers = set()
    for text in (head + key_text.checksum(head), made["prefix"], key_text.make().text, "", "é" * 500):
        answer = await house.browser().post("/api/keys/leaked", json={"key": text})
        answers.add((answer.status_code, answer.content))
    assert len(answers) == 1
    assert (await house.browser().post("/api/keys/leaked", json={"key": "x" * 1001})).status_code == 400
    assert await house.needs.directory.find(made["secret"])
