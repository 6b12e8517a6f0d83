"""What a key may be used for: by whom it is set, and that it is kept to."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any, cast
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.accounts.conftest import PASSWORD, House

from avow.accounts import key_terms, key_text
from avow.accounts.directory import AGE_S_MAX, Directory, KeyRecord, Mark, _Seen
from avow.accounts.key_terms import NetworkRefused, ScopeMissing

ADA, BOB = "ada@example.org", "bob@example.org"
PEPPER = b"pepper" * 6


def within(networks: list[str], address: str | None) -> bool:
    try:
        key_terms.admit_from(PEPPER, key_terms.digests(PEPPER, networks), address)
    except NetworkRefused:
        return False
    return True


plain = st.ip_addresses().filter(lambda address: getattr(address, "ipv4_mapped", None) is None)


@given(plain, plain, st.integers(0, 32))
def test_a_digest_matches_exactly_the_addresses_of_its_network(one: Any, other: Any, length: int) -> None:
    around = ip_network((one, length), strict=False)
    assert within([str(around)], str(one))
    assert within([str(around)], str(other)) == (other.version == one.version and other in around)


NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WORKS = KeyRecord(uuid4(), uuid4(), uuid4(), uuid4(), None, None, NOW + timedelta(hours=1))


@pytest.mark.parametrize(
    ("state", "confirmed", "terms", "known"),
    [
        ("active", True, {}, True),
        ("active", True, {"scopes": frozenset({"inference"})}, True),
        ("revoked", True, {}, False),
        ("archived", True, {}, False),
        ("active", False, {}, False),
        ("active", True, {"expires_at": NOW}, False),
        ("active", True, {"scopes": frozenset({"usage"})}, False),
        ("active", True, {"network_digests": ()}, False),
    ],
)
def test_a_key_is_at_hand_only_while_nothing_of_it_has_to_be_asked(
    state: str, confirmed: bool, terms: dict[str, Any], known: bool
) -> None:
    at_s = [0.0]
    made = Directory(*cast(Any, (None, PEPPER, None)), must_confirm=True, monotonic=lambda: at_s[0])
    mark, other = (Mark.of(key_text.make().text) for _ in range(2))
    record = replace(WORKS, **terms)
    made._seen[mark.public_id] = _Seen(0.0, b"", state, confirmed, record, mark.digest)
    assert (made.at_hand(mark, "inference", NOW) is record) == known
    assert made.at_hand(mark._replace(digest=other.digest), "inference", NOW) is None
    assert made.at_hand(other, "inference", NOW) is None
    at_s[0] = AGE_S_MAX
    assert made.at_hand(mark, "inference", NOW) is None


def test_ipv4_inside_ipv6_is_ipv4_and_an_unknown_address_is_in_no_network() -> None:
    assert within(["203.0.113.0/24"], "::ffff:203.0.113.9")
    for address in (None, "", "localhost", "203.0.114.1", "2001:db8::1"):
        assert not within(["203.0.113.0/24"], address)
    assert ip_address("203.0.113.9") in ip_network("203.0.113.0/24")


async def test_a_key_shows_the_terms_that_it_was_made_with(house: House) -> None:
    browser = await house.signed_in(ADA)
    given_terms = {
        "name": "robot",
        "scopes": ["read", "inference", "read"],
        "models": ["a/b"],
        "networks": ["203.0.113.0/24", "2001:db8::/32", "198.51.100.7"],
    }
    assert (await browser.post("/api/keys", json=given_terms)).status_code == 201
    (key,) = (await browser.get("/api/keys")).json()["keys"]
    assert (key["name"], key["project_id"], key["scopes"], key["models"]) == (
        "robot",
        None,
        ["inference", "read"],
        ["a/b"],
    )
    assert key["networks"] == ["203.0.113.0/24", "2001:db8::/32", "198.51.100.7/32"]


async def test_no_address_stands_readable_in_the_database(house: House) -> None:
    browser = await house.signed_in(ADA)
    await browser.post("/api/keys", json={"networks": ["203.0.113.0/24"], "name": "Sesame"})
    (row,) = await house.query("SELECT t::text AS told FROM api_key t")
    for word in ("203.0", "Sesame"):
        assert word not in row.told and word.encode().hex() not in row.told


async def test_a_key_does_only_what_its_scopes_name(house: House) -> None:
    browser = await house.signed_in(ADA)
    reading = (await browser.post("/api/keys", json={"scopes": ["read"]})).json()["secret"]
    calling = (await browser.post("/api/keys", json={"scopes": ["inference"]})).json()["secret"]
    assert (await house.browser(authorization=f"Bearer {reading}").get("/api/me")).status_code == 200
    refused = await house.browser(authorization=f"Bearer {calling}").get("/api/me")
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert await house.needs.directory.admit(calling, "inference", None)
    for scope in ("inference", "write"):
        with pytest.raises(ScopeMissing):
            await house.needs.directory.admit(reading, scope, None)  # type: ignore[arg-type]


async def test_a_key_works_from_its_networks_only(house: House) -> None:
    browser = await house.signed_in(ADA)
    here = (await browser.post("/api/keys", json={"networks": ["127.0.0.0/8"]})).json()["secret"]
    there = (await browser.post("/api/keys", json={"networks": ["203.0.113.0/24"]})).json()["secret"]
    assert (await house.browser(authorization=f"Bearer {here}").get("/api/me")).status_code == 200
    # An address that a client only claims counts for nothing.
    claims = {"x-forwarded-for": "203.0.113.9", "forwarded": "for=203.0.113.9", "authorization": f"Bearer {there}"}
    refused = await house.browser(**claims).get("/api/me")
    assert (refused.status_code, refused.json()["code"]) == (403, "network_refused")
    assert "127.0" not in refused.text and "203.0" not in refused.text


@pytest.mark.parametrize(
    ("setting", "param"),
    [
        ({"scopes": []}, "scopes"),
        ({"scopes": ["admin"]}, "scopes"),
        ({"models": []}, "models"),
        ({"models": ["a\u0000"]}, None),
        ({"models": ["x" * 201]}, "models"),
        ({"networks": ["203.0.113.1/24"]}, "networks"),
        ({"networks": ["example.org"]}, "networks"),
        ({"networks": ["::ffff:1.2.3.4"]}, "networks"),
        ({"networks": ["10.0.0.0/8"] * 21}, "networks"),
        ({"project_id": "a"}, "project_id"),
        ({"owner": "bob"}, "owner"),
        ({"state": "active"}, "state"),
    ],
)
async def test_a_setting_that_is_none_is_refused_by_name(house: House, setting: Any, param: str | None) -> None:
    browser = await house.signed_in(ADA)
    refused = await browser.post("/api/keys", json=setting)
    assert refused.status_code == 400
    assert param is None or refused.json()["param"].split("[")[0] == param
    key = (await browser.post("/api/keys", json={})).json()["id"]
    before = (await browser.get("/api/keys")).json()
    assert (await browser.patch(f"/api/keys/{key}", json=setting)).status_code == 400
    assert (await browser.get("/api/keys")).json() == before


async def test_a_key_is_changed_where_something_is_named_and_stays_otherwise(house: House) -> None:
    browser = await house.signed_in(ADA)
    whole = {
        "name": "a",
        "scopes": ["read"],
        "networks": ["127.0.0.0/8"],
        "limits": {"tokens_per_min": 5},
    }
    made = (await browser.post("/api/keys", json=whole)).json()
    await house.needs.directory.find(made["secret"])
    changed = await browser.patch(f"/api/keys/{made['id']}", json={"name": "b", "models": ["m"], "scopes": None})
    assert changed.status_code == 200
    (listed,) = (await browser.get("/api/keys")).json()["keys"]
    assert changed.json() == listed
    assert [listed[n] for n in ("name", "project_id", "scopes", "models", "networks")] == [
        "b",
        None,
        None,
        ["m"],
        ["127.0.0.0/8"],
    ]
    assert listed["limits"]["tokens_per_min"] == 5
    found = await house.needs.directory.find(made["secret"])
    assert (found.models, found.scopes, found.tokens_per_min) == (frozenset(["m"]), None, 5)
    await browser.patch(f"/api/keys/{made['id']}", json={"limits": {}, "networks": None})
    (listed,) = (await browser.get("/api/keys")).json()["keys"]
    assert listed["networks"] is None and set(listed["limits"].values()) == {None}
    assert (await house.needs.directory.find(made["secret"])).network_digests is None


async def test_only_its_owner_changes_a_key_and_only_while_it_is_active(house: House) -> None:
    ada, bob = await house.signed_in(ADA), await house.signed_in(BOB)
    made = (await ada.post("/api/keys", json={"name": "a"})).json()
    program = house.browser(authorization=f"Bearer {made['secret']}")
    for path, body in ((f"/api/keys/{made['id']}", {"name": "b"}), (f"/api/keys/{made['id']}/rotate", {})):
        method = "POST" if path.endswith("rotate") else "PATCH"
        assert (await bob.request(method, path, json=body)).status_code == 404
        assert (await program.request(method, path, json=body)).status_code == 403
        assert (
            await ada.request(method, path.replace(made["id"], str(house.credits[0][0])), json=body)
        ).status_code == 404
    await ada.delete(f"/api/keys/{made['id']}")
    assert (await ada.patch(f"/api/keys/{made['id']}", json={"name": "b"})).status_code == 404
    assert (await ada.post(f"/api/keys/{made['id']}/rotate", json={})).status_code == 404
    (listed,) = (await ada.get("/api/keys")).json()["keys"]
    assert listed["name"] == "a"


async def test_an_end_that_lies_behind_and_hours_that_the_policy_clips_are_refused(house: House) -> None:
    browser = await house.signed_in(ADA)
    key = (await browser.post("/api/keys", json={})).json()["id"]
    past = (house.clock.now() - timedelta(seconds=1)).isoformat()
    for change, code in (({"expires_at": past}, "invalid_request"), ({"keep_h": 100_000}, "keep_refused")):
        refused = await browser.patch(f"/api/keys/{key}", json=change)
        assert (refused.status_code, refused.json()["code"]) == (400, code)
    end = house.clock.now() + timedelta(hours=1)
    assert (await browser.patch(f"/api/keys/{key}", json={"expires_at": end.isoformat()})).status_code == 200
    house.clock.move(timedelta(hours=2))
    # The end has passed; a change of something else is no new end.
    assert (await browser.post("/api/auth/step-up", json={"password": PASSWORD})).status_code == 200
    assert (await browser.patch(f"/api/keys/{key}", json={"name": "late"})).status_code == 200


async def test_the_last_use_is_a_minute_written_beside_the_requests(house: House) -> None:
    browser = await house.signed_in(ADA)
    made = (await browser.post("/api/keys", json={})).json()
    idle = (await browser.post("/api/keys", json={})).json()
    program = house.browser(authorization=f"Bearer {made['secret']}")
    for _ in range(3):
        await program.get("/api/me")
    keys = (await browser.get("/api/keys")).json()["keys"]
    assert [key["last_used_at"] for key in keys] == [None, None]
    at = house.clock.now()
    await house.needs.directory.write_used()
    keys = {key["id"]: key["last_used_at"] for key in (await browser.get("/api/keys")).json()["keys"]}
    assert keys[idle["id"]] is None
    assert keys[made["id"]].startswith(at.strftime("%Y-%m-%dT%H:")) and ":00" in keys[made["id"]][16:]
    house.clock.move(-timedelta(hours=1))
    await program.get("/api/me")
    await house.needs.directory.write_used()
    assert {k["id"]: k["last_used_at"] for k in (await browser.get("/api/keys")).json()["keys"]} == keys


async def test_a_card_number_in_a_name_is_masked_in_the_database_and_in_what_is_shown(house: House) -> None:
    browser = await house.signed_in(ADA, name="4111111111111111")
    card, masked = "4111111111111111", "************1111"
    await browser.post("/api/keys", json={"name": card, "models": [card]})
    (key,) = (await browser.get("/api/keys")).json()["keys"]
    assert (key["name"], key["models"]) == (masked, [masked])
    assert (await browser.get("/api/me")).json()["facts"]["name"] == masked
    (row,) = await house.query("SELECT t::text AS told FROM api_key t")
    assert card not in row.told
