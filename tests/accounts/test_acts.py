"""Whatever the table of acts names stands on the record once it was done; what changes something has a line there."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import click
import httpx
import msgspec
import pyotp
import pytest
from sqlalchemy import insert, select, text
from tests.accounts.authenticator import Authenticator
from tests.accounts.conftest import PASSWORD, PROFILE, House
from tests.accounts.provider import LocalProvider
from tests.accounts.test_staff import with_staff

from avow import cli, worker
from avow.accounts import acts, admission
from avow.accounts.acts import ActUndeclared
from avow.accounts.oidc import CALLBACK
from avow.base import jobs
from avow.base.actor import COMMAND
from avow.base.ids import uuid7
from avow.base.recorded import Silent
from avow.billing import credit
from avow.commands import COMMANDS
from avow.gateway import offers, tables
from avow.gateway.handling import Handling
from avow.gateway.tables import model, trace
from avow.policy import Policy, parse
from avow.privacy.tables import policy_plan
from avow.registers import book, incidents
from avow.registers.book import Whose
from avow.registers.entries import Entry
from avow.vault import Ref, fact

ADA, BOB = "ada@example.org", "bob@example.org"
NEW = "another long pass phrase of mine"


@pytest.fixture
def policy() -> Policy:
    return parse(with_staff(PROFILE.read_text()))


@dataclass
class Walk:
    """Ada, who owns an organisation, and what she has made so far, by name."""

    house: House
    provider: LocalProvider
    ada: httpx.AsyncClient
    made: dict[str, Any] = field(default_factory=dict)

    async def ask(self, method: str, path: str, body: Any = None, browser: httpx.AsyncClient | None = None) -> Any:
        """Call a route; it must succeed."""
        answer = await (browser or self.ada).request(method, path, json=body)
        assert answer.status_code < 400, (method, path, answer.text)
        return answer.json() if answer.content else {}

    async def keep(self, name: str, method: str, path: str, body: Any = None) -> None:
        self.made[name] = await self.ask(method, path, body)

    async def acts(self) -> list[str]:
        """The words on everybody's record, oldest first."""
        rows = await self.house.query("SELECT act FROM audit WHERE outcome = 'done' ORDER BY id")
        return [row.act for row in rows]

    async def content(self) -> str:
        """A request of Ada's of which something was kept; gives its id."""
        me, needs = await self.ask("GET", "/api/me"), self.house.needs
        tenant_id, subject_id = UUID(me["tenant_id"]), UUID(me["id"])
        begun = fact.begin(needs.policy, "api_content", tenant_id, subject_id, needs.clock.now())
        await needs.vault.prepare(subject_id, "api_content", begun["ends_at"])
        ref = Ref(tenant_id, trace.name, "api_content", begun["id"], subject_id)
        box = needs.vault.seal(ref, {"request": "a", "response": "b"}, begun["ends_at"])
        async with self.house.databases.keeper.begin() as c:
            await c.execute(insert(trace).values(**begun, box=box))
        return str(begun["id"])


@pytest.fixture
async def walk(house: House, provider: LocalProvider) -> Walk:
    return Walk(house, provider, house.browser())


async def sign_up(w: Walk) -> None:
    await w.ask("POST", "/api/auth/signup", {"email": ADA, "password": PASSWORD})


async def confirm(w: Walk) -> None:
    await w.ask("POST", "/api/auth/confirm", {"token": await w.house.token(ADA)})


async def reset(w: Walk) -> None:
    await w.ask("POST", "/api/auth/reset", {"email": ADA})
    await w.ask("POST", "/api/auth/reset/finish", {"token": await w.house.token(ADA, "reset"), "password": PASSWORD})
    await w.ask("POST", "/api/auth/login", {"email": ADA, "password": PASSWORD})


async def invite_and_join(w: Walk) -> None:
    await invite(w, BOB)
    browser = w.house.browser()
    w.made["bob"] = await w.ask(
        "POST", "/api/invitations/accept", {"token": await w.house.token(BOB, "invitation"), "password": PASSWORD}
    )
    await w.ask("POST", "/api/auth/login", {"email": BOB, "password": PASSWORD}, browser)
    w.made["bob's browser"] = browser


async def add_factor(w: Walk) -> None:
    secret = (await w.ask("POST", "/api/me/second-factor"))["secret"]
    code = pyotp.TOTP(secret).at(w.house.clock.now())
    await w.ask("POST", "/api/me/second-factor/confirm", {"code": code})


async def add_passkey(w: Walk) -> None:
    options = await w.ask("POST", "/api/me/passkeys/begin")
    device = Authenticator(w.house.needs.base_url)
    await w.keep("passkey", "POST", "/api/me/passkeys", {"credential": device.create(options)})


async def link(w: Walk) -> None:
    url = (await w.ask("POST", "/api/me/identities"))["url"]
    answer = await w.ada.get(CALLBACK, params=w.provider.agree(url))
    assert answer.status_code == 303, answer.text
    w.made["identity"] = (await w.ask("GET", "/api/me/identities"))[0]


async def leak(w: Walk) -> None:
    found = await w.ask("POST", "/api/keys", {})
    await w.ask("POST", "/api/keys/leaked", {"key": found["secret"]})


async def invite(w: Walk, email: str) -> None:
    await w.keep("invitation", "POST", "/api/tenant/invitations", {"email": email, "role": "member"})


async def end_one(w: Walk) -> None:
    await w.ask("DELETE", f"/api/requests/{await w.content()}")


async def end_all(w: Walk) -> None:
    await w.content()
    assert (await w.ask("DELETE", "/api/requests"))["ended"] == 1


async def session(w: Walk) -> None:
    other = w.house.browser()
    await w.ask("POST", "/api/auth/login", {"email": ADA, "password": NEW}, other)
    found = next(each for each in await w.ask("GET", "/api/me/sessions") if not each["current"])
    await w.ask("DELETE", f"/api/me/sessions/{found['id']}")


async def find(w: Walk) -> None:
    w.made["support"] = await w.house.hired("support")
    asked = {"email": ADA, "purpose": "support", "reason": "ticket 7"}
    await w.ask("POST", "/api/desk/people", asked, w.made["support"])


async def look(w: Walk) -> None:
    """Where nothing is; an opening that finds a box stands there as one."""
    asked = {"subject": (await w.ask("GET", "/api/me"))["id"], "category": "account", "purpose": "support"}
    body = {**asked, "reason": "ticket 7", "after": str(UUID(int=1))}
    await w.ask("POST", "/api/desk/open", body, w.made["support"])


async def search(w: Walk) -> None:
    asked = {"subject": (await w.ask("GET", "/api/me"))["id"], "reason": "a review"}
    await w.ask("POST", "/api/desk/openings", asked, await w.house.hired("auditor"))


async def answer(w: Walk) -> None:
    asked = await w.ask("POST", "/api/privacy/requests", {"kind": "complain", "password": NEW, "text": "It is slow."})
    body = {"id": asked["id"], "state": "succeeded", "answer": "We mended it."}
    await w.ask("POST", "/api/desk/requests/answer", body, await w.house.hired("privacy"))


async def plan(w: Walk) -> None:
    """What the keeper would find is written beside it, for no keeper runs here."""
    w.made["operator"] = await w.house.hired("operator")
    text = PROFILE.read_text().replace("version = 1", "version = 2", 1)
    w.made["plan"] = (await w.ask("POST", "/api/desk/policy/plans", {"source": text}, w.made["operator"]))["plan"]
    row = {"id": UUID(w.made["plan"]), "state": "made", "made_at": w.house.clock.now(), "made_by": "staff:x"}
    row |= {
        "base_hash": "",
        "source": text,
        "version": 2,
        "found": {"destructive": False},
        "effects_hash": "",
        "done": {},
    }
    async with w.house.databases.keeper.begin() as c:
        await c.execute(insert(policy_plan).values(row))


async def close_incident(w: Walk) -> None:
    async with w.house.databases.keeper.begin() as c:
        await incidents.note(c, "egress", "gateway", "unknown.example", w.house.clock.now())
    [found] = (await w.ask("GET", "/api/desk/incidents", None, w.made["operator"]))["incidents"]
    await w.ask("POST", f"/api/desk/incidents/{found['id']}/close", {"reason": "mistyped"}, w.made["operator"])


ENTRY = {"to": "relay", "recipient": "Relay", "basis": "own", "purpose": "service", "fields": {}, "region": "DE"}


async def make_entry(w: Walk) -> None:
    body = {"entry": {**ENTRY, "name": "relay", "host": "relay.example"}}
    await w.ask("POST", "/api/desk/register", body, w.made["operator"])


async def approve_entry(w: Walk) -> None:
    entry = msgspec.convert({**ENTRY, "name": "other"}, Entry)
    async with w.house.databases.keeper.begin() as c:
        assert await book.propose(c, w.house.needs.vault, COMMAND, "terminal", entry, Whose()) is None
    await w.ask("POST", "/api/desk/register/other/approve", None, w.made["operator"])


async def ask_desk(w: Walk, path: str, body: Any, who: str = "operator") -> Any:
    return await w.ask("POST", f"/api/desk/{path}", body, w.made[who])


async def see_account(w: Walk) -> None:
    body = {"subject": (await w.ask("GET", "/api/me"))["id"], "reason": "ticket 7"}
    assert (await ask_desk(w, "account", body, "support"))["role"] == "owner"


async def give_credit(w: Walk) -> None:
    """This house gives no wallets; the record knows the credit all the same."""
    me = await w.ask("GET", "/api/me")
    async with w.house.databases.keeper.begin() as c:
        whose = UUID(me["tenant_id"]), UUID(me["id"])
        await credit.begin(c, *whose, uuid7(), w.house.clock.now(), policy_version=1)
    body = {"subject": me["id"], "amount": "5", "kind": "correction", "key": str(uuid7()), "reason": "ticket 7"}
    assert (await ask_desk(w, "credit", body))["new"] is True
    assert (await ask_desk(w, "credit", body))["new"] is False, "the same key gives it once"


async def change_upstream(w: Walk) -> None:
    async with w.house.databases.keeper.begin() as c:
        await offers.put_upstream(c, w.house.needs.vault, "a", "http://127.0.0.1:9/v1", None, Handling(None))
    body = {"name": "a", "revision": 1, "leaving": "drain"}
    assert await w.ask("PATCH", "/api/desk/upstreams", body, w.made["operator"]) == {"refused": None}


async def change_route(w: Walk) -> None:
    async with w.house.databases.keeper.begin() as c:
        await offers.put_upstream(c, w.house.needs.vault, "b", "http://127.0.0.1:9/v1", None, Handling(None))
        at = await c.scalar(select(tables.upstream.c.id).where(tables.upstream.c.name == "b"))
        await c.execute(insert(model).values(id="r", context_tokens=10, output_tokens_max=10))
        await c.execute(insert(tables.route).values(model_id="r", upstream_id=at, their_name="r"))
    body = {"model": "r", "upstream": "b", "revision": 1, "rank": 2}
    await w.ask("PATCH", "/api/desk/models/routes", body, w.made["operator"])


async def set_price(w: Walk) -> None:
    row = {"id": "a/b", "context_tokens": 10, "output_tokens_max": 10}
    async with w.house.databases.keeper.begin() as c:
        await c.execute(insert(model), row)
    await ask_desk(w, "prices", {"model": "a/b", "input": "0.15", "output": "0.60"})
    [price] = await w.ask("GET", "/api/desk/prices?model=a/b", None, w.made["operator"])
    assert (price["input"], price["cached"], price["output"]) == ("0.150000000", "0.150000000", "0.600000000")


async def add_evidence(w: Walk) -> None:
    now = w.house.clock.now()
    dates = {"valid_from": now.isoformat(), "valid_until": (now + timedelta(days=9)).isoformat()}
    body = {"names": ["audit-report"], "content": "YQ==", "issuer": "An auditor", **dates}
    assert len((await ask_desk(w, "evidence", body))["sha256"]) == 64


async def retry_job(w: Walk) -> None:
    async with w.house.databases.keeper.begin() as c:
        await jobs.put(c, "failing", uuid7())
        failed = "UPDATE jobs.pgqueuer SET status = 'failed' WHERE entrypoint = 'failing' RETURNING id"
        id = await c.scalar(text(failed))
    await ask_desk(w, "jobs/retry", {"id": id})
    found = await w.ask("GET", "/api/desk/jobs?state=queued", None, w.made["operator"])
    assert ("failing", 0) in [(each["kind"], each["tries"]) for each in found["jobs"]]


async def about_plan(w: Walk, what: str) -> None:
    await w.ask("POST", f"/api/desk/policy/plans/{w.made['plan']}/{what}", None, w.made["operator"])


Step = Callable[[Walk], Awaitable[Any]]
STEPS: dict[str, Step] = {
    "POST /api/auth/signup": sign_up,
    "POST /api/auth/confirm": confirm,
    "POST /api/auth/reset/finish": reset,
    "PATCH /api/me": lambda w: w.ask("PATCH", "/api/me", {"name": "Ada"}),
    "POST /api/me/password": lambda w: w.ask("POST", "/api/me/password", {"password": NEW}),
    "POST /api/keys": lambda w: w.keep("key", "POST", "/api/keys", {"name": "one"}),
    "PATCH /api/keys/{key_id}": lambda w: w.ask("PATCH", f"/api/keys/{w.made['key']['id']}", {"name": "two"}),
    "POST /api/keys/{key_id}/rotate": lambda w: w.ask("POST", f"/api/keys/{w.made['key']['id']}/rotate", {}),
    "DELETE /api/keys/{key_id}": lambda w: w.ask("DELETE", f"/api/keys/{w.made['key']['id']}"),
    "POST /api/keys/leaked": leak,
    "DELETE /api/requests/{request_id}": end_one,
    "DELETE /api/requests": end_all,
    "POST /api/projects": lambda w: w.keep("project", "POST", "/api/projects", {"name": "one"}),
    "PATCH /api/projects/{project_id}": lambda w: w.ask(
        "PATCH", f"/api/projects/{w.made['project']['id']}", {"name": "two"}
    ),
    "PUT /api/projects/{project_id}/limits": lambda w: w.ask(
        "PUT", f"/api/projects/{w.made['project']['id']}/limits", {"parallel": 5}
    ),
    "PATCH /api/tenant": lambda w: w.ask("PATCH", "/api/tenant", {"keep_h": 5}),
    "POST /api/tenant/invitations": lambda w: invite(w, "carol@example.org"),
    "DELETE /api/tenant/invitations/{invitation_id}": lambda w: w.ask(
        "DELETE", f"/api/tenant/invitations/{w.made['invitation']['id']}"
    ),
    "POST /api/invitations/accept": invite_and_join,
    "PATCH /api/tenant/members/{member_id}": lambda w: w.ask(
        "PATCH", f"/api/tenant/members/{w.made['bob']['id']}", {"role": "admin"}
    ),
    "POST /api/tenant/leave": lambda w: w.ask("POST", "/api/tenant/leave", None, w.made["bob's browser"]),
    "DELETE /api/tenant/members/{member_id}": lambda w: w.ask("DELETE", f"/api/tenant/members/{w.made['bob']['id']}"),
    "DELETE /api/me/sessions/{session_id}": session,
    "DELETE /api/me/sessions": lambda w: w.ask("DELETE", "/api/me/sessions"),
    "POST /api/me/second-factor/confirm": add_factor,
    "POST /api/me/second-factor/recovery-codes": lambda w: w.ask("POST", "/api/me/second-factor/recovery-codes"),
    "POST /api/me/second-factor/remove": lambda w: w.ask("POST", "/api/me/second-factor/remove", {"password": NEW}),
    "POST /api/me/passkeys": add_passkey,
    "DELETE /api/me/passkeys/{passkey_id}": lambda w: w.ask("DELETE", f"/api/me/passkeys/{w.made['passkey']['id']}"),
    "GET /api/auth/provider/callback": link,
    "DELETE /api/me/identities/{identity_id}": lambda w: w.ask(
        "DELETE", f"/api/me/identities/{w.made['identity']['id']}"
    ),
    "POST /api/desk/requests/answer": answer,
    "POST /api/desk/policy/plans": plan,
    "POST /api/desk/policy/plans/{id}/approve": lambda w: about_plan(w, "approve"),
    "POST /api/desk/policy/plans/{id}/apply": lambda w: about_plan(w, "apply"),
    "POST /api/desk/people": find,
    "POST /api/desk/account": see_account,
    "POST /api/desk/credit": give_credit,
    "PATCH /api/desk/upstreams": change_upstream,
    "PATCH /api/desk/models/routes": change_route,
    "POST /api/desk/prices": set_price,
    "POST /api/desk/evidence": add_evidence,
    "POST /api/desk/evidence/withdraw": lambda w: ask_desk(
        w, "evidence/withdraw", {"name": "audit-report", "reason": "wrong file"}
    ),
    "POST /api/desk/jobs/retry": retry_job,
    "POST /api/desk/probes": lambda w: ask_desk(w, "probes", None),
    "POST /api/desk/limits": lambda w: w.ask(
        "POST", "/api/desk/limits", {"kind": "model", "model": "a/b", "limits": {"parallel": 5}}, w.made["operator"]
    ),
    "POST /api/desk/incidents/{id}/close": close_incident,
    "POST /api/desk/register": make_entry,
    "POST /api/desk/register/{name}/approve": approve_entry,
    "POST /api/desk/open": look,
    "POST /api/desk/openings": search,
}
"""How each route that names an act is called so that it succeeds, in the order in which a person can do all of them."""


async def test_every_route_that_names_an_act_puts_it_on_the_record(walk: Walk) -> None:
    assert set(STEPS) == {route for route, act in acts.ROUTES.items() if not isinstance(act, Silent)}
    for route, step in STEPS.items():
        before = await walk.acts()
        await step(walk)
        told = (await walk.acts())[len(before) :]
        assert acts.ROUTES[route] in told, (route, told)


async def test_an_act_that_fails_is_not_on_the_record(house: House, walk: Walk) -> None:
    """The line is part of the transaction that does it: where nothing was done, nothing is told."""
    await sign_up(walk)
    await walk.ask("POST", "/api/auth/login", {"email": ADA, "password": PASSWORD})
    before = await walk.acts()
    for method, path, body in (
        ("POST", "/api/keys", {"keep_h": 10**6}),
        ("PATCH", "/api/me", {"email": BOB}),
        ("DELETE", f"/api/keys/{UUID(int=9)}", None),
        ("POST", "/api/me/password", {"password": "short"}),
    ):
        answer = await walk.ada.request(method, path, json=body)
        assert 400 <= answer.status_code < 500, (path, answer.text)
        assert await walk.acts() == before


async def test_where_the_record_cannot_be_written_nothing_is_done(house: House, walk: Walk) -> None:
    await sign_up(walk)
    await walk.ask("POST", "/api/auth/login", {"email": ADA, "password": PASSWORD})
    owner = await asyncpg.connect(**house.databases.admin.arguments())
    await owner.execute("ALTER TABLE audit ADD CONSTRAINT full_disk CHECK (act IS NULL) NOT VALID")
    await owner.close()
    for method, path, body in (
        ("POST", "/api/keys", {}),
        ("PATCH", "/api/me", {"name": "Ada"}),
        ("PATCH", "/api/tenant", {"keep_h": 5}),
        ("POST", "/api/tenant/invitations", {"email": BOB}),
    ):
        assert (await walk.ada.request(method, path, json=body)).status_code == 500, path
    assert await house.rows("api_key") == await house.rows("invitation") == 0
    me = await walk.ask("GET", "/api/me")
    assert (me["facts"], me["keep_h"]) == ({"email": ADA}, None)


def test_a_route_that_changes_something_has_a_line() -> None:
    served = set(admission.routes(worker.handlers()))
    assert {route for route in served if not route.startswith("GET ")} <= set(acts.ROUTES) <= served
    with pytest.raises(ActUndeclared, match="PUT /api/new"):
        acts.check([*served, "PUT /api/new"])


def test_every_command_has_a_line() -> None:
    def named(group: click.Group, prefix: str = "") -> set[str]:
        found: set[str] = set()
        for name, command in group.commands.items():
            found |= named(command, f"{prefix}{name} ") if isinstance(command, click.Group) else {prefix + name}
        return found

    assert named(cli.main) == set(COMMANDS)


def test_a_silent_line_says_why() -> None:
    silent = [act for act in (*acts.ROUTES.values(), *COMMANDS.values()) if isinstance(act, Silent)]
    assert all(len(act.why.split()) > 3 for act in silent)
