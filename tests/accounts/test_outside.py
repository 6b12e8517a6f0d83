"""People without an account: asking tells nothing about an address and is slowed down; an invitation is found for them."""

from __future__ import annotations

import httpx
from tests.accounts.conftest import House

from avow.accounts.everybody import at_address
from avow.accounts.networks import Networks
from avow.privacy.needs import Held

ADA, BOB = "ada@example.org", "bob@example.org"


async def ask(browser: httpx.AsyncClient, email: str) -> httpx.Response:
    return await browser.post("/api/privacy/outside", json={"email": email, "kind": "access"})


async def test_known_and_unknown_addresses_get_one_answer_and_one_message(house: House) -> None:
    await house.signed_in(ADA)
    before = len(await house.mail())
    answers = [await ask(house.browser(), email) for email in (ADA, BOB)]
    assert {(each.status_code, each.content) for each in answers} == {(202, answers[0].content)}
    sent = (await house.mail())[before:]
    assert [to for to, _, _ in sent] == [ADA, BOB]
    assert len({(subject, len(text)) for _, subject, text in sent}) == 1
    assert (await ask(house.browser(), "no address")).json()["code"] == "field_refused"


async def test_asking_is_slowed_down_for_a_mailbox_and_for_a_network(house: House) -> None:
    answers = [await ask(house.browser(), f"a{'.' * (n % 2)}da+{n}@example.org") for n in range(12)]
    assert [each.status_code for each in answers] == [202] * 11 + [429]
    assert answers[-1].json()["code"] == "mailbox_slowed"
    object.__setattr__(house.needs, "newcomers", Networks(free=2))
    stranger = house.visitor("8.8.8.8")
    statuses = [(await ask(stranger, f"p{n}@example.org")).status_code for n in range(4)]
    assert statuses == [202] * 3 + [429]
    assert (await ask(house.visitor("8.8.4.4"), "p9@example.org")).status_code == 202


async def test_an_account_and_an_invitation_stand_behind_an_address(house: House) -> None:
    owner = await house.signed_in(ADA)
    await owner.post("/api/tenant/invitations", json={"email": BOB, "role": "member"})
    (row,) = await house.query("SELECT subject_id FROM invitation")
    async with house.databases.keeper.begin() as c:
        found = [await at_address(c, house.needs.ring, email) for email in (ADA, "BOB@example.org", "eve@example.org")]
    assert found == [Held(True, ()), Held(False, (row.subject_id,)), Held(False, ())]
