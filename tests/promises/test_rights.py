"""The rights of people on one running platform that processes for several purposes: copies, restriction, objection,
answers of people at the desk, and due dates."""

from __future__ import annotations

import io
import json
import secrets
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

import httpx
import pytest

from tests.platform import Platform, complete, policy_text, wait_until
from tests.promises.test_staff import appoint, set_up_factor
from tests.upstream import scripted_platform

DAY = 86400.0
POLICY = policy_text(
    (
        'purposes = ["service", "security", "notices"]',
        'purposes = ["service", "security", "notices", "legal", "personalise"]\nstaff = ["privacy"]',
    ),
    ('purposes = ["service", "history"]', 'purposes = ["service", "debugging"]\nstaff = ["support"]'),
    ("ask = true\n", ""),
    ('features = ["tls"', 'features = ["tls", "rights"'),
    (
        "# ── Data of people",
        '[contact.privacy]\nemail = "privacy@example.org"\n\n[rights]\ncontact = "privacy"\nscope = "everyone"\n'
        'deadline = { default = "1 month", EU = "1 month", US-CA = "45 days" }\n\n# ── Data of people',
    ),
)


@dataclass
class House:
    """A platform with staff of the roles privacy and support."""

    platform: Platform
    privacy: httpx.Client
    support: httpx.Client

    def mail_to(self, address: str, word: str) -> str | None:
        """The text of a mail to somebody in which a word stands."""
        for path in (self.platform.home / "mail").glob("*.eml"):
            message = message_from_bytes(path.read_bytes(), policy=default)
            text = message.get_content()
            if message["to"] == address and word in text:
                return str(text)
        return None

    def mailed(self, address: str, word: str) -> str:
        """The same, as soon as it is there."""
        wait_until(lambda: self.mail_to(address, word))
        return self.mail_to(address, word) or ""


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with scripted_platform(POLICY) as (platform, _), platform.http() as privacy, platform.http() as support:
        for role, http in (("privacy", privacy), ("support", support)):
            entry = appoint(platform, **{"--role": role})
            platform.sign_in(http, entry["email"], entry["password"])
            set_up_factor(http, entry["password"])
        yield House(platform, privacy, support)


def ask(http: httpx.Client, **what: Any) -> dict[str, Any]:
    answer = http.post("/api/privacy/requests", json=what)
    assert answer.status_code == 202, answer.text
    taken: dict[str, Any] = answer.json()
    return taken


def fetched(http: httpx.Client, kind: str, password: str) -> dict[str, str]:
    """Ask for a copy, wait for it and fetch it; the files by name."""
    id = ask(http, kind=kind, password=password)["id"]
    wait_until(lambda: http.get(f"/api/privacy/requests/{id}").json()["state"] == "succeeded")
    answer = http.get(f"/api/privacy/requests/{id}/copy")
    assert answer.status_code == 200, answer.text
    assert http.get(f"/api/privacy/requests/{id}/copy").status_code == 404
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        return {name: file.read(name).decode() for name in file.namelist()}


@pytest.mark.promise("INF-7.1")
@pytest.mark.promise("MESH-7.1")
@pytest.mark.promise("TRO-6.1")
@pytest.mark.promise("IMG-5.2")
def test_a_copy_has_the_data_and_what_is_done_with_it(house: House) -> None:
    platform, words = house.platform, [f"canary{secrets.token_hex(8)}" for _ in range(4)]
    with platform.http() as http, platform.http() as stranger:
        other = platform.sign_up(stranger, name=f"other{secrets.token_hex(8)}")
        me = platform.sign_up(http, name=words[0])
        key = platform.key(http, name=words[1])["secret"]
        assert complete(http, key, words[2]).headers["avow-stored"] == "trace"
        ask(http, kind="complain", text=words[3])
        files = fetched(http, "access", me["password"])
        assert http.patch("/api/me", json={"name": "another"}).is_success
        facts = "".join(text for name, text in files.items() if name.startswith("data/"))
        for word in words:
            assert word in facts
            assert word in files["read-me.html"]
        assert me["email"] in facts
        assert other["facts"]["name"] not in facts
        for secret in ("password_hash", "$argon2", "token_hmac", "secret_hmac", "email_index"):
            assert secret not in facts
        said = json.loads(files["policy.json"])["clauses"]
        kept = {clause["id"]: clause["says"] for clause in said}
        assert kept["use.usage"]["purposes"]
        assert kept["use.usage"]["basis"] == "contract"
        assert kept["keep.usage"]["keep"] == {"amount": 30, "unit": "days"}
        ready = house.mail_to(me["email"], "copy of your data")
        wait_until(lambda: ready or house.mail_to(me["email"], "copy of your data"))
        receipt = platform.erase(http, me["password"])
    assert "copy_part" in {entry["store"] for entry in receipt["stores"]}
    assert platform.scan([*words, me["email"]]) == {}


@pytest.mark.promise("INF-7.4")
@pytest.mark.promise("MESH-7.5")
@pytest.mark.promise("LAB-7.4")
def test_what_is_taken_along_is_structured_and_fits_its_schema(house: House) -> None:
    platform, word = house.platform, f"canary{secrets.token_hex(8)}"
    with platform.http() as http, platform.http() as anew:
        me = platform.sign_up(http, name=word)
        complete(http, platform.key(http)["secret"], word)
        files = fetched(http, "port", me["password"])
        schema = json.loads(files["schema.json"])
        stores = {name: json.loads(text) for name, text in files.items() if name.startswith("data/")}
        assert {"data/person.json", "data/trace.json", "data/usage.json"} <= stores.keys()
        assert not {"data/audit.json", "data/charge.json"} & stores.keys()
        for facts in stores.values():
            check(facts, schema)
        [person] = [fact for fact in stores["data/person.json"] if "name" in fact]
        platform.sign_up(anew, name="somebody")
        assert anew.patch("/api/me", json={"name": person["name"]}).json()["facts"]["name"] == word


def check(facts: Any, schema: dict[str, Any]) -> None:
    """Hold data against the part of JSON Schema that these files use."""
    assert schema["type"] == "array" and isinstance(facts, list) and facts
    rules = schema["items"]
    for fact in facts:
        assert set(rules["required"]) <= fact.keys()
        for name, rule in rules["properties"].items():
            if name not in fact or "type" not in rule:
                continue
            kinds = rule["type"] if isinstance(rule["type"], list) else [rule["type"]]
            assert ("null" in kinds) if fact[name] is None else isinstance(fact[name], str), name
            if rule.get("format") == "date-time" and fact[name]:
                assert datetime.fromisoformat(fact[name]).tzinfo


@pytest.mark.promise("MESH-7.3")
@pytest.mark.promise("IMG-5.4")
@pytest.mark.promise("LAB-7.5")
@pytest.mark.promise("TRO-6.5")
def test_what_is_restricted_is_stored_and_not_used_until_it_is_lifted(house: House) -> None:
    platform, name = house.platform, f"canary{secrets.token_hex(8)}"
    with platform.http() as http:
        me = platform.sign_up(http, name=name)
        wanted = {"subject": me["id"], "category": "account", "purpose": "legal", "reason": "a court asks"}
        assert house.privacy.post("/api/desk/open", json=wanted).status_code == 200
        assert ask(http, kind="restrict", text="My name is not right.")["state"] == "succeeded"
        refused = house.privacy.post("/api/desk/open", json=wanted)
        assert (refused.status_code, refused.json()["code"]) == (403, "open_refused")
        leaked = platform.key(http)["secret"]
        with platform.http() as finder:
            finder.post("/api/keys/leaked", json={"key": leaked})
        assert http.get("/api/me").json()["facts"]["name"] == name, "one's own data stays in one's reach"
        done = platform.cli("subject", "release", me["id"], "--reason", "the name is right now")
        assert done.returncode == 0
        wait_until(lambda: house.mail_to(me["email"], "the name is right now"))
        assert house.mail_to(me["email"], "found and revoked") is None, "no job used the address meanwhile"
        assert house.privacy.post("/api/desk/open", json=wanted).status_code == 200
        assert not http.get("/api/privacy/standing").json()["restricted"]
        platform.erase(http, me["password"])
    assert platform.scan([name]) == {}


@pytest.mark.promise("INF-7.5")
@pytest.mark.promise("MESH-7.4")
@pytest.mark.promise("IMG-5.4")
def test_an_objection_ends_one_purpose_of_one_person(house: House) -> None:
    platform = house.platform
    with platform.http() as http, platform.http() as other:
        people = [platform.sign_up(each) for each in (http, other)]
        for each in (http, other):
            assert complete(each, platform.key(each)["secret"], "Hello.").headers["avow-stored"] == "trace"
        looks = [
            {"subject": me["id"], "category": "api_content", "purpose": "debugging", "reason": "ticket 7"}
            for me in people
        ]
        assert [house.support.post("/api/desk/open", json=look).status_code for look in looks] == [200, 200]
        assert ask(http, kind="object", purpose="debugging")["state"] == "succeeded"
        assert [house.support.post("/api/desk/open", json=look).status_code for look in looks] == [403, 200]
        refused = ask(http, kind="object", purpose="service")
        assert (refused["state"], refused["reason"]) == ("refused", "needed_for_contract")
        shown = http.get(f"/api/privacy/requests/{refused['id']}").json()
        assert "edpb.europa.eu" in shown["complain_to"]
        assert http.delete("/api/privacy/standing/objections/debugging").status_code == 204
        assert [house.support.post("/api/desk/open", json=look).status_code for look in looks] == [200, 200]


@pytest.mark.promise("INF-12.4")
@pytest.mark.promise("TRO-6.8")
def test_a_complaint_is_answered_and_a_refusal_says_where_to_complain(house: House) -> None:
    platform = house.platform
    with platform.http() as http:
        me = platform.sign_up(http)
        id = ask(http, kind="complain", text="Somebody read my prompts.")["id"]
        queue = house.privacy.post("/api/desk/requests", json={"kind": "complain"}).json()["requests"]
        assert id in [each["id"] for each in queue]
        assert house.support.post("/api/desk/requests", json={}).status_code == 403
        told = house.privacy.post("/api/desk/requests/open", json={"id": id, "reason": "to answer"}).json()
        assert told["text"] == "Somebody read my prompts."
        answer = {"id": id, "state": "refused", "answer": "Nobody did: see your record."}
        assert house.privacy.post("/api/desk/requests/answer", json=answer).status_code == 204
        wait_until(lambda: house.mail_to(me["email"], answer["answer"]))
        letter = house.mail_to(me["email"], answer["answer"])
        assert letter and "data protection authority" in letter and "edpb.europa.eu" in letter
        shown = http.get(f"/api/privacy/requests/{id}").json()
        assert (shown["state"], shown["answer"]) == ("refused", answer["answer"])
        assert "edpb.europa.eu" in shown["complain_to"]


@pytest.mark.promise("INF-7.0")
@pytest.mark.promise("MESH-7.0")
@pytest.mark.promise("LAB-7.0")
@pytest.mark.promise("TRO-6.0")
@pytest.mark.parametrize(("place", "days"), [("DE", 31), ("FR", 31), ("US-CA", 45), ("US", 31), ("BR", 31), (None, 31)])
def test_every_place_has_every_right_with_its_due_date(house: House, place: str | None, days: int) -> None:
    platform, where = house.platform, {"place": place} if place else {}
    with platform.http() as http:
        me = platform.sign_up(http)
        asked = [
            ask(http, kind="complain", text="slow", **where),
            ask(http, kind="rectify", text="My address.", password=me["password"], **where),
            ask(http, kind="restrict", **where),
            ask(http, kind="object", purpose="personalise", **where),
            ask(http, kind="access", password=me["password"], **where),
            ask(http, kind="port", password=me["password"], **where),
            ask(http, kind="erase", password=me["password"], **where),
        ]
        rows = platform.sql("SELECT since, due_at FROM rights_request WHERE subject_id = $1::uuid", me["id"])
    assert len(rows) == len(asked)
    for row in rows:
        month = timedelta(days=days)
        # A month may be shorter than the longest one.
        assert month - timedelta(days=0 if days > 31 else 3) <= row["due_at"] - row["since"] <= month


@pytest.mark.promise("TRO-6.10")
@pytest.mark.promise("MESH-7.7")
def test_a_late_request_raises_the_alarm(house: House) -> None:
    """The last of this file: it leaves the platform in the next month."""
    platform = house.platform
    with platform.http() as http:
        platform.sign_up(http)
        ask(http, kind="complain", text="slow")
        assert platform.cli("verify", "deadlines", check=False).stdout.startswith("proved")
        platform.move_clock(27 * DAY)
        soon = platform.cli("verify", "deadlines", check=False).stdout
        assert soon.startswith("proved") and " 0 due within" not in soon
        platform.move_clock(5 * DAY)
        late = platform.cli("verify", "deadlines", check=False)
        assert (late.returncode, late.stdout.split()[0]) == (1, "failed")


def test_who_has_no_account_asks_from_their_mailbox_and_is_erased(house: House) -> None:
    """Somebody was invited and never came: what is stored of them is told and ended, and the invitation works no more."""
    email = f"invited-{secrets.token_hex(6)}@example.org"
    with house.platform.http() as owner, house.platform.http() as nobody:
        house.platform.sign_up(owner)
        owner.post("/api/tenant/invitations", json={"email": email, "role": "member"})
        invitation = house.mailed(email, "/invitation#").partition("/invitation#")[2].split()[0]
        assert nobody.get("/privacy/ask").status_code == 200
        assert nobody.post("/api/privacy/outside", json={"email": email, "kind": "erase"}).status_code == 202
        token = house.mailed(email, "/privacy/ask#").partition("/privacy/ask#")[2].split()[0]
        taken = nobody.post("/api/privacy/outside/prove", json={"token": token})
        assert (taken.status_code, taken.json()["kind"]) == (202, "erase")
        answer = house.mailed(email, taken.json()["id"])
        assert "is deleted now" in answer and "your account data: 1" in answer
        body = {"token": invitation, "password": "correct horse battery staple"}
        assert nobody.post("/api/invitations/accept", json=body).json()["code"] == "invitation_refused"
