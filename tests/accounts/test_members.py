"""People of one organisation: invited once, seen by owners and admins, never without an owner."""

import asyncio
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from tests.accounts.conftest import PASSWORD, House

from avow.accounts.directory import KeyRevoked

OWNER, BOB, EVE = "owner@example.org", "bob@example.org", "eve@example.org"


async def token_for(house: House, address: str) -> str:
    texts = [body for to, _, body in await house.mail() if to == address]
    found = re.search(r"/invitation#(\w+)", texts[-1])
    assert found
    return found[1]


async def join(house: House, owner: httpx.AsyncClient, email: str, role: str) -> tuple[httpx.AsyncClient, str]:
    """Invite somebody, accept for them, and sign them in; gives their browser and id."""
    made = await owner.post("/api/tenant/invitations", json={"email": email, "role": role})
    assert made.status_code == 201, made.text
    browser = house.browser()
    body = {"token": await token_for(house, email), "password": PASSWORD, "name": "New Comer"}
    accepted = await browser.post("/api/invitations/accept", json=body)
    assert accepted.status_code == 201, accepted.text
    await browser.post("/api/auth/login", json={"email": email, "password": PASSWORD})
    return browser, accepted.json()["id"]


async def members(owner: httpx.AsyncClient) -> dict[str, Any]:
    found = (await owner.get("/api/tenant/members")).json()["members"]
    return {each["facts"]["email"]: each["role"] for each in found}


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_an_invited_person_belongs_to_the_organisation_and_reads_who_sees_them(house: House) -> None:
    owner = await house.signed_in(OWNER)
    bob, bob_id = await join(house, owner, BOB, "member")
    me = (await bob.get("/api/me")).json()
    assert (me["id"], me["role"], me["confirmed"]) == (bob_id, "member", True)
    assert me["tenant_id"] == (await owner.get("/api/me")).json()["tenant_id"]
    assert me["facts"] == {"email": BOB, "name": "New Comer"}
    assert await members(owner) == {OWNER: "owner", BOB: "member"}
    lines = (await bob.get("/api/me/openings")).json()["openings"]
    assert ("owner", "account", "service", "opened") in [
        (line["role"], line["category"], line["purpose"], line["outcome"]) for line in lines
    ]
    assert [line["act"] for line in lines if line["act"]] == ["join", "invite"]
    key = (await bob.post("/api/keys", json={})).json()["secret"]
    found = await house.needs.directory.find(key)
    assert (str(found.subject_id), found.wallet_id) == (bob_id, house.credits[0][2])


async def test_nobody_sees_or_ends_a_session_of_a_colleague_not_even_an_owner(house: House) -> None:
    owner = await house.signed_in(OWNER)
    bob, _ = await join(house, owner, BOB, "member")
    (his,) = (await bob.get("/api/me/sessions")).json()
    assert his["id"] not in (await owner.get("/api/me/sessions")).text
    assert refusal(await owner.delete(f"/api/me/sessions/{his['id']}")) == (404, "not_found")
    assert (await bob.get("/api/me")).status_code == 200


async def test_an_invitation_works_once_and_for_a_week(house: House) -> None:
    owner = await house.signed_in(OWNER)
    await join(house, owner, BOB, "member")
    used = {"token": await token_for(house, BOB), "password": PASSWORD}
    assert refusal(await house.browser().post("/api/invitations/accept", json=used)) == (400, "invitation_refused")
    await owner.post("/api/tenant/invitations", json={"email": EVE})
    late = {"token": await token_for(house, EVE), "password": PASSWORD}
    house.clock.move(timedelta(days=7))
    assert refusal(await house.browser().post("/api/invitations/accept", json=late)) == (400, "invitation_refused")
    assert await house.rows("person") == 2


async def test_a_withdrawn_invitation_is_worth_nothing(house: House) -> None:
    owner = await house.signed_in(OWNER)
    made = (await owner.post("/api/tenant/invitations", json={"email": EVE})).json()["id"]
    token = await token_for(house, EVE)
    (listed,) = (await owner.get("/api/tenant/invitations")).json()
    assert (listed["id"], listed["email"], listed["role"]) == (made, EVE, "member")
    assert (await owner.delete(f"/api/tenant/invitations/{made}")).status_code == 204
    body = {"token": token, "password": PASSWORD}
    assert refusal(await house.browser().post("/api/invitations/accept", json=body)) == (400, "invitation_refused")
    assert (await owner.delete(f"/api/tenant/invitations/{made}")).status_code == 404


async def test_invited_addresses_are_sealed_and_tokens_kept_as_digests(house: House) -> None:
    owner = await house.signed_in(OWNER)
    await owner.post("/api/tenant/invitations", json={"email": EVE})
    for word in (EVE, await token_for(house, EVE)):
        for form in (word, word.encode().hex()):
            assert await house.query("SELECT 1 FROM invitation t WHERE position(:w in t::text) > 0", w=form) == []


async def test_an_address_with_an_account_shows_only_to_its_owner(house: House) -> None:
    owner, _ = await house.signed_in(OWNER), await house.signed_in(BOB)
    known = await owner.post("/api/tenant/invitations", json={"email": BOB})
    unknown = await owner.post("/api/tenant/invitations", json={"email": EVE})
    assert (known.status_code, set(known.json())) == (unknown.status_code, set(unknown.json())) == (201, {"id"})
    body = {"token": await token_for(house, BOB), "password": PASSWORD}
    assert refusal(await house.browser().post("/api/invitations/accept", json=body)) == (409, "address_has_account")
    assert len((await owner.get("/api/tenant/invitations")).json()) == 2


@pytest.mark.parametrize("extra", [{"role": "owner"}, {"tenant_id": "x"}, {"email": EVE, "phone": "1"}])
async def test_who_accepts_cannot_choose_a_role_or_send_what_nobody_asked_for(
    house: House, extra: dict[str, str]
) -> None:
    owner = await house.signed_in(OWNER)
    await owner.post("/api/tenant/invitations", json={"email": BOB, "role": "viewer"})
    body = {"token": await token_for(house, BOB), "password": PASSWORD, **extra}
    assert refusal(await house.browser().post("/api/invitations/accept", json=body)) == (400, "field_refused")
    assert await house.rows("person") == 1


async def test_an_admin_has_no_power_over_owners_and_admins(house: House) -> None:
    owner = await house.signed_in(OWNER)
    admin, admin_id = await join(house, owner, BOB, "admin")
    _, viewer_id = await join(house, owner, EVE, "viewer")
    owner_id = (await owner.get("/api/me")).json()["id"]
    for who, role in ((owner_id, "viewer"), (viewer_id, "admin"), (admin_id, "owner")):
        refused = await admin.patch(f"/api/tenant/members/{who}", json={"role": role})
        assert refusal(refused) == (403, "not_permitted")
    assert refusal(await admin.delete(f"/api/tenant/members/{owner_id}")) == (403, "not_permitted")
    invite = await admin.post("/api/tenant/invitations", json={"email": "x@example.org", "role": "admin"})
    assert refusal(invite) == (403, "not_permitted")
    assert (await admin.patch(f"/api/tenant/members/{viewer_id}", json={"role": "member"})).status_code == 204
    assert await members(owner) == {OWNER: "owner", BOB: "admin", EVE: "member"}


@pytest.mark.parametrize("role", ["viewer", "former"])
async def test_who_loses_a_role_loses_keys_and_rights_at_once_and_keeps_their_own(house: House, role: str) -> None:
    owner = await house.signed_in(OWNER)
    bob, bob_id = await join(house, owner, BOB, "admin")
    key = (await bob.post("/api/keys", json={})).json()["secret"]
    if role == "former":
        assert (await owner.delete(f"/api/tenant/members/{bob_id}")).status_code == 204
    else:
        assert (await owner.patch(f"/api/tenant/members/{bob_id}", json={"role": role})).status_code == 204
    with pytest.raises(KeyRevoked):
        await house.needs.directory.find(key)
    assert refusal(await bob.get("/api/tenant/members")) == (403, "not_permitted")
    assert refusal(await bob.post("/api/keys", json={})) == (403, "not_permitted")
    assert (await bob.get("/api/keys")).status_code == (403 if role == "former" else 200)
    assert (await bob.get("/api/me")).json()["role"] == role
    act = next(line for line in (await bob.get("/api/me/openings")).json()["openings"] if line["act"])
    assert (act["act"], act["who"]) == ("change role", "subject") and act["before"] != act["after"]
    asked = await bob.post("/api/privacy/requests", json={"kind": "erase", "password": PASSWORD})
    assert asked.status_code == 202


async def test_the_last_owner_cannot_leave_step_down_or_be_erased(house: House) -> None:
    owner = await house.signed_in(OWNER)
    bob, bob_id = await join(house, owner, BOB, "member")
    owner_id = (await owner.get("/api/me")).json()["id"]
    erase = {"kind": "erase", "password": PASSWORD}
    for refused in (
        await owner.post("/api/tenant/leave"),
        await owner.delete(f"/api/tenant/members/{owner_id}"),
        await owner.patch(f"/api/tenant/members/{owner_id}", json={"role": "admin"}),
        await owner.post("/api/privacy/requests", json=erase),
    ):
        assert refusal(refused) == (409, "last_owner")
    assert await house.rows("rights_request") == 0
    assert (await owner.patch(f"/api/tenant/members/{bob_id}", json={"role": "owner"})).status_code == 204
    assert (await owner.post("/api/privacy/requests", json=erase)).status_code == 202
    # Bob is the last one now, for the other owner is on the way out; and alone, so he may be erased.
    assert refusal(await bob.post("/api/tenant/leave")) == (409, "last_owner")
    assert (await bob.post("/api/privacy/requests", json=erase)).status_code == 202


@pytest.mark.parametrize("way", ["leave", "step down", "be erased"])
async def test_of_two_owners_who_go_at_once_one_stays(house: House, way: str) -> None:
    """On PostgreSQL the two transactions run at the same time; the organisation's row makes them take turns."""
    ada = await house.signed_in(OWNER)
    bob, bob_id = await join(house, ada, BOB, "owner")
    eve, _ = await join(house, ada, EVE, "member")
    ada_id = (await ada.get("/api/me")).json()["id"]
    erase = {"kind": "erase", "password": PASSWORD}
    going = {
        "leave": lambda who, _: who.post("/api/tenant/leave"),
        "step down": lambda who, id: who.patch(f"/api/tenant/members/{id}", json={"role": "member"}),
        "be erased": lambda who, _: who.post("/api/privacy/requests", json=erase),
    }[way]
    answers = await asyncio.gather(going(ada, ada_id), going(bob, bob_id))
    assert sorted(each.is_success for each in answers) == [False, True]
    assert [refusal(each) for each in answers if not each.is_success] == [(409, "last_owner")]
    assert len(await house.query("SELECT id FROM person WHERE role = 'owner'")) == (2 if way == "be erased" else 1)
    assert (await eve.get("/api/me")).json()["role"] == "member"


async def test_a_stolen_cookie_changes_nobodys_role(house: House) -> None:
    owner = await house.signed_in(OWNER)
    _, bob_id = await join(house, owner, BOB, "member")
    house.clock.move(timedelta(minutes=10, seconds=1))
    for refused in (
        await owner.patch(f"/api/tenant/members/{bob_id}", json={"role": "owner"}),
        await owner.delete(f"/api/tenant/members/{bob_id}"),
        await owner.post("/api/tenant/invitations", json={"email": EVE}),
        await owner.post("/api/tenant/leave"),
    ):
        assert refusal(refused) == (403, "step_up_needed")
    assert await members(owner) == {OWNER: "owner", BOB: "member"}


async def test_who_is_alone_can_be_erased(house: House) -> None:
    owner = await house.signed_in(OWNER)
    bob, _ = await join(house, owner, BOB, "member")
    assert (await bob.post("/api/tenant/leave")).status_code == 204
    asked = await owner.post("/api/privacy/requests", json={"kind": "erase", "password": PASSWORD})
    assert asked.status_code == 202


async def test_strangers_of_another_organisation_are_not_there(house: House) -> None:
    owner, other = await house.signed_in(OWNER), await house.signed_in(EVE)
    bob, bob_id = await join(house, owner, BOB, "member")
    open_id = (await owner.post("/api/tenant/invitations", json={"email": "x@example.org"})).json()["id"]
    assert await members(other) == {EVE: "owner"}
    assert (await other.get("/api/tenant/invitations")).json() == []
    for method, path in (
        ("PATCH", f"/api/tenant/members/{bob_id}"),
        ("DELETE", f"/api/tenant/members/{bob_id}"),
        ("DELETE", f"/api/tenant/invitations/{open_id}"),
    ):
        body = {"role": "viewer"} if method == "PATCH" else None
        assert refusal(await other.request(method, path, json=body)) == (404, "not_found")
    assert (await bob.get("/api/me")).json()["role"] == "member"


async def test_one_organisation_cannot_fill_mailboxes(house: House) -> None:
    owner = await house.signed_in(OWNER)
    answers = [
        await owner.post("/api/tenant/invitations", json={"email": f"p{number}@example.org"}) for number in range(22)
    ]
    assert [answer.status_code for answer in answers] == [201] * 21 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    assert await house.rows("invitation") == 21
