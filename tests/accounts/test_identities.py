"""Signing in with an identity provider, against one on loopback; nothing mixed up, replayed or merged."""

import base64
import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from joserfc.jwk import OctKey, RSAKey
from tests.accounts.conftest import PASSWORD, House
from tests.accounts.provider import CLIENT, SECRET, LocalProvider, Person

from avow.accounts.networks import Networks
from avow.accounts.oidc import CALLBACK, Provider, ProviderUnfit

ADA = "ada@example.org"
OTHER = RSAKey.generate_key(2048, {"kid": "two"})


async def start(browser: httpx.AsyncClient) -> str:
    answer = await browser.get("/api/auth/provider/start")
    assert answer.status_code == 302, answer.text
    return answer.headers["location"]


async def enter(provider: LocalProvider, browser: httpx.AsyncClient, **answer: str) -> httpx.Response:
    return await browser.get(CALLBACK, params=provider.agree(await start(browser), **answer))


async def test_a_newcomer_gets_an_account_and_comes_back_to_it(house: House, provider: LocalProvider) -> None:
    browser = house.browser()
    entered = await enter(provider, browser)
    assert (entered.status_code, entered.headers["location"]) == (303, "/app")
    me = (await browser.get("/api/me")).json()
    assert me["confirmed"] is True and me["facts"] == {"email": ADA, "name": "Ada Lovelace"}
    provider.person = Person(email="ada.king@example.org", name="Ada King")
    again = house.browser()
    await enter(provider, again)
    assert (await again.get("/api/me")).json() == me
    assert await house.rows("person") == len(house.credits) == 1


async def test_an_account_without_password_gets_one_by_reset(house: House, provider: LocalProvider) -> None:
    await enter(provider, house.browser())
    login = {"email": ADA, "password": PASSWORD}
    assert (await house.browser().post("/api/auth/login", json=login)).status_code == 401
    await house.browser().post("/api/auth/reset", json={"email": ADA})
    finished = {"token": await house.token(ADA, "reset"), "password": PASSWORD}
    assert (await house.browser().post("/api/auth/reset/finish", json=finished)).status_code == 204
    assert (await house.browser().post("/api/auth/login", json=login)).status_code == 200


async def test_an_address_that_has_an_account_is_never_merged(house: House, provider: LocalProvider) -> None:
    await house.signed_in(ADA)
    browser = house.browser()
    refused = await enter(provider, browser)
    assert (refused.status_code, refused.json()["code"]) == (409, "provider_not_linked")
    assert (await browser.get("/api/me")).status_code == 401
    assert await house.rows("identity") == 0


@pytest.mark.parametrize("verified", [False, None, "true", 1])
async def test_an_unverified_address_opens_and_tells_nothing(
    house: House, provider: LocalProvider, verified: object
) -> None:
    await house.signed_in(ADA)
    answers = []
    for email in (ADA, "nobody@example.org"):
        provider.person = Person(email=email, email_verified=verified)
        answers.append(await enter(provider, house.browser()))
    assert {answer.status_code for answer in answers} == {403}
    assert answers[0].content == answers[1].content
    assert await house.rows("person") == 1


async def test_a_person_links_their_identity_and_enters_with_it(house: House, provider: LocalProvider) -> None:
    browser = await house.signed_in("other@example.org")
    begun = await browser.post("/api/me/identities")
    linked = await browser.get(CALLBACK, params=provider.agree(begun.json()["url"]))
    assert linked.status_code == 303, linked.text
    other = house.browser()
    await enter(provider, other)
    me = (await other.get("/api/me")).json()
    assert me["facts"]["email"] == "other@example.org"
    listed = (await other.get("/api/me/identities")).json()
    assert [each["issuer"] for each in listed] == [provider.issuer]
    eve = await house.signed_in("eve@example.org")
    path = f"/api/me/identities/{listed[0]['id']}"
    assert (await eve.delete(path)).status_code == 404
    taken = await eve.get(CALLBACK, params=provider.agree((await eve.post("/api/me/identities")).json()["url"]))
    assert (taken.status_code, taken.json()["code"]) == (409, "identity_taken")
    assert (await other.delete(path)).status_code == 204
    assert await house.rows("identity") == 0


async def test_linking_needs_a_fresh_session_of_the_person_who_began(house: House, provider: LocalProvider) -> None:
    browser = await house.signed_in("other@example.org")
    address = (await browser.post("/api/me/identities")).json()["url"]
    await browser.post("/api/auth/logout")
    eve = await house.signed_in("eve@example.org")
    browser.cookies.set("avow", eve.cookies["avow"])
    refused = await browser.get(CALLBACK, params=provider.agree(address))
    assert (refused.status_code, refused.json()["code"]) == (400, "ceremony_refused")
    house.clock.move(timedelta(minutes=11))
    assert (await eve.post("/api/me/identities")).json()["code"] == "step_up_needed"
    assert await house.rows("identity") == 0


async def test_a_browser_that_is_refused_goes_on_to_the_app_which_says_why(
    house: House, provider: LocalProvider
) -> None:
    assert (await house.browser().get("/api/auth/provider")).json() == {"name": provider.issuer.partition("//")[2]}
    await house.signed_in(ADA)
    browser, html = house.browser(), {"accept": "text/html,application/xhtml+xml"}
    refused = await browser.get(CALLBACK, params=provider.agree(await start(browser)), headers=html)
    assert (refused.status_code, refused.headers["location"]) == (303, "/app/sign-in?refused=provider_not_linked")
    assert (await browser.get("/api/me")).status_code == 401
    other = await house.signed_in("other@example.org")
    url = (await other.post("/api/me/identities")).json()["url"]
    given = provider.agree(url) | {"iss": "https://evil.example"}
    again = await other.get(CALLBACK, params=given, headers=html)
    assert again.headers["location"] == "/app/settings?refused=provider_refused"
    assert await house.rows("identity") == 0


async def test_where_no_provider_is_set_up_none_is_named(house: House) -> None:
    assert (await house.browser().get("/api/auth/provider")).json() == {"name": None}


async def test_an_answer_counts_once_and_only_in_the_browser_that_asked(house: House, provider: LocalProvider) -> None:
    browser, other = house.browser(), house.browser()
    answer = provider.agree(await start(browser))
    cookie = browser.cookies["avow-ceremony"]
    await start(other)
    assert (await other.get(CALLBACK, params=answer)).json()["code"] == "ceremony_refused"
    assert (await house.browser().get(CALLBACK, params=answer)).json()["code"] == "ceremony_refused"
    assert (await browser.get(CALLBACK, params=answer)).status_code == 303
    again = house.browser()
    again.cookies.set("avow-ceremony", cookie)
    assert (await again.get(CALLBACK, params=answer)).json()["code"] == "ceremony_refused"
    assert provider.asked.count("token") == 1


async def test_a_code_of_another_ceremony_is_refused_by_its_verifier(house: House, provider: LocalProvider) -> None:
    mine, theirs = house.browser(), house.browser()
    injected = provider.agree(await start(theirs))["code"]
    refused = await enter(provider, mine, code=injected)
    assert (refused.status_code, refused.json()["code"]) == (400, "provider_refused")


async def test_an_answer_of_another_provider_is_not_redeemed(house: House, provider: LocalProvider) -> None:
    mixed = await enter(provider, house.browser(), iss="https://evil.example")
    assert (mixed.status_code, mixed.json()["code"]) == (400, "provider_refused")
    browser = house.browser()
    answer = provider.agree(await start(browser))
    del answer["iss"]
    assert (await browser.get(CALLBACK, params=answer)).json()["code"] == "provider_refused"
    assert "token" not in provider.asked


async def test_too_late_and_doubled_and_empty_answers_are_refused(house: House, provider: LocalProvider) -> None:
    browser = house.browser()
    answer = provider.agree(await start(browser))
    doubled = [*answer.items(), ("state", answer["state"])]
    assert (await browser.get(CALLBACK, params=doubled)).json()["code"] == "invalid_request"
    for odd in ({}, {"state": "é"}, {"state": "enter."}, {"state": "link." + answer["state"][6:], "code": "x"}):
        assert (await browser.get(CALLBACK, params=odd)).json()["code"] == "ceremony_refused"
    denied = {"state": answer["state"], "error": "access_denied", "iss": provider.issuer}
    assert (await browser.get(CALLBACK, params=denied)).json()["code"] == "provider_refused"
    late = provider.agree(await start(browser))
    house.clock.move(timedelta(minutes=10))
    assert (await browser.get(CALLBACK, params=late)).json()["code"] == "ceremony_refused"


FALSE_CLAIMS: list[dict[str, Any]] = [
    {"iss": "https://evil.example"},
    {"iss": None},
    {"aud": "somebody else"},
    {"aud": None},
    {"aud": [CLIENT, "somebody else"]},
    {"aud": [CLIENT, "somebody else"], "azp": "somebody else"},
    {"azp": "somebody else"},
    {"nonce": "another"},
    {"nonce": None},
    {"exp": 1},
    {"exp": None},
    {"exp": "soon"},
    {"iat": None},
    {"iat": 99999999999},
    {"sub": None},
    {"sub": ""},
    {"sub": 7},
    {"sub": "x" * 256},
]


async def test_an_id_token_with_a_false_claim_is_refused(house: House, provider: LocalProvider) -> None:
    for claims in FALSE_CLAIMS:
        provider.claims = claims
        refused = await enter(provider, house.browser())
        assert (refused.status_code, refused.json()["code"]) == (400, "provider_refused"), claims
    provider.claims = {"aud": [CLIENT, "somebody else"], "azp": CLIENT}
    assert (await enter(provider, house.browser())).status_code == 303
    assert await house.rows("person") == 1


async def test_an_id_token_that_the_provider_did_not_sign_is_refused(house: House, provider: LocalProvider) -> None:
    public = OctKey.import_key(json.dumps(provider.key.as_dict(private=False)))
    for provider.sign_with, provider.header in ((OTHER, {}), (public, {"alg": "HS256"}), (OTHER, {"kid": "two"})):
        refused = await enter(provider, house.browser())
        assert refused.json()["code"] == "provider_refused", provider.header
    assert await house.rows("person") == 0


async def test_what_is_no_signed_token_is_refused(house: House, provider: LocalProvider) -> None:
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    odd = base64.urlsafe_b64encode(b"[]").decode()
    for provider.token in ("", "x", "a.b.c", f"{none}.e30.", f"{odd}.e30.x", "é.é.é", "e30." * 1000):
        refused = await enter(provider, house.browser())
        assert (refused.status_code, refused.json()["code"]) == (400, "provider_refused"), provider.token
    browser = house.browser()
    answer = provider.agree(await start(browser))
    body = provider.id_token(provider.codes[answer["code"]]["nonce"]).split(".")[1]
    provider.token = f"{none}.{body}."
    assert (await browser.get(CALLBACK, params=answer)).json()["code"] == "provider_refused"
    assert await house.rows("person") == 0


async def test_a_provider_that_changes_its_key_is_asked_again_but_not_for_every_made_up_one(
    house: House, provider: LocalProvider
) -> None:
    assert (await enter(provider, house.browser())).status_code == 303
    provider.key = OTHER
    assert (await enter(provider, house.browser())).json()["code"] == "provider_refused"
    assert provider.asked.count("keys") == 1
    house.clock.move(timedelta(minutes=1))
    assert (await enter(provider, house.browser())).status_code == 303


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
        {"token_endpoint": "http://[broken"},
    ],
)
async def test_a_configuration_that_leads_elsewhere_is_refused(
    house: House, provider: LocalProvider, metadata: dict[str, Any]
) -> None:
    provider.metadata = metadata
    refused = await house.browser().get("/api/auth/provider/start")
    assert (refused.status_code, refused.json()["code"]) == (500, "provider_unfit")


async def test_a_provider_that_is_away_or_talks_without_end_is_said_to_be(
    house: House, provider: LocalProvider
) -> None:
    provider.metadata = {"x": "y" * 300_000}
    refused = await house.browser().get("/api/auth/provider/start")
    assert (refused.status_code, refused.json()["code"]) == (502, "provider_silent")
    await provider.stop()
    refused = await house.browser().get("/api/auth/provider/start")
    assert (refused.status_code, refused.json()["code"]) == (502, "provider_silent")


async def test_a_network_that_begins_very_many_waits(house: House, provider: LocalProvider) -> None:
    object.__setattr__(house.needs, "beginnings", Networks(free=2))
    stranger = house.visitor("8.8.8.8")
    for _ in range(3):
        await start(stranger)
    slowed = await stranger.get("/api/auth/provider/start")
    assert (slowed.status_code, slowed.json()["code"]) == (429, "network_slowed")
    assert await house.rows("ceremony") == 3
    await start(house.visitor("8.8.4.4"))


async def test_without_a_provider_it_is_said(house: House) -> None:
    for browser, method, path in (
        (house.browser(), "GET", "/api/auth/provider/start"),
        (house.browser(), "GET", CALLBACK),
        (await house.signed_in(ADA), "POST", "/api/me/identities"),
    ):
        refused = await browser.request(method, path)
        assert (refused.status_code, refused.json()["code"]) == (404, "provider_not_configured")


@pytest.mark.parametrize("issuer", ["http://evil.example", "ftp://localhost", "localhost", "http://[x"])
def test_an_issuer_without_tls_is_only_on_this_machine(house: House, issuer: str) -> None:
    with pytest.raises(ProviderUnfit):
        Provider(issuer, CLIENT, SECRET, "", house.clock)


async def test_who_somebody_is_elsewhere_is_nowhere_readable(
    house: House, provider: LocalProvider, marker: str
) -> None:
    provider.person = Person(sub=marker)
    await enter(provider, house.browser())
    for word in (marker, marker.encode().hex()):
        assert not await house.query("SELECT 1 FROM identity t WHERE t::text LIKE '%' || :word || '%'", word=word)
