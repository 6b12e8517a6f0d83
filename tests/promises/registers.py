"""What is checked of the register of disclosures on a platform that runs under a profile, with a recipient that listens."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx

from avow.policy import Policy
from avow.registers.entries import GROUNDS
from tests.platform import Platform
from tests.promises.test_staff import appoint, set_up_factor

HOURS = ("--since", "2026-01-01", "--until", "2099-01-01")
WHEN = {"since": "2026-01-01T00:00:00Z", "until": "2099-01-01T00:00:00Z"}
ORDER = b"A court orders."
VALID = {
    **{"sha256": hashlib.sha256(ORDER).hexdigest(), "authority": "A court"},
    **{"valid_from": WHEN["since"], "valid_until": WHEN["until"]},
}


class Recipient:
    """A server on this machine that keeps what it is sent."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        recipient = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                recipient.got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/in"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def listening() -> Iterator[Recipient]:
    made = Recipient()
    try:
        yield made
    finally:
        made.close()


@contextmanager
def operators(running: Platform, count: int) -> Iterator[list[httpx.Client]]:
    """So many operators at the desk, each with a second factor."""
    with ExitStack() as open_:
        found = []
        for _ in range(count):
            client = open_.enter_context(running.http())
            entry = appoint(running)
            running.sign_in(client, entry["email"], entry["password"])
            set_up_factor(client, entry["password"])
            found.append(client)
        yield found


def enter(desk: httpx.Client, me: Mapping[str, Any] | None = None, reason: str = "", **said: Any) -> str:
    """Make an entry at the desk; gives the rule that it broke, or nothing."""
    entry = {"name": f"e-{secrets.token_hex(6)}", "to": "stub", "recipient": "A stub", "purpose": "legal", **said}
    body = {"entry": entry, "reason": reason, "process": base64.b64encode(ORDER).decode()}
    body |= {} if me is None else {"tenant": me["tenant_id"], "subject": me["id"]}
    answer = desk.post("/api/desk/register", json=body)
    assert answer.status_code in (204, 422), answer.text
    refused = "" if answer.status_code == 204 else str(answer.json()["param"])
    [listed] = [
        each for each in desk.get("/api/desk/register").json()["entries"] if each["entry"]["name"] == entry["name"]
    ]
    assert (listed["refused"] or "") == refused, "the refusal is on record"
    return refused


def check_grounds(desk: httpx.Client, policy: Policy, me: Mapping[str, Any], region: str) -> None:
    """Nothing goes on a ground that the policy lacks, and on each that it has nothing goes without what that ground needs."""
    account = {"fields": {"account": ["email"]}, "region": region}
    shares = {part.name for part in policy.named("share")} & {*GROUNDS}
    for basis in ("sale", "rent", "trade", "marketing", *sorted({*GROUNDS} - shares - {"own"})):
        assert enter(desk, **account, basis=basis) == "basis", basis
    processor = policy.named("processor")[0]
    if "provider" in shares:
        given = {"to": processor.name, "basis": "provider", "region": processor.values["region"], "purpose": "service"}
        fields = {name: [policy.categories[name].fields[0]] for name in processor.values["categories"][:1]}
        contract = {"contract": processor.values["contract"]}
        assert enter(desk, **given, fields=fields) == "no_contract"
        assert enter(desk, **given, **contract, fields=fields, contract_on="2099-01-01") == "contract_in_future"
        assert enter(desk, **given, **contract, fields={"horoscope": ["sign"]}) == "category"
        assert enter(desk, **given, **contract, fields={"consent": ["kind"]}) == "more_than_promised"
    if "legal" in shares:
        legal = {**account, "basis": "legal"}
        assert enter(desk, me, "asked", **legal, scope=WHEN) == "no_process"
        late = {**VALID, "valid_until": "2026-02-01T00:00:00Z"}
        assert enter(desk, me, "asked", **legal, scope=WHEN, process=late) == "no_process"
        unseen = {**VALID, "sha256": "0" * 64}
        assert enter(desk, me, "asked", **legal, scope=WHEN, process=unseen) == "no_process", (
            "another file was attached"
        )
        assert enter(desk, me, "asked", **legal, process=VALID) == "no_scope"
    for basis, why in (("protection", "no_reason"), ("public_safety", "no_reason"), ("interest", "no_balancing")):
        if basis in shares:
            assert enter(desk, me, **account, basis=basis) == why
    if "corporate" in shares:
        assert enter(desk, **account, basis="corporate", notice=7) == "no_notice"
    if policy.named("transfer"):
        basis = "legal" if "legal" in shares else "provider"
        assert (
            enter(desk, me, "asked", **{**account, "region": "SG"}, basis=basis, scope=WHEN, process=VALID)
            == "no_instrument"
        )


def check_legal(
    running: Platform, desks: list[httpx.Client], me: Mapping[str, Any], other: str, region: str, folder: Path
) -> None:
    """What law asks for goes once a valid process is attached and two operators stand behind it, and then only what is within
    its scope; the person sees where it went."""
    order = folder / "order.pdf"
    order.write_bytes(ORDER)
    name = f"order-{secrets.token_hex(4)}"
    options = order_of(me, region, order)
    with listening() as stub:
        running.cli("register", "add", name, *options)
        assert desks[0].post(f"/api/desk/register/{name}/approve").status_code == 204
        early = running.cli("register", "disclose", name, "--url", stub.url, check=False)
        assert early.returncode == 1 and "not approved" in early.stderr and stub.got == []
        assert desks[1].post(f"/api/desk/register/{name}/approve").status_code == 204
        running.cli("register", "disclose", name, "--url", stub.url)
        [sent] = stub.got
    assert [fact["fields"] for fact in sent["facts"]] == [{"email": me["email"]}]
    assert other not in json.dumps(sent) and (sent["basis"], sent["fields"]) == ("legal", {"account": ["email"]})
    known = running.sql("SELECT about FROM incident WHERE kind = 'egress' AND closed_at IS NULL")
    assert name in {row["about"] for row in known}, "the early attempt is an incident"
    settle(desks[0])


def check_consent(
    running: Platform, desk: httpx.Client, http: httpx.Client, me: Mapping[str, Any], region: str
) -> None:
    """Nothing goes before the person consents to this recipient, and nothing once they took it back; another recipient than
    theirs gets nothing either."""
    to = f"lab-{secrets.token_hex(4)}"
    said = {"to": to, "basis": "consent", "region": region, "host": "127.0.0.1", "fields": {"account": ["email"]}}
    assert enter(desk, me, **said) == "no_consent"
    [asked] = [each for each in http.get("/api/privacy/consents").json() if each["name"] == f"sharing:{to}"]
    shown = {"notice": asked["hash"]["en"]}
    assert http.put(f"/api/privacy/consents/sharing:{to}", params=shown).status_code == 204
    assert enter(desk, me, **said, name=to) == ""
    assert enter(desk, me, **{**said, "to": "another"}) == "no_consent"
    with listening() as stub:
        running.cli("register", "disclose", to, "--url", stub.url)
        assert [fact["fields"] for fact in stub.got[0]["facts"]] == [{"email": me["email"]}]
        assert http.delete(f"/api/privacy/consents/sharing:{to}").status_code == 204
        refused = running.cli("register", "disclose", to, "--url", stub.url, check=False)
        assert refused.returncode == 1 and "has not consented" in refused.stderr and len(stub.got) == 1
    settle(desk)


def check_records(desk: httpx.Client, policy: Policy) -> None:
    """The records of processing name every category with why, how long, where and who gets it, and every recipient."""
    records = desk.get("/api/desk/ropa").json()
    found = {each["category"]: each for each in records["activities"]}
    assert set(found) == set(policy.categories) and records["drift"] == []
    for name, each in found.items():
        assert each["basis"] and each["kept"] and len(each["purposes"]) == len(policy.categories[name].purposes)
    assert {part.name for part in policy.named("processor")} <= {each["name"] for each in records["recipients"]}


def check_silent(
    running: Platform, desks: list[httpx.Client], me: Mapping[str, Any], region: str, folder: Path
) -> None:
    """Where a process forbids to tell, what goes is on record and the person sees nothing of it until that day; why is kept."""
    name = f"silent-{secrets.token_hex(4)}"
    running.cli("register", "add", name, *order_of(me, region, folder / "order.pdf"), "--silent-until", "2099-01-01")
    for desk in desks:
        assert desk.post(f"/api/desk/register/{name}/approve").status_code == 204
    sent = json.loads(running.cli("register", "disclose", name).stdout)
    assert [fact["fields"] for fact in sent["facts"]] == [{"email": me["email"]}]
    [listed] = [each for each in desks[0].get("/api/desk/register").json()["entries"] if each["entry"]["name"] == name]
    assert (listed["sent"], listed["about_a_person"]) == (1, True)
    assert me["email"] not in json.dumps(listed)


def order_of(me: Mapping[str, Any], region: str, file: Path) -> list[str]:
    """The options of a court's order for somebody's address."""
    options = ["--basis", "legal", "--region", region, "--host", "127.0.0.1", "--data", "account=email", *HOURS]
    options += ["--subject", me["id"], "--process", str(file), "--authority", "A court", "--reason", "case 17"]
    return [*options, "--process-from", "2026-01-01", "--process-to", "2099-01-01", "--purpose", "legal"]


def settle(desk: httpx.Client) -> None:
    """Close every incident, as the desk does when it has looked into it."""
    for each in desk.get("/api/desk/incidents").json()["incidents"]:
        closed = desk.post(f"/api/desk/incidents/{each['id']}/close", json={"reason": "a test"})
        assert closed.status_code in (204, 404), "a probe closes its own"
