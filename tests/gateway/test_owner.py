"""Whose it is what a key made: under a policy that says the organisation's, a member goes and it stays; the organisation
goes and nothing stays."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from uuid import UUID

import pytest

from tests.accounts.strangers import Somebody, joined, new_person, with_key
from tests.platform import Platform, complete, policy_text, wait_until
from tests.upstream import scripted_platform

RULES = [
    ("[category.api_content]\n", 'owner = "tenant"\n'),
    ('"latency_ms", "status", "why"]\n', 'owner = "tenant"\n'),
]
POLICY = policy_text(*((after, after + rule) for after, rule in RULES))
WRITTEN = """SELECT subject_id FROM trace WHERE tenant_id = $1 UNION ALL
             SELECT DISTINCT subject_id FROM usage WHERE tenant_id = $1 AND subject_id <> $1"""
MINE = "SELECT count(*) FROM trace WHERE subject_id = $1"


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    with scripted_platform(POLICY) as (made, _):
        yield made


def asked(platform: Platform, who: Somebody, words: str) -> str:
    """A request with a key of their own; returns its id once it is written down."""
    answer = complete(who.http, platform.key(who.http)["secret"], words)
    request_id: str = answer.headers["avow-request-id"]
    assert answer.headers["avow-stored"] == "trace"
    wait_until(lambda: platform.sql("SELECT FROM trace WHERE id = $1", UUID(request_id)))
    return request_id


def requests_of(who: Somebody) -> set[str]:
    return {each["id"] for each in who.http.get("/api/requests").json()["requests"]}


def test_what_a_member_made_stays_with_the_organisation_and_ends_with_it(platform: Platform) -> None:
    owner, stranger = new_person(platform), new_person(platform)
    assert owner.http.patch("/api/tenant", json={"keep_h": 24}).is_success
    member, other = joined(platform, owner, "member"), joined(platform, owner, "member")
    words = f"words{secrets.token_hex(8)}"
    request_id = asked(platform, member, words)
    subjects = platform.sql(WRITTEN, UUID(owner.tenant_id))
    assert [str(row["subject_id"]) for row in subjects] == [owner.tenant_id]

    # Who made it and who manages sees it; nobody else does.
    for who in (member, owner):
        assert request_id in requests_of(who)
        assert words in who.http.get(f"/api/requests/{request_id}").text
        assert [each["id"] for each in who.http.get("/api/usage").json()["requests"]] == [request_id]
    for who in (other, stranger):
        assert requests_of(who) == set()
        assert who.http.get(f"/api/requests/{request_id}").status_code == 404
        assert who.http.delete(f"/api/requests/{request_id}").status_code == 404
    key = with_key(platform, platform.key(other.http)["secret"])
    assert key.get(f"/api/requests/{request_id}").status_code == 404

    # The member's own copy of their data lacks it, the organisation's has it.
    assert words not in platform.cli("subject", "export", member.me["id"]).stdout
    assert words in platform.cli("subject", "export", owner.tenant_id).stdout

    # The member is erased: their person is gone, the organisation's content is not.
    platform.erase(member.http, member.me["password"])
    assert platform.sql("SELECT FROM person WHERE id = $1", UUID(member.me["id"])) == []
    assert words in owner.http.get(f"/api/requests/{request_id}").text

    # The others leave and the last one is erased: the organisation ends, and its keys with it.
    assert other.http.post("/api/tenant/leave").status_code == 204
    platform.erase(owner.http, owner.me["password"])
    tenant_id = UUID(owner.tenant_id)
    wait_until(lambda: platform.sql(MINE, tenant_id)[0][0] == 0)
    ended = "SELECT state FROM rights_request WHERE subject_id = $1 AND kind = 'erase'"
    wait_until(lambda: [row["state"] for row in platform.sql(ended, tenant_id)] == ["succeeded"])
    with platform.ring() as ring:
        assert ring.key(tenant_id, "api_content", 0) is None
    assert platform.sql("SELECT FROM usage WHERE subject_id = $1", tenant_id) == []
    assert platform.scan([words]) == {}


def test_a_canary_finds_the_platform_sound(platform: Platform) -> None:
    lines = platform.cli("verify", "--json", "erased", "not_kept", check=False).stdout.splitlines()
    assert {json.loads(line)["probe"]: json.loads(line)["verdict"] for line in lines} == {
        "erased": "proved",
        "not_kept": "proved",
    }
