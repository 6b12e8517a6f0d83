"""People see who looked at their data and who changed their account, and nobody can take a line out."""

from datetime import timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.accounts.conftest import House

from avow.accounts import openings, people
from avow.base.actor import Actor
from avow.vault import Act, OpenRefused

ADA, BOB = "ada@example.org", "bob@example.org"
SUPPORT = Actor("staff", "11111111-1111-7111-8111-111111111111", "support")
MARK = "asked-in-ticket-7"


async def look(house: House, tenant_id: UUID, subject_id: UUID, reason: str = MARK) -> None:
    """A member of staff tries to open somebody's account, which this policy lets nobody do."""
    async with house.needs.database.tenant(tenant_id) as c:
        box = await c.scalar(text("SELECT box FROM person WHERE id = :id"), {"id": subject_id})
        with pytest.raises(OpenRefused):
            ref = people.reference(tenant_id, subject_id)
            await house.needs.vault.open(c, ref, box, "support", SUPPORT, reason)


async def test_a_person_reads_who_looked_and_why_and_nobody_elses_record(house: House) -> None:
    ada, bob = await house.signed_in(ADA), await house.signed_in(BOB)
    me = (await ada.get("/api/me")).json()
    await look(house, UUID(me["tenant_id"]), UUID(me["id"]))
    found = (await ada.get("/api/me/openings")).json()["openings"]
    line = next(each for each in found if each["who"] == "staff")
    assert (line["role"], line["category"], line["purpose"]) == ("support", "account", "support")
    assert (line["outcome"], line["reason"], line["act"]) == ("refused", MARK, None)
    assert line["at"].startswith(house.needs.clock.now().date().isoformat())
    assert SUPPORT.id not in str(found)
    assert any(each["who"] == "subject" and each["outcome"] == "opened" for each in found)
    others = (await bob.get("/api/me/openings")).text
    assert MARK not in others and '"staff"' not in others
    anonymous = await house.browser().get("/api/me/openings")
    assert (anonymous.status_code, anonymous.json()["code"]) == (401, "not_signed_in")


async def test_reasons_are_sealed(house: House) -> None:
    ada = await house.signed_in(ADA)
    me = (await ada.get("/api/me")).json()
    await look(house, UUID(me["tenant_id"]), UUID(me["id"]))
    for word in (MARK, MARK.encode().hex()):
        assert await house.query("SELECT 1 FROM audit t WHERE position(:word in t::text) > 0", word=word) == []


async def test_an_act_is_recorded_with_digests_of_what_was_and_is(house: House) -> None:
    ada = await house.signed_in(ADA)
    me = (await ada.get("/api/me")).json()
    tenant_id, subject_id = UUID(me["tenant_id"]), UUID(me["id"])
    async with house.needs.database.tenant(tenant_id) as c:
        states = [{"role": "owner"}, {"role": "viewer"}, {"role": "owner"}]
        for before, after in pairwise(states):
            act = Act(SUPPORT, "change role", tenant_id, subject_id, reason=MARK, before=before, after=after)
            await house.needs.vault.record_act(c, act)
    found = (await ada.get("/api/me/openings?limit=2")).json()["openings"]
    assert [(line["outcome"], line["act"], line["reason"]) for line in found] == [("done", "change role", MARK)] * 2
    newest, oldest = found
    assert newest["before"] == oldest["after"] != newest["after"] == oldest["before"]


async def test_pages_follow_one_another_without_gap_or_overlap(house: House) -> None:
    ada = await house.signed_in(ADA)
    me = (await ada.get("/api/me")).json()
    for number in range(5):
        await look(house, UUID(me["tenant_id"]), UUID(me["id"]), f"{MARK} {number}")
    after, seen = "", []
    while True:
        page = (await ada.get(f"/api/me/openings?limit=2{after}")).json()
        seen += [line["reason"] for line in page["openings"] if line["who"] == "staff"]
        if page["after"] is None:
            break
        after = f"&after={page['after']}"
    assert seen == [f"{MARK} {number}" for number in (4, 3, 2, 1, 0)]


async def test_what_has_ended_is_not_shown(house: House) -> None:
    ada = await house.signed_in(ADA)
    me = (await ada.get("/api/me")).json()
    tenant_id, subject_id = UUID(me["tenant_id"]), UUID(me["id"])
    await look(house, tenant_id, subject_id)
    house.clock.move(timedelta(days=367))
    assert (await ada.get("/api/me/openings")).status_code == 401
    who = people.actor(tenant_id, subject_id)
    assert all(line.who != "staff" for line in await openings.listed(house.needs, who, None, 100))


@pytest.mark.parametrize("change", ["UPDATE audit SET outcome = 'opened'", "DELETE FROM audit"])
async def test_the_products_role_cannot_change_the_record(house: House, change: str) -> None:
    ada = await house.signed_in(ADA)
    tenant_id = UUID((await ada.get("/api/me")).json()["tenant_id"])
    with pytest.raises(DBAPIError, match="permission denied"):
        async with house.needs.database.tenant(tenant_id) as c:
            await c.execute(text(change))
