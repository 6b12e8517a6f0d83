"""API keys: made, shown once, found, listed, revoked; and never somebody else's."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from tests import LIMIT_S
from tests.accounts.conftest import PASSWORD, House, Start

from avow.accounts import key_text, keys
from avow.accounts.directory import Directory, KeyExpired, KeyRecord, KeyRefused, KeyRevoked, NotConfirmed
from avow.accounts.needs import pepper
from avow.accounts.tables import person

ADA, BOB = "ada@example.org", "bob@example.org"


class Ticks:
    """A monotonic clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


async def test_a_key_is_shown_once_and_found_by_its_text_alone(house: House) -> None:
    browser = await house.signed_in(ADA)
    made = (await browser.post("/api/keys", json={"name": "laptop"})).json()
    assert set(made) == {"id", "prefix", "secret"} and made["secret"].startswith(made["prefix"] + "-")
    me = (await browser.get("/api/me")).json()
    found = await house.needs.directory.find(made["secret"])
    assert (str(found.key_id), str(found.subject_id), str(found.tenant_id)) == (made["id"], me["id"], me["tenant_id"])
    assert found.wallet_id == house.credits[0][2]
    assert (found.keep_h, found.tenant_keep_h) == (None, None)
    assert (found.actor.kind, found.actor.subject_id) == ("key", found.subject_id)
    listed = await browser.get("/api/keys")
    assert [(key["name"], key["prefix"], key["state"]) for key in listed.json()["keys"]] == [
        ("laptop", made["prefix"], "active")
    ]
    assert made["secret"] not in listed.text


async def test_the_secret_is_nowhere_in_the_database(house: House) -> None:
    browser = await house.signed_in(ADA)
    secret = (await browser.post("/api/keys", json={})).json()["secret"].split("-")[3]
    for word in (secret, secret.encode().hex()):
        assert await house.query("SELECT 1 FROM api_key t WHERE position(:word in t::text) > 0", word=word) == []


async def test_a_key_opens_its_owners_data_but_makes_no_keys(house: House) -> None:
    browser = await house.signed_in(ADA)
    secret = (await browser.post("/api/keys", json={})).json()["secret"]
    program = house.browser(authorization=f"Bearer {secret}")
    assert (await program.get("/api/me")).json()["facts"]["email"] == ADA
    for method, path in (("POST", "/api/keys"), ("GET", "/api/keys"), ("PATCH", "/api/tenant"), ("PATCH", "/api/me")):
        refused = await program.request(method, path, json={"keep_h": 1} if path == "/api/tenant" else {})
        assert (refused.status_code, refused.json()["code"]) == (403, "session_needed")
        assert "/api/auth/login" in refused.json()["hint"]


async def test_a_wrong_checksum_asks_no_database(house: House) -> None:
    browser = await house.signed_in(ADA)
    secret = (await browser.post("/api/keys", json={})).json()["secret"]
    typo = secret[:-1] + ("a" if secret[-1] != "a" else "b")
    without_database = Directory(None, b"", house.clock, must_confirm=False)  # type: ignore[arg-type]
    for text in (typo, secret[:-1], "", "sk-avow-", "Bearer", "é" * 77):
        with pytest.raises(KeyRefused):
            await without_database.find(text)


async def test_the_right_public_id_with_another_secret_is_refused(house: House) -> None:
    browser = await house.signed_in(ADA)
    made = (await browser.post("/api/keys", json={})).json()
    head = f"{made['prefix']}-{'0' * 43}-"
    refused = await house.browser(authorization=f"Bearer {head}{key_text.checksum(head)}").get("/api/me")
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_api_key")
    unknown = key_text.make().text
    assert (await house.browser(authorization=f"Bearer {unknown}").get("/api/me")).json() == refused.json()


async def test_a_key_that_is_revoked_again_and_again_is_written_down_once(house: House) -> None:
    """Else whoever has one key fills the list of erasures, of which nothing ever goes."""
    browser = await house.signed_in(ADA)
    made = (await browser.post("/api/keys", json={})).json()
    before = len(house.needs.tombstones.path.read_bytes()) if house.needs.tombstones.path.exists() else 0
    sizes = set()
    for _ in range(3):
        assert (await browser.delete(f"/api/keys/{made['id']}")).status_code == 204
        assert (await house.browser().post("/api/keys/leaked", json={"key": made["secret"]})).status_code == 202
        sizes.add(len(house.needs.tombstones.path.read_bytes()))
    assert len(sizes) == 1 and min(sizes) > before
    acts = [each["act"] for each in (await browser.get("/api/me/openings")).json()["openings"]]
    assert acts.count("revoke key") == 1


async def test_a_revoked_key_is_refused_at_once_and_stays_in_the_list(house: House) -> None:
    browser = await house.signed_in(ADA)
    made = (await browser.post("/api/keys", json={})).json()
    assert (await house.needs.directory.find(made["secret"])).key_id == UUID(made["id"])
    assert (await browser.delete(f"/api/keys/{made['id']}")).status_code == 204
    with pytest.raises(KeyRevoked):
        await house.needs.directory.find(made["secret"])
    assert (await browser.delete(f"/api/keys/{made['id']}")).status_code == 204
    (key,) = (await browser.get("/api/keys")).json()["keys"]
    assert key["state"] == "revoked" and key["revoked_at"]


async def test_another_process_hears_of_a_revocation(house: House) -> None:
    browser = await house.signed_in(ADA)
    made = (await browser.post("/api/keys", json={})).json()
    ticks = Ticks()
    other = Directory(house.databases.app, pepper(house.needs.ring), house.clock, must_confirm=False, monotonic=ticks)
    watching = asyncio.create_task(other.watch())
    await other.listening.wait()
    await other.find(made["secret"])
    assert len(other) == 1
    await browser.delete(f"/api/keys/{made['id']}")
    async with asyncio.timeout(LIMIT_S):
        while len(other):  # noqa: ASYNC110  the memory has no event
            await asyncio.sleep(0.01)
    with pytest.raises(KeyRevoked):
        await other.find(made["secret"])
    watching.cancel()


async def test_a_process_that_misses_the_news_forgets_within_two_seconds(house: House) -> None:
    browser = await house.signed_in(ADA)
    made = (await browser.post("/api/keys", json={})).json()
    ticks = Ticks()
    deaf = Directory(house.databases.app, pepper(house.needs.ring), house.clock, must_confirm=False, monotonic=ticks)
    await deaf.find(made["secret"])
    await browser.delete(f"/api/keys/{made['id']}")
    ticks.now_s += 1.9
    assert (await deaf.find(made["secret"])).key_id == UUID(made["id"])
    with pytest.raises(KeyRevoked):
        await deaf.find(made["secret"], fresh=True)
    ticks.now_s += 0.2
    with pytest.raises(KeyRevoked):
        await deaf.find(made["secret"])


async def test_many_who_ask_at_once_cost_one_look_into_the_database(house: House) -> None:
    browser = await house.signed_in(ADA)
    made = (await browser.post("/api/keys", json={})).json()

    class Counting(Directory):
        looks = 0

        async def _fetch(self, public_id: str) -> Any:
            self.looks += 1
            return await super()._fetch(public_id)

    directory = Counting(house.databases.app, pepper(house.needs.ring), house.clock, must_confirm=False)
    asking = [asyncio.create_task(directory.find(made["secret"])) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()  # who began to ask goes: the others have their answer all the same
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert {each.key_id for each in found[1:] if isinstance(each, KeyRecord)} == {UUID(made["id"])}
    assert directory.looks == 1
    directory.clear()
    asking = [asyncio.create_task(directory.find(made["secret"])) for _ in range(2)]
    await asyncio.sleep(0)
    directory.forget(found[1].tenant_id)  # a change is announced: whoever asks from now on asks anew
    await asyncio.gather(*asking, directory.find(made["secret"]))
    assert directory.looks == 3


async def test_the_memory_of_keys_is_bounded(house: House) -> None:
    browser = await house.signed_in(ADA)
    made = [(await browser.post("/api/keys", json={})).json()["secret"] for _ in range(4)]
    small = Directory(house.databases.app, pepper(house.needs.ring), house.clock, must_confirm=False, size_max=2)
    for secret in made:
        await small.find(secret)
    assert len(small) == 2


async def test_an_expired_key_is_refused_though_it_is_remembered(house: House) -> None:
    browser = await house.signed_in(ADA)
    end = house.clock.now() + timedelta(hours=1)
    secret = (await browser.post("/api/keys", json={"expires_at": end.isoformat()})).json()["secret"]
    await house.needs.directory.find(secret)
    house.clock.move(timedelta(hours=1, seconds=1))
    with pytest.raises(KeyExpired):
        await house.needs.directory.find(secret)


async def test_nobody_signs_in_and_no_key_works_before_confirmation_where_that_is_asked(start: Start) -> None:
    house: House = await start(must_confirm=True)
    browser, entry = house.browser(), {"email": ADA, "password": PASSWORD}
    assert (await browser.post("/api/auth/signup", json=entry)).status_code == 202
    mine = await browser.post("/api/auth/login", json=entry)
    nobodys = await browser.post("/api/auth/login", json={**entry, "email": BOB})
    assert mine.status_code == nobodys.status_code == 401 and mine.content == nobodys.content
    await browser.post("/api/auth/confirm", json={"token": await house.token(ADA)})
    assert (await browser.post("/api/auth/login", json=entry)).status_code == 200
    secret = (await browser.post("/api/keys", json={})).json()["secret"]
    assert await house.needs.directory.find(secret)
    async with house.databases.keeper.begin() as connection:
        await connection.execute(update(person).values(confirmed_at=None))
    with pytest.raises(NotConfirmed):
        await house.needs.directory.find(secret, fresh=True)


async def test_an_end_beyond_all_calendars_is_refused(house: House) -> None:
    browser = await house.signed_in(ADA)
    refused = await browser.post("/api/keys", json={"expires_at": "9999-12-31T23:59:59-23:59"})
    assert (refused.status_code, refused.json()["param"]) == (400, "expires_at")


async def test_somebody_elses_key_is_not_there(house: House) -> None:
    ada, bob = await house.signed_in(ADA), await house.signed_in(BOB)
    made = (await ada.post("/api/keys", json={})).json()
    refused = await bob.delete(f"/api/keys/{made['id']}")
    unknown = await bob.delete("/api/keys/01890000-0000-7000-8000-000000000000")
    assert refused.status_code == unknown.status_code == 404 and refused.content == unknown.content
    assert (await bob.get("/api/keys")).json()["keys"] == []
    assert (await house.needs.directory.find(made["secret"])).key_id == UUID(made["id"])


async def test_a_list_is_read_in_pages(house: House) -> None:
    browser = await house.signed_in(ADA)
    made = [(await browser.post("/api/keys", json={"name": str(n)})).json()["id"] for n in range(5)]
    seen, after = [], None
    while True:
        params = {"limit": 2} | ({"after": after} if after else {})
        page = (await browser.get("/api/keys", params=params)).json()
        seen += [key["id"] for key in page["keys"]]
        after = page["after"]
        if after is None:
            break
    assert seen == made
    for limit in (0, 101, "x"):
        assert (await browser.get("/api/keys", params={"limit": limit})).status_code == 400


async def test_one_person_has_only_so_many_active_keys(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "ACTIVE_MAX", 2)
    browser = await house.signed_in(ADA)
    answers = await asyncio.gather(*(browser.post("/api/keys", json={}) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409]


async def test_the_halves_of_content_keys_are_made_with_the_key(house: House) -> None:
    browser = await house.signed_in(ADA)
    me = UUID((await browser.get("/api/me")).json()["id"])
    assert house.needs.ring.holder(me, "api_content") is None
    await browser.post("/api/keys", json={})
    assert house.needs.ring.holder(me, "api_content") and house.needs.ring.holder(me, "usage")


WRONG_WISHES: list[dict[str, object]] = [
    {"name": "n" * 201},
    {"name": 1},
    {"name": "a\u0007b"},
    {"keep_h": -1},
    {"keep_h": 1.5},
    {"keep_h": True},
    {"keep_h": 10**30},
    {"keep_h": 721},
    {"expires_at": "tomorrow"},
    {"expires_at": "2000-01-01T00:00:00Z"},
    {"expires_at": "2100-01-01T00:00:00"},
    {"wallet_id": "01890000-0000-7000-8000-000000000000"},
    {"state": "active"},
]


async def test_a_wrong_wish_makes_no_key(house: House) -> None:
    browser = await house.signed_in(ADA)
    for body in WRONG_WISHES:
        refused = await browser.post("/api/keys", json=body)
        assert refused.status_code == 400 and refused.json()["detail"], body
    assert await house.rows("api_key") == 0


async def test_a_tenant_asks_for_content_to_be_kept_within_the_policy(house: House) -> None:
    browser = await house.signed_in(ADA)
    secret = (await browser.post("/api/keys", json={"keep_h": 24})).json()["secret"]
    await house.needs.directory.find(secret)
    assert (await browser.patch("/api/tenant", json={"keep_h": 720})).json() == {"keep_h": 720}
    found = await house.needs.directory.find(secret)
    assert (found.keep_h, found.tenant_keep_h) == (24, 720)
    refused = await browser.patch("/api/tenant", json={"keep_h": 721})
    assert (refused.status_code, refused.json()["code"]) == (400, "keep_refused") and "720" in refused.json()["detail"]
    assert (await browser.get("/api/me")).json()["keep_h"] == 720
    await browser.patch("/api/tenant", json={"keep_h": None})
    assert (await house.needs.directory.find(secret)).tenant_keep_h is None


async def test_a_tenants_wish_counts_at_once_and_changes_nobody_elses_rules(house: House) -> None:
    browser = await house.signed_in(ADA)
    secret = (await browser.post("/api/keys", json={})).json()["secret"]
    assert (await house.needs.directory.find(secret)).tenant_keep_h is None
    async with house.databases.keeper.begin() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO policy_epoch VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET epoch = 7"
        )
    await browser.patch("/api/tenant", json={"keep_h": 1})
    assert (await house.needs.directory.find(secret)).tenant_keep_h == 1
    assert (await house.query("SELECT epoch FROM policy_epoch"))[0].epoch == 7


async def test_the_products_role_cannot_read_a_tenants_kind(house: House) -> None:
    browser = await house.signed_in(ADA)
    tenant_id = UUID((await browser.get("/api/me")).json()["tenant_id"])
    assert [row.kind for row in await house.query("SELECT kind FROM tenant_kind")] == ["customer"]
    with pytest.raises(Exception, match="permission denied"):
        async with house.databases.app.tenant(tenant_id) as connection:
            await connection.exec_driver_sql("SELECT kind FROM tenant_kind")


async def test_the_database_itself_hides_other_tenants_rows(house: House) -> None:
    ada, bob = await house.signed_in(ADA), await house.signed_in(BOB)
    await ada.post("/api/keys", json={})
    bobs = UUID((await bob.get("/api/me")).json()["tenant_id"])
    async with house.databases.app.tenant(bobs) as connection:
        for table in ("tenant", "person", "credential", "session", "api_key", "confirmation"):
            seen = await connection.exec_driver_sql(f"SELECT DISTINCT tenant_id FROM {table}")
            assert {row.tenant_id for row in seen} <= {bobs}


async def test_a_key_is_made_with_limits_and_shows_them(house: House) -> None:
    browser = await house.signed_in(ADA)
    limits = {"requests_per_min": 60, "budget_day_nano": 10**9, "budget_total_nano": 0}
    made = await browser.post("/api/keys", json={"limits": limits})
    assert made.status_code == 201
    (key,) = (await browser.get("/api/keys")).json()["keys"]
    assert {name: value for name, value in key["limits"].items() if value is not None} == limits


@pytest.mark.parametrize(
    "limits",
    [
        {"requests_per_min": 0},
        {"tokens_per_min": -1},
        {"budget_day_nano": -1},
        {"budget_month_nano": 2**53},
        {"budget_total_nano": 1.5},
        {"requests_per_min": "sixty"},
        {"requests_per_hour": 60},
        [],
    ],
)
async def test_limits_that_are_none_are_refused_by_name(house: House, limits: object) -> None:
    browser = await house.signed_in(ADA)
    refused = await browser.post("/api/keys", json={"limits": limits})
    assert refused.status_code == 400 and refused.json()["param"]
    assert await house.rows("api_key") == 0
