"""Sign-up, confirmation, sign-in, sign-out and one's own data, over HTTP."""

from datetime import timedelta

from argon2 import PasswordHasher
from tests.accounts.conftest import PASSWORD, House, Start

from avow.catalog import metadata

ADA = "ada@example.org"


async def test_sign_up_sign_in_me_sign_out(house: House) -> None:
    browser = await house.signed_in(ADA, name="Ada Lovelace")
    me = (await browser.get("/api/me")).json()
    assert me["facts"] == {"email": ADA, "name": "Ada Lovelace"}
    assert me["confirmed"] is False and me["keep_h"] is None
    cookies = dict(browser.cookies)
    assert (await browser.post("/api/auth/logout")).status_code == 204
    assert not browser.cookies
    browser.cookies.update(cookies)
    assert (await browser.get("/api/me")).status_code == 401


async def test_a_sign_up_opens_one_wallet_with_its_first_credit(house: House) -> None:
    browser = await house.signed_in(ADA)
    me = (await browser.get("/api/me")).json()
    wallets = await house.query("SELECT wallet_id FROM tenant")
    assert [(str(tenant), str(subject)) for tenant, subject, _ in house.credits] == [(me["tenant_id"], me["id"])]
    assert [row.wallet_id for row in wallets] == [wallet for _, _, wallet in house.credits]


async def test_the_address_is_confirmed_once_by_the_token_of_the_mail(house: House) -> None:
    browser = await house.signed_in(ADA)
    token = await house.token(ADA)
    assert (await browser.post("/api/auth/confirm", json={"token": token})).json() == {"confirmed": True}
    assert (await browser.get("/api/me")).json()["confirmed"] is True
    again = await browser.post("/api/auth/confirm", json={"token": token})
    assert (again.status_code, again.json()["code"]) == (400, "confirmation_refused")


async def test_a_confirmation_is_too_old_after_a_day(house: House) -> None:
    browser = await house.signed_in(ADA)
    token = await house.token(ADA)
    house.clock.move(timedelta(hours=24, seconds=1))
    assert (await browser.post("/api/auth/confirm", json={"token": token})).status_code == 400


async def test_a_second_sign_up_reads_the_same_and_only_the_owner_hears_of_it(house: House) -> None:
    browser = house.browser()
    first = await browser.post("/api/auth/signup", json={"email": ADA, "password": PASSWORD})
    await browser.post("/api/auth/confirm", json={"token": await house.token(ADA)})
    hashed = house.hasher.hashed
    second = await browser.post("/api/auth/signup", json={"email": "ADA@example.org", "password": PASSWORD + "!"})
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert set(first.headers) == set(second.headers)
    assert house.hasher.hashed == hashed + 1
    assert await house.rows("person") == await house.rows("tenant") == 1
    to, subject, text = (await house.mail())[-1]
    assert to == ADA and "already" in subject and "/confirm#" not in text


async def test_a_repeated_sign_up_does_not_fill_a_mailbox(house: House) -> None:
    browser = house.browser()
    for _ in range(7):
        await browser.post("/api/auth/signup", json={"email": ADA, "password": PASSWORD})
    assert len(await house.mail()) == 4
    house.clock.move(timedelta(hours=2))
    await browser.post("/api/auth/signup", json={"email": ADA, "password": PASSWORD})
    assert len(await house.mail()) == 5


async def test_an_owner_whom_a_stranger_forestalled_is_sent_a_reset_and_the_confirmation_ends(house: House) -> None:
    browser = house.browser()
    for _ in range(2):
        await browser.post("/api/auth/signup", json={"email": ADA, "password": PASSWORD})
    assert len(await house.mail()) == 2
    assert (await browser.post("/api/auth/confirm", json={"token": await house.token(ADA)})).status_code == 400
    taken = {"token": await house.token(ADA, "reset"), "password": PASSWORD + "!"}
    assert (await browser.post("/api/auth/reset/finish", json=taken)).status_code == 204
    assert await house.query("SELECT 1 FROM person WHERE confirmed_at IS NOT NULL")


async def test_a_look_alike_of_an_address_gets_no_mail(house: House) -> None:
    browser = house.browser()
    await browser.post("/api/auth/signup", json={"email": ADA, "password": PASSWORD})
    await browser.post("/api/auth/signup", json={"email": "ada@ｅxample.org", "password": PASSWORD})
    assert {to for to, _, _ in await house.mail()} == {ADA}


async def test_known_and_unknown_people_cost_the_same_work_and_read_the_same(house: House) -> None:
    await house.signed_in(ADA)
    browser = house.browser()
    answers = []
    for email in (ADA, "nobody@example.org"):
        compared = house.hasher.compared
        answers.append(await browser.post("/api/auth/login", json={"email": email, "password": "wrong password here"}))
        assert house.hasher.compared == compared + 1
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].content == answers[1].content
    assert set(answers[0].headers) == set(answers[1].headers)


async def test_sign_in_makes_a_new_session_and_ends_the_old_one(house: House) -> None:
    browser = await house.signed_in(ADA)
    old = browser.cookies["avow"]
    await browser.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
    assert browser.cookies["avow"] != old
    assert await house.rows("session") == 1
    stale = house.browser()
    stale.cookies.set("avow", old)
    assert (await stale.get("/api/me")).status_code == 401


async def test_wrong_passwords_slow_an_account_down_but_not_its_session(house: House) -> None:
    known = await house.signed_in(ADA)
    stranger = house.browser()
    wrong = {"email": ADA, "password": "wrong password here"}
    statuses = [(await stranger.post("/api/auth/login", json=wrong)).status_code for _ in range(7)]
    assert statuses == [401] * 6 + [429]
    compared = house.hasher.compared
    slowed = await stranger.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
    assert slowed.status_code == 429 and int(slowed.headers["retry-after"]) >= 1
    assert house.hasher.compared == compared
    assert (await known.get("/api/me")).status_code == 200
    house.clock.move(timedelta(seconds=2))
    assert (await stranger.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})).status_code == 200


async def test_a_session_ends_after_a_day_without_use(house: House) -> None:
    browser = await house.signed_in(ADA)
    for _ in range(3):
        house.clock.move(timedelta(hours=23))
        assert (await browser.get("/api/me")).status_code == 200
    house.clock.move(timedelta(hours=24, seconds=1))
    assert (await browser.get("/api/me")).status_code == 401


async def test_a_session_ends_after_thirty_days_in_any_case(house: House) -> None:
    browser = await house.signed_in(ADA)
    for _ in range(31):
        house.clock.move(timedelta(hours=23))
        assert (await browser.get("/api/me")).status_code == 200
    house.clock.move(timedelta(hours=8))
    assert (await browser.get("/api/me")).status_code == 401


async def test_a_person_rectifies_their_data_and_the_old_value_is_gone(house: House, marker: str) -> None:
    browser = await house.signed_in(ADA, name=marker)
    changed = await browser.patch("/api/me", json={"name": "Ada King"})
    assert changed.json()["facts"] == {"email": ADA, "name": "Ada King"}
    assert marker not in (await browser.get("/api/me")).text
    removed = await browser.patch("/api/me", json={"name": None})
    assert removed.json()["facts"] == {"email": ADA}


async def test_rectifying_takes_no_other_field_and_not_the_address(house: House) -> None:
    browser = await house.signed_in(ADA)
    for given in ({"phone": "1"}, {"email": "b@example.org"}, {"tenant_id": "x"}, {"confirmed": True}):
        refused = await browser.patch("/api/me", json=given)
        assert (refused.status_code, refused.json()["param"]) == (400, next(iter(given)))


async def test_what_a_person_told_is_nowhere_readable_in_the_database(house: House, marker: str) -> None:
    await house.signed_in(f"{marker}@example.org", name=f"name {marker}")
    for table in metadata.tables:
        for word in (marker, marker.encode().hex()):
            assert await house.query(f"SELECT 1 FROM {table} t WHERE position(:word in t::text) > 0", word=word) == []
    assert await house.query("SELECT 1 FROM person t WHERE position(id::text in t::text) > 0")


async def test_each_opening_is_on_the_persons_own_record(house: House) -> None:
    browser = await house.signed_in(ADA)
    await browser.get("/api/me")
    seen = {(row.actor.partition(":")[0], row.category) for row in await house.query("SELECT * FROM audit")}
    assert seen == {("subject", "credential"), ("subject", "account")}


async def test_a_weaker_hash_is_replaced_at_sign_in(house: House) -> None:
    await house.signed_in(ADA)
    before = (await house.query("SELECT box FROM credential"))[0].box
    house.needs.passwords.hasher = PasswordHasher(time_cost=2, memory_cost=8, parallelism=1)
    browser = house.browser()
    await browser.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
    assert (await house.query("SELECT box FROM credential"))[0].box != before
    assert (await browser.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})).status_code == 200


async def test_the_cookie_over_tls_is_bound_to_host_path_and_http(start: Start) -> None:
    house: House = await start(secure=True)
    browser = house.browser()
    await browser.post("/api/auth/signup", json={"email": ADA, "password": PASSWORD})
    answer = await browser.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
    name, _, rest = answer.headers["set-cookie"].partition("=")
    flags = {flag.strip().partition("=")[0].lower() for flag in rest.split(";")[1:]}
    assert name == "__Host-avow"
    assert {"httponly", "secure", "samesite", "path"} <= flags and "domain" not in flags
    assert "samesite=lax" in answer.headers["set-cookie"].lower() and "path=/;" in answer.headers["set-cookie"].lower()


async def test_the_cookie_without_tls_is_still_hidden_from_scripts(house: House) -> None:
    browser = house.browser()
    await browser.post("/api/auth/signup", json={"email": ADA, "password": PASSWORD})
    answer = await browser.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
    set_cookie = answer.headers["set-cookie"].lower()
    assert set_cookie.startswith("avow=") and "httponly" in set_cookie and "samesite=lax" in set_cookie
    assert answer.headers["cache-control"] == "no-store"


async def test_an_ended_session_leaves_no_tombstone_for_a_restore_ends_them_all(house: House) -> None:
    browser = await house.signed_in(ADA)
    elsewhere = house.browser()
    await elsewhere.post("/api/auth/login", json={"email": ADA, "password": PASSWORD})
    (other,) = [each for each in (await browser.get("/api/me/sessions")).json() if not each["current"]]
    assert (await browser.delete(f"/api/me/sessions/{other['id']}")).status_code == 204
    assert (await elsewhere.get("/api/me")).status_code == 401
    assert house.needs.tombstones.read() == []
