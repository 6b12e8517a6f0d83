"""Every role at every route, and strangers with every id, on a whole running platform."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from itertools import chain
from uuid import uuid4

import asyncpg
import httpx
import pytest
from tests import LIMIT_S
from tests.accounts.strangers import (
    LAST,
    TENANTS_OWN,
    Somebody,
    Victim,
    call,
    calls,
    joined,
    new_person,
    new_victim,
    state_of,
    tenant_tables,
    v1_calls,
    with_key,
)
from tests.platform import Platform, new_platform

from avow.accounts import permissions
from avow.accounts.permissions import BELONGING, ROUTES, STAFF
from avow.base import access
from avow.base.postgres import Cluster

PRIVATE = frozenset(route for route in ROUTES if not permissions.is_public(route))
ROLES = [*sorted(BELONGING), "former", *sorted(STAFF), "key"]


@pytest.fixture(scope="module")
def own() -> Iterator[Platform]:
    """A platform of these tests' own, for the last of them takes its row security away."""
    with new_platform() as made:
        yield made.start()


def set_role(platform: Platform, who: Somebody, role: str) -> None:
    platform.sql("UPDATE person SET role = $2 WHERE id = $1", who.me["id"], role)


def hired(platform: Platform, role: str) -> httpx.Client:
    """Somebody made staff by the operator's command, who then signs in."""
    email, password = f"{role}@avow.example", "correct horse battery staple"
    platform.hire(role, email, password)
    http = httpx.Client(base_url=platform.base_url, timeout=LIMIT_S, headers={"sec-fetch-site": "same-origin"})
    platform.sign_in(http, email, password)
    return http


def promoted(platform: Platform, role: str) -> httpx.Client:
    """Somebody with the same row of staff as the operator, but for the role."""
    somebody = new_person(platform)
    platform.sql(
        """INSERT INTO staff SELECT $1, p.tenant_id, p.id, s.since, s.ends_at, s.policy_version, $2, s.trained_until, s.box
           FROM staff s, person p WHERE s.role = 'operator' AND p.id = $1""",
        somebody.me["id"],
        role,
    )
    return somebody.http


@pytest.fixture(scope="module")
def callers(own: Platform) -> Mapping[str, httpx.Client]:
    """One client for each role of the table."""
    found = {}
    for role in (*sorted(BELONGING), "former"):
        somebody = new_person(own)
        set_role(own, somebody, role)
        found[role] = somebody.http
    found["operator"] = hired(own, "operator")
    for role in sorted(STAFF - {"operator"}):
        found[role] = promoted(own, role)
    found["key"] = with_key(own, own.key(new_person(own).http)["secret"])
    return found


@pytest.mark.promise("INF-5.5")
@pytest.mark.promise("MESH-5.4")
@pytest.mark.promise("LAB-5.4")
@pytest.mark.parametrize("role", ROLES)
def test_a_role_passes_where_the_table_lists_it_and_nowhere_else(
    callers: Mapping[str, httpx.Client], role: str
) -> None:
    wrong = []
    for route, url, body in calls([str(uuid4())], PRIVATE):
        answer = call(callers[role], route, url, body)
        code = "session_needed" if role == "key" else "not_permitted"
        refused = answer.status_code == 403 and answer.json()["code"] == code
        if refused is (role in ROUTES[route]) or answer.status_code >= 500 or answer.status_code == 401:
            wrong.append((route, answer.status_code, answer.text[:200]))
    assert wrong == []


def test_nobody_passes_where_the_table_does_not_say_public(own: Platform) -> None:
    with httpx.Client(base_url=own.base_url, timeout=LIMIT_S) as http:
        for route, url, body in calls([str(uuid4())]):
            answer = call(http, route, url, body)
            refused = answer.status_code == 401 and answer.json().get("code") == "not_signed_in"
            assert refused is (route in PRIVATE), (route, answer.text)


@pytest.fixture(scope="module")
def victim(own: Platform) -> Victim:
    return new_victim(own)


def leaks(
    own: Platform,
    victim: Victim,
    strangers: Mapping[str, httpx.Client],
    known: frozenset[str] = frozenset(),
    but: str = "",
) -> Iterator[str]:
    """What strangers see of an organisation, or change in it, by calling every route with every id of its rows.

    `known`: tables whose ids these strangers may know; `but`: the stranger, where they are one of its people.
    """
    secret = {id for table, ids in victim.ids.items() if table not in known for id in ids}
    secret -= {id for table, ids in victim.ids.items() if table in known for id in ids}
    words, before = [*victim.words, *sorted(secret)], state_of(own, victim.owner.tenant_id, but)
    for name, http in strangers.items():
        ids = victim.all_ids()
        for route, url, body in chain(calls(ids, frozenset(ROUTES) - set(LAST)), v1_calls(ids)):
            answer = call(http, route, url, body)
            seen = [word for word in words if word in answer.text]
            by_id = "id}" in route or url.startswith("/v1/")
            let_in = answer.is_success and by_id and any(url.endswith(f"/{id}") for id in secret)
            broken = answer.status_code >= 500 and not url.startswith("/app")  # 503 where the app was not built
            if seen or let_in or broken:
                yield f"{name}: {route} {url}: {answer.status_code} shows {seen}"
    after = state_of(own, victim.owner.tenant_id, but)
    yield from (f"{table} changed" for table in before if before[table] != after[table])


@pytest.fixture(scope="module")
def outsiders(own: Platform) -> Mapping[str, httpx.Client]:
    """An owner, a viewer and a key of other organisations, and a person who is erased with a key that was theirs."""
    owner, viewer, gone = new_person(own), new_person(own), new_person(own)
    set_role(own, viewer, "viewer")
    key, lost = own.key(owner.http)["secret"], own.key(gone.http)["secret"]
    with own.http() as http:
        own.sign_in(http, gone.me["email"], gone.me["password"])
        own.erase(http, gone.me["password"])
    return {
        "nobody": httpx.Client(base_url=own.base_url, timeout=LIMIT_S, headers={"sec-fetch-site": "same-origin"}),
        "another owner": owner.http,
        "another viewer": viewer.http,
        "another key": with_key(own, key),
        "an erased person": gone.http,
        "an erased person's key": with_key(own, lost),
    }


def test_another_organisation_sees_and_changes_nothing(
    own: Platform, victim: Victim, outsiders: Mapping[str, httpx.Client]
) -> None:
    assert {"person", "api_key", "trace", "usage", "invitation", "rights_request", "audit"} <= set(victim.ids)
    strangers = {name: http for name, http in outsiders.items() if "erased" not in name}
    assert list(leaks(own, victim, strangers)) == []


def test_the_erased_are_nobody(victim: Victim, outsiders: Mapping[str, httpx.Client]) -> None:
    """Whatever they ask for; what nobody sees and changes is shown above."""
    ids = victim.all_ids()[:3]
    for http in (http for name, http in outsiders.items() if "erased" in name):
        for route, url, body in chain(calls(ids, PRIVATE), v1_calls(ids)):
            answer = call(http, route, url, body)
            malformed = url.startswith("/v1/") and answer.status_code in (400, 404, 405, 415)
            assert answer.status_code == 401 or malformed, route


def test_a_revoked_key_of_the_organisation_sees_nothing(own: Platform, victim: Victim) -> None:
    key = own.key(victim.owner.http)
    assert victim.owner.http.delete(f"/api/keys/{key['id']}").status_code == 204
    http = with_key(own, key["secret"])
    for route, url, body in calls(victim.all_ids(), PRIVATE):
        answer = call(http, route, url, body)
        assert (answer.status_code, answer.json()["code"]) == (401, "key_revoked"), route


def test_a_colleague_with_a_lower_role_sees_what_is_common_and_nothing_else(own: Platform, victim: Victim) -> None:
    viewer = joined(own, victim.owner, "viewer")
    common = TENANTS_OWN | {"ledger_entry", "session", "standing"}
    assert list(leaks(own, victim, {"a viewer": viewer.http}, common, viewer.me["id"])) == []


def test_a_key_of_another_project_sees_what_is_common_and_nothing_of_this_one(own: Platform, victim: Victim) -> None:
    made = victim.owner.http.post("/api/projects", json={"name": "another project"})
    assert made.status_code == 201, made.text
    colleague = joined(own, victim.owner, "member")
    asked = colleague.http.post("/api/keys", json={"name": "theirs", "project_id": made.json()["id"]})
    assert asked.status_code == 201, asked.text
    common = TENANTS_OWN | {"ledger_entry", "session", "standing", "project"}
    strangers = {"a key of another project": with_key(own, asked.json()["secret"])}
    assert list(leaks(own, victim, strangers, common, colleague.me["id"])) == []


def readable(own: Platform, stranger: str, victim: str) -> dict[str, int]:
    """How many of one organisation's rows the product's database role reads in each table while it works for another."""
    with own.ring() as ring:
        secret = ring.secret("password of avow_app")
    assert secret is not None
    dsn = Cluster(own.home, "").dsn().role(access.APP, secret.hex())

    async def counted(tables: list[str]) -> dict[str, int]:
        connection = await asyncpg.connect(**dsn.arguments())
        try:
            await connection.execute("SELECT set_config('app.tenant', $1, false)", stranger)
            allowed = [t for t in tables if await connection.fetchval("SELECT has_table_privilege($1, 'SELECT')", t)]
            count = "SELECT count(*) FROM {} WHERE tenant_id = $1"
            return {table: await connection.fetchval(count.format(table), victim) for table in allowed}
        finally:
            await connection.close()

    return asyncio.run(counted(tenant_tables(own)))


def test_the_database_itself_keeps_each_table_apart(own: Platform, victim: Victim) -> None:
    """The lock that the test below takes away: table by table, with the owner's own view as the control."""
    stranger, theirs = new_person(own).tenant_id, victim.owner.tenant_id
    held = {table: count for table, count in readable(own, theirs, theirs).items() if count}
    assert {"person", "api_key", "trace", "usage", "charge", "invitation", "rights_request", "audit"} <= set(held)
    assert not any(readable(own, stranger, theirs).values())
    with pytest.raises(asyncpg.PostgresError):
        readable(own, "", theirs)
    for table in held:
        own.sql(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
    opened = readable(own, stranger, theirs)
    for table in held:
        own.sql(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        assert opened[table] >= held[table], table


def test_without_row_security_the_same_calls_find_a_leak(own: Platform, victim: Victim) -> None:
    """The calls above would see it if the database did not keep organisations apart."""
    for row in own.sql("SELECT relname FROM pg_class WHERE relrowsecurity AND relnamespace = 'public'::regnamespace"):
        own.sql(f"ALTER TABLE {row['relname']} DISABLE ROW LEVEL SECURITY")
    assert any(leaks(own, victim, {"another owner": new_person(own).http}))
