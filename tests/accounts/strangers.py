"""What the tests of permissions call: every route of the table, with every id that there is."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import default
from typing import Any

import httpx
from tests import LIMIT_S
from tests.platform import Platform, complete, wait_until

from avow.accounts.permissions import ROUTES, is_public
from avow.gateway import surfaces
from avow.gateway.asgi import MODELS

TENANTS_OWN = frozenset({"tenant", "wallet", "tenant_kind"})
"""Tables whose rows everybody of a tenant may know of."""
LAST = ("POST /api/tenant/leave", "POST /api/auth/logout")
"""What changes who calls, and so is called last."""
MOVING = frozenset({"audit", "session", "outbox"})
"""Looking leaves marks, sessions are seen and end, letters leave."""
ABOUT = ("openai-organization", "openai-project", "x-request-id", "idempotency-key", "avow-request-id")
"""Headers in which something is named."""
BODIES: Mapping[str, dict[str, Any]] = {
    "PATCH /api/me": {},
    "POST /api/keys": {"name": "made by a test"},
    "PATCH /api/tenant": {"keep_h": 0},
    "PATCH /api/tenant/members/{member_id}": {"role": "viewer"},
    "POST /api/tenant/invitations": {"email": "nobody@example.org", "role": "member"},
}


def calls(ids: list[str], at_most: frozenset[str] = frozenset(ROUTES)) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(route, URL, body) of every route with every id: in its path, as the page to go on from, in each body."""
    for route in sorted(at_most, key=lambda each: each in LAST):
        method, _, path = route.partition(" ")
        bodies = [BODIES.get(route, {})]
        if route.startswith("POST /api/desk"):
            bodies += [{"subject": id, "category": "account", "purpose": "support", "reason": "x"} for id in ids]
        if method == "POST" and route not in LAST:
            bodies += [{"id": ids[0], "tenant_id": ids[0], "subject_id": ids[0], "wallet_id": ids[0]}]
        if "{" in path:
            urls = [re.sub(r"{\w+}", id, path) for id in ids]
        elif method == "GET":
            pages = ids[:3] if is_public(route) else ids
            urls = [path, *(f"{path}?after={id}" for id in pages)]
        else:
            urls = [path]
        yield from ((route, url, body) for url in urls for body in bodies)


def v1_calls(ids: list[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(route, URL, body) of every surface of `/v1`: each id behind its path, and in the fields and headers that name things
    elsewhere. No model is asked: what is named is not there."""
    for path in (*surfaces.BY_PATH, MODELS):
        for id in ids:
            yield from ((f"{method} {path}", f"{path}/{id}", {}) for method in ("GET", "POST", "DELETE"))
        for id in ids[:3]:
            named = dict.fromkeys(("user", "previous_response_id", "conversation", "id", "key_id", "tenant_id"), id)
            yield f"POST {path}", path, {"model": id, "messages": [], "input": "x", "metadata": {"id": id}, **named}


def call(http: httpx.Client, route: str, url: str, body: dict[str, Any]) -> httpx.Response:
    method = route.partition(" ")[0]
    about = {name: url.rpartition("/")[2][:64] for name in ABOUT} if url.startswith("/v1/") else {}
    return http.request(method, url, json=None if method in ("GET", "DELETE") else body, headers=about)


@dataclass
class Somebody:
    """A person who is signed in on a client of their own."""

    http: httpx.Client
    me: dict[str, Any]

    @property
    def tenant_id(self) -> str:
        return str(self.me["tenant_id"])


@dataclass
class Victim:
    """An organisation with everything in it that has an id or is worth knowing."""

    owner: Somebody
    member: Somebody
    key: dict[str, str]
    words: list[str]
    ids: dict[str, list[str]] = field(default_factory=dict)

    def all_ids(self) -> list[str]:
        return sorted({id for found in self.ids.values() for id in found})


def new_person(platform: Platform, **fields: str) -> Somebody:
    http = httpx.Client(base_url=platform.base_url, timeout=LIMIT_S, headers={"sec-fetch-site": "same-origin"})
    return Somebody(http, platform.sign_up(http, **fields))


def with_key(platform: Platform, secret: str) -> httpx.Client:
    return httpx.Client(base_url=platform.base_url, timeout=LIMIT_S, headers={"authorization": f"Bearer {secret}"})


def joined(platform: Platform, owner: Somebody, role: str) -> Somebody:
    """Somebody whom the owner invites, who reads the mail and accepts."""
    email, password = f"p-{secrets.token_hex(6)}@example.org", secrets.token_hex(12)
    asked = owner.http.post("/api/tenant/invitations", json={"email": email, "role": role})
    assert asked.status_code == 201, asked.text
    token: list[str] = []

    def came() -> bool:
        for letter in (platform.home / "mail").glob("*.eml"):
            message = message_from_bytes(letter.read_bytes(), policy=default)
            if message["to"] == email and (found := re.search(r"/invitation#(\w{43})", message.get_content())):
                token.append(found[1])
        return bool(token)

    wait_until(came)
    http = httpx.Client(base_url=platform.base_url, timeout=LIMIT_S, headers={"sec-fetch-site": "same-origin"})
    accepted = http.post("/api/invitations/accept", json={"token": token[0], "password": password})
    assert accepted.status_code == 201, accepted.text
    return Somebody(http, {"email": email, "password": password, **platform.sign_in(http, email, password)})


def new_victim(platform: Platform) -> Victim:
    """An organisation that keeps what it asks, with a member, a key, a request, an invitation and a request of rights."""
    word = f"mark{secrets.token_hex(8)}"
    owner = new_person(platform, name=word)
    assert owner.http.patch("/api/tenant", json={"keep_h": 24}).is_success
    member = joined(platform, owner, "member")
    key = platform.key(owner.http, name=word)
    assert complete(owner.http, key["secret"], f"Say {word}.").is_success
    assert owner.http.post("/api/tenant/invitations", json={"email": f"{word}@example.org"}).is_success
    body = {"kind": "complain", "password": owner.me["password"], "text": word}
    assert owner.http.post("/api/privacy/requests", json=body).is_success
    victim = Victim(owner, member, key, [word, owner.me["email"], key["prefix"]])
    victim.ids = ids_of(platform, owner.tenant_id)
    return victim


def tenant_tables(platform: Platform) -> list[str]:
    """The tables whose rows belong to organisations."""
    query = """SELECT table_name AS t FROM information_schema.columns JOIN information_schema.tables USING (table_name)
               WHERE column_name = 'tenant_id' AND columns.table_schema = 'public' AND table_type = 'BASE TABLE'
               ORDER BY 1"""
    return [row["t"] for row in platform.sql(query)]


def ids_of(platform: Platform, tenant_id: str) -> dict[str, list[str]]:
    """Every id of an organisation's rows, by table: at most two each, and of the columns that end in `id`."""
    query = """SELECT table_name AS t, column_name AS c FROM information_schema.columns
               WHERE table_schema = 'public' AND data_type = 'uuid' AND table_name IN
                     (SELECT table_name FROM information_schema.columns WHERE column_name = 'tenant_id')"""
    found: dict[str, list[str]] = {}
    for row in platform.sql(query):
        values = (
            f"SELECT DISTINCT {row['c']} AS id FROM {row['t']} WHERE tenant_id = $1 AND {row['c']} IS NOT NULL LIMIT 2"
        )
        found.setdefault(row["t"], []).extend(str(each["id"]) for each in platform.sql(values, tenant_id))
    return {table: sorted(set(ids)) for table, ids in found.items() if ids}


def state_of(platform: Platform, tenant_id: str, but: str = "") -> dict[str, str]:
    """A digest of an organisation's rows by table, without those of one person; what looking changes is left out, and
    when a key was last used, which is written some time after its use."""
    state = {}
    for table in set(tenant_tables(platform)) - MOVING:
        query = f"""SELECT md5(coalesce(string_agg(t.kept, '|' ORDER BY t.kept), '')) AS digest
                    FROM (SELECT *, (to_jsonb(each) - 'last_used_at')::text AS kept FROM {table} each) t
                    WHERE tenant_id = $1 AND to_jsonb(t) ->> 'subject_id' IS DISTINCT FROM $2"""
        state[table] = platform.sql(query, tenant_id, but)[0]["digest"]
    return state
