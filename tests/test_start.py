"""`avow up` as a stranger meets it: first start, second start, Ctrl-C, kill -9, what it serves, and what it refuses."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import signal
import socket
import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import httpx
import pytest
from openai import OpenAI

from avow import catalog, start
from avow.app import Parts, PolicyUnfit
from avow.policy import parse
from avow.privacy import versions
from avow.privacy.versions import Version
from tests import LIMIT_S
from tests.conftest import Databases
from tests.platform import MODEL, Platform, complete, new_platform, policy_text, wait_until

CUSTOMERS = "SELECT p.id FROM person p JOIN tenant_kind k USING (tenant_id) WHERE k.kind = 'customer' ORDER BY p.id"
"""Without the canaries, which come and go."""


@pytest.fixture(scope="module")
def second() -> Iterator[Platform]:
    """A platform without the embedded model, which tests stop, kill and start again; it begins with nothing at all."""
    with new_platform(engine="0", as_a_stranger=True) as made:
        yield made.start()


def client_of(platform: Platform) -> OpenAI:
    return OpenAI(base_url=f"{platform.demo['base_url']}/v1", api_key=platform.demo["api_key"], max_retries=0)


def lives(pid: int) -> bool:
    """A zombie has ended too: in a container nobody may be there to reap orphans."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except FileNotFoundError:
        return False


def test_a_first_start_prints_an_answered_completion_with_its_headers(platform: Platform) -> None:
    told = platform.output.decode()
    answer = told.partition("what is a promise?\n")[2].partition("  avow-request-id")[0]
    assert len(answer.split()) > 3
    assert re.search(r"avow-stored: none\n", told)
    assert re.search(r"avow-policy: [0-9a-f]{64}\n", told)
    assert (
        f"{platform.base_url}/app (sign in" in told and f"Mails: {platform.home / 'mail'}" in told and "Ctrl-C" in told
    )
    assert float(re.search(r"avow-cost: (0\.\d{9})\n", told)[1]) > 0  # type: ignore[index]


def test_the_demo_note_is_for_its_owner_only_and_its_key_and_password_work(platform: Platform) -> None:
    note = platform.home / "demo.json"
    assert stat.S_IMODE(note.stat().st_mode) == 0o600
    assert set(platform.demo) == {"base_url", "api_key", "email", "password"}
    with platform.http() as http:
        assert platform.sign_in(http, platform.demo["email"], platform.demo["password"])["confirmed"]
        assert complete(http, platform.demo["api_key"], "Hello.").is_success


def test_no_file_of_the_home_can_be_read_by_others(platform: Platform) -> None:
    for path in (platform.home, *platform.home.rglob("*")):
        assert path.is_symlink() or not path.stat().st_mode & 0o077 or path.parent.name == "run", path


def test_it_is_alive_and_ready(platform: Platform) -> None:
    with platform.http() as http:
        assert http.get("/healthz").text == "ok"
        ready = http.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {"database": True, "policy": True, "ledger": True}


def test_it_is_not_ready_when_the_database_does_not_answer(second: Platform) -> None:
    stopped = second.postgres_processes()
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        with second.http() as http:
            answer = http.get("/readyz")
            assert http.get("/healthz").status_code == 200
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    assert answer.status_code == 503
    assert answer.json()["database"] is False
    with second.http() as http:
        wait_until(lambda: http.get("/readyz").status_code == 200)


def test_it_is_not_ready_when_another_policy_is_on_record(second: Platform) -> None:
    known = second.sql("SELECT hash FROM policy_epoch")[0]["hash"]
    with second.http() as http:
        second.sql("UPDATE policy_epoch SET hash = 'another'")
        answer = http.get("/readyz")
        second.sql("UPDATE policy_epoch SET hash = $1", known)
        assert (answer.status_code, answer.json()["policy"]) == (503, False)
        assert http.get("/readyz").status_code == 200


@pytest.mark.parametrize("locale", ["en", "zh"])
def test_the_policy_page_shows_every_published_sentence(platform: Platform, locale: str) -> None:
    with platform.http() as http:
        clauses = http.get("/.well-known/avow-policy.json").json()["clauses"]
        page = http.get("/privacy", params={"locale": locale})
    text = page.text.replace("&#39;", "'").replace("&#34;", '"')
    assert f'<html lang="{locale}">' in text
    assert len(clauses) > 30
    for clause in clauses:
        assert clause["sentence"][locale] in text


def test_the_public_pages_answer_anybody_without_a_cookie(platform: Platform) -> None:
    with platform.http() as http:
        for path in ("/", "/privacy", "/proof", "/status", "/.well-known/avow-policy.json", "/api/openapi.json"):
            answer = http.get(path)
            assert answer.status_code == 200, path
            assert "set-cookie" not in answer.headers, path


@pytest.mark.parametrize(
    ("path", "status"),
    [
        *[(path, 200) for path in ("/", "/privacy", "/privacy/1", "/privacy/changes", "/proof", "/status", "/terms")],
        *[("/.well-known/avow-policy.json", 200), ("/readyz", 200), ("/nowhere", 404), ("/api/auth/login", 405)],
    ],
)
def test_who_asks_for_the_head_of_a_page_gets_that_and_no_body(platform: Platform, path: str, status: int) -> None:
    """RFC 9110 §9.3.2: as GET, with the length that its body has, and then nothing more on the wire."""
    asked = f"HEAD {path} HTTP/1.1\r\nhost: 127.0.0.1:{platform.port}\r\nconnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", platform.port), timeout=LIMIT_S) as wire:
        wire.sendall(asked.encode())
        head, end, body = b"".join(iter(partial(wire.recv, 65536), b"")).partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), head
    assert (end, body) == (b"\r\n\r\n", b"")
    assert int(re.findall(rb"(?i)\r\ncontent-length: (\d+)", head)[0]) > 0


def test_the_start_page_counts_the_sentences_and_what_was_found_of_them(platform: Platform) -> None:
    platform.cli("verify", "policy_hash")
    with platform.http() as http:
        page, policy = http.get("/").text, http.get("/privacy").text
    counted = [int(n) for n in re.findall(r"<dd[^>]*>(\d+)</dd>", page)]
    assert counted[0] == policy.count('<li id="')
    assert counted[1] == len(re.findall(r'class="state (?:proved|attested)"', policy)) > 0


def test_a_page_may_load_its_own_style_and_nothing_else(platform: Platform) -> None:
    with platform.http() as http:
        page = http.get("/privacy")
    style = page.text.partition("<style>")[2].partition("</style>")[0]
    rules = page.headers["content-security-policy"]
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in rules
    assert "unsafe" not in rules


def test_the_hash_that_is_served_is_that_of_the_policy_file(platform: Platform) -> None:
    checked = platform.cli("policy", "check", "default").stdout
    with platform.http() as http:
        served = http.get("/.well-known/avow-policy.json").json()["hash"]
    assert f"hash {served}\n" in checked


def test_a_published_sentence_has_evidence_once_its_probe_has_looked(platform: Platform) -> None:
    platform.cli("verify", "policy_hash")
    with platform.http() as http:
        page = http.get("/proof").text
    rows = [each for each in page.partition('id="probes"')[2].split("<li")[1:] if "policy_hash" in each]
    assert rows and all('class="state proved"' in row for row in rows)


def test_the_openai_client_gets_a_whole_answer(platform: Platform) -> None:
    answer = client_of(platform).chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Say something."}], max_tokens=8
    )
    assert answer.choices[0].message.content
    assert answer.usage
    assert 0 < answer.usage.completion_tokens <= 8


def test_the_openai_client_gets_a_streamed_answer_token_by_token(platform: Platform) -> None:
    stream = client_of(platform).chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Count to ten."}], max_tokens=12, stream=True
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    assert len([piece for piece in pieces if piece]) >= 3


def test_the_openai_client_sees_the_models_and_a_typed_error_for_an_unknown_one(platform: Platform) -> None:
    client = client_of(platform)
    assert MODEL in [model.id for model in client.models.list()]
    answer = httpx.post(
        f"{platform.base_url}/v1/chat/completions",
        timeout=LIMIT_S,
        json={"model": "no/such", "messages": [{"role": "user", "content": "?"}]},
        headers={"authorization": f"Bearer {platform.demo['api_key']}"},
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_another_avow_serves_as_upstream(platform: Platform, second: Platform) -> None:
    """The second has no model of its own: what it answers came from the first, and both were charged."""
    second.cli("upstream", "add", "first", f"{platform.base_url}/v1", "--key", stdin=platform.demo["api_key"] + "\n")
    second.cli("model", "add", "far/smollm", "--upstream", "first", "--theirs", MODEL, "--input", "1", "--output", "2")
    with platform.http() as http:
        bearer = {"authorization": f"Bearer {platform.demo['api_key']}"}
        before = len(http.get("/api/usage", headers=bearer).json()["requests"])
        client, asked = client_of(second), [{"role": "user", "content": "Say something."}]
        wait_until(lambda: "far/smollm" in [model.id for model in client.models.list()])
        whole = client.chat.completions.create(model="far/smollm", messages=asked, max_tokens=8)  # type: ignore[arg-type]
        assert whole.choices[0].message.content
        stream = client.chat.completions.create(
            model="far/smollm",
            messages=asked,  # type: ignore[arg-type]
            max_tokens=8,
            stream=True,
        )
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
        assert len(http.get("/api/usage", headers=bearer).json()["requests"]) == before + 2
    with second.http() as http:
        bearer = {"authorization": f"Bearer {second.demo['api_key']}"}
        used = http.get("/api/usage", headers=bearer).json()["requests"][:2]
    assert [row["model"] for row in used] == ["far/smollm"] * 2
    assert all(float(row["cost"]) > 0 for row in used)


def test_the_provider_key_is_nowhere_in_the_clear(platform: Platform, second: Platform) -> None:
    secret = "sk-provider-0123456789abcdef0123456789abcdef"
    second.cli("upstream", "add", "elsewhere", "https://example.invalid/v1", "--key", stdin=secret + "\n")
    assert second.scan([secret]) == {}
    second.sql("DELETE FROM upstream WHERE name = 'elsewhere'")


def test_an_undeclared_file_and_an_undeclared_column_are_found(second: Platform) -> None:
    assert second.cli("verify", "declared").returncode == 0
    stray = second.home / "notes.txt"
    stray.write_text("somebody's notes")
    found = second.cli("verify", "declared", check=False)
    stray.unlink()
    assert found.returncode == 1
    assert "notes.txt" in found.stdout
    second.sql("ALTER TABLE person ADD COLUMN nickname text")
    found = second.cli("verify", "declared", check=False)
    second.sql("ALTER TABLE person DROP COLUMN nickname")
    assert found.returncode == 1
    assert "person.nickname" in found.stdout


def test_a_second_start_reuses_everything_and_ctrl_c_ends_every_process(second: Platform) -> None:
    before, ids = second.demo, second.sql(CUSTOMERS)
    running = second.processes()
    assert len(running) > 6
    assert second.stop() == 0
    assert second.processes() == []
    assert not any(lives(pid) for pid in running)
    second.start()
    assert second.demo["api_key"] == before["api_key"]
    assert second.sql(CUSTOMERS) == ids
    with second.http() as http:
        assert http.get("/v1/models", headers={"authorization": f"Bearer {before['api_key']}"}).is_success


def test_after_kill_9_the_next_start_takes_up_what_was_left(second: Platform) -> None:
    before = second.demo
    postgres = second.postgres_pid()
    ours = set(second.processes()) - set(second.postgres_processes())
    second.kill()
    wait_until(lambda: not any(lives(pid) for pid in ours))
    second.start()
    assert second.postgres_pid() == postgres
    with second.http() as http:
        assert http.get("/readyz").status_code == 200
        assert http.get("/v1/models", headers={"authorization": f"Bearer {before['api_key']}"}).is_success


def test_what_nobody_declared_keeps_it_from_starting(second: Platform) -> None:
    second.stop()
    stray = second.home / "notes.txt"
    stray.write_text("somebody's notes")
    refused = second.cli("up", check=False)
    stray.unlink()
    second.start()
    assert refused.returncode == 1
    assert "notes.txt" in refused.stderr and "AVOW_HOME" in refused.stderr


def test_an_upstream_that_the_policy_does_not_name_is_found(second: Platform) -> None:
    assert second.cli("verify", "declared").returncode == 0
    second.cli("upstream", "add", "stranger", "https://192.0.2.1/v1")
    assert second.cli("verify", "declared").returncode == 0, "nobody can call it"
    second.cli("model", "add", "a/b", "--upstream", "stranger", "--input", "1", "--output", "1")
    found = second.cli("verify", "declared", check=False)
    assert found.returncode == 1 and "upstream stranger" in found.stdout
    assert "model leave a/b" in second.cli("upstream", "remove", "stranger", check=False).stderr
    second.cli("model", "leave", "a/b", "--upstream", "stranger")
    second.cli("upstream", "remove", "stranger")
    assert second.cli("verify", "declared").returncode == 0


def test_a_second_avow_is_kept_out_of_the_home(second: Platform) -> None:
    refused = second.cli("up", "--port", "1", check=False)
    assert refused.returncode == 1
    assert "in use" in refused.stderr


def test_with_a_certificate_it_speaks_tls_1_3_and_nothing_older(safe: Platform) -> None:
    with safe.https() as http:
        email, password = safe.demo["email"], safe.demo["password"]
        cookie = http.post("/api/auth/login", json={"email": email, "password": password}).headers["set-cookie"]
        me = http.get("/api/me")
        assert me.json()["facts"]["email"] == email and me.headers["cache-control"] == "no-store"
        clauses = {clause["id"] for clause in http.get("/.well-known/avow-policy.json").json()["clauses"]}
    assert cookie.startswith("__Host-")
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= {part.strip().lower() for part in cookie.split(";")}
    assert "feature.tls" in clauses
    with safe.https(ssl.TLSVersion.TLSv1_2) as http, pytest.raises(httpx.ConnectError):
        http.get("/healthz")
    with httpx.Client() as plain, pytest.raises(httpx.HTTPError):
        plain.get(f"http://127.0.0.1:{safe.port}/healthz")
    assert "proved" in safe.cli("verify", "tls").stdout


def test_without_a_certificate_no_sentence_about_tls_is_published(platform: Platform) -> None:
    with platform.http() as http:
        clauses = {clause["id"] for clause in http.get("/.well-known/avow-policy.json").json()["clauses"]}
    assert "feature.tls" not in clauses


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"pollicy": "default"}, "AVOW_POLLICY is not a setting"),
        ({"port": "0"}, "a port is 1 to 65535"),
        ({"policy": "no-such-profile"}, "There is no policy 'no-such-profile'"),
        ({"database_url": "postgresql://admin@db.example.org/avow?sslmode=require"}, "verify-full"),
        ({"tls_cert": "/nowhere.pem"}, "set together"),
    ],
)
def test_a_start_with_a_wrong_setting_is_refused_with_the_reason(settings: dict[str, str], says: str) -> None:
    with new_platform() as wrong:
        wrong.settings |= settings
        refused = wrong.cli("up", check=False)
        assert refused.returncode == 1
        assert says in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_policy_that_is_silent_about_what_is_stored_keeps_it_from_starting() -> None:
    silent = policy_text(('"latency_ms", ', ""))
    with new_platform(silent) as wrong:
        refused = wrong.cli("up", check=False)
        assert refused.returncode == 1
        assert "latency_ms" in refused.stderr
        assert not wrong.postgres_pid()


def test_a_changed_file_is_not_what_is_in_force_and_the_start_says_so(second: Platform) -> None:
    second.stop()
    known, said = second.settings.copy(), len(second.output)
    second.write_policy(policy_text(('keep = "12 months"', 'keep = "6 months"'), ("version = 1", "version = 2")))
    second.start()
    second.settings = known
    assert b"is not what is in force: version 1 is. " in second.output[said:]
    assert f"avow policy plan {second.folder / 'policy.toml'}".encode() in second.output[said:]
    with second.http() as http:
        served = http.get("/.well-known/avow-policy.json").json()
    assert served["version"] == 1
    assert "12 months" in str(served["clauses"])
    shown = second.cli("policy", "show").stdout
    assert shown == policy_text()
    told = json.loads(second.cli("policy", "show", "--json").stdout)
    assert (told["version"], told["hash"], told["source"], told["coming"]) == (1, served["hash"], shown, [])
    second.stop()
    said = len(second.output)
    second.write_policy(shown)
    second.start()
    second.settings = known
    assert b"is not what is in force" not in second.output[said:], "its file was named"


def test_a_start_names_the_version_in_force_and_the_one_that_is_to_come() -> None:
    def version(number: int, hash: str) -> Version:
        on = datetime(2027, 1, number, tzinfo=UTC)
        return Version(number, hash, on, on, None, material=True, clauses=())

    mine = parse(policy_text(), "default")
    other, own, coming = version(3, "3"), version(3, mine.hash), version(4, "4")
    assert start.what_holds(mine, own, [], "default") == ""
    comes = "version 4 comes on 2027-01-04 00:00 UTC"
    assert start.what_holds(mine, own, [coming], "default") == f"version 3 is in force; {comes}."
    assert start.what_holds(mine, other, [version(4, mine.hash)], "x") == f"version 3 is in force; {comes}."
    said = start.what_holds(mine, other, [coming], "default")
    assert said.startswith(f"default is not what is in force: version 3 is, until {comes}. ")
    for file in ("default", "/x/first.toml"):
        said = start.what_holds(mine, other, [], file)
        # To plan it would undo what was applied after it.
        assert 'policy = "/path/' in said and "avow policy show" in said and "avow policy plan" not in said


def test_production_refuses_a_policy_with_examples_and_a_demo_says_what_they_are() -> None:
    with new_platform(engine="0") as one:
        one.settings["policy"] = "infiner"
        refused = one.cli("serve", check=False)
        assert refused.returncode == 1 and "operator is an example" in refused.stderr
        undated = ('[locale.zh]\ndate = "2026-11-22"\n', "")
        agreed = ("[locale.zh]", '[acceptance]\nhow = "explicit"\nterms = true\n\n[locale.zh]')
        asked = ('features = ["tls"', 'features = ["tls", "acceptance"')
        for changes, said in (((undated,), "locale.zh"), ((agreed, asked), "terms.en")):
            (one.folder / "unready.toml").write_text(policy_text(*changes))
            one.settings["policy"] = str(one.folder / "unready.toml")
            refused = one.cli("serve", check=False)
            assert refused.returncode == 1 and said in refused.stderr and "Traceback" not in refused.stderr
        one.settings["policy"] = "infiner"
        one.start()
        with one.http() as http:
            assert "are examples and not connected" in http.get("/privacy?locale=en").text
            assert "均为示例" in http.get("/?locale=zh").text


def test_a_policy_is_exported_in_the_words_of_others(platform: Platform) -> None:
    dpv = json.loads(platform.cli("policy", "export", "infiner", "--format", "dpv").stdout)
    assert "w3id.org/dpv" in json.dumps(dpv["@context"])
    fides = json.loads(platform.cli("policy", "export", "infiner", "--format", "fides").stdout)
    assert fides["system"]
    rendered = platform.cli("policy", "render", "infiner", "--locale", "zh").stdout
    assert "30 天" in rendered


async def test_a_policy_in_force_that_lacks_what_is_stored_is_refused_before_anything_is_migrated(
    database: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its Avow could not start on migrated tables, and without it no other policy is taken on."""
    older = policy_text().replace('"text", "receipt"', '"text"')
    assert older != policy_text()
    made = {"database": lambda _: database.keeper, "demo": True, "installed": frozenset(catalog.parts()), "admin": None}
    parts, begun = cast(Parts, SimpleNamespace(**made, password=str)), list[str]()

    async def note(name: str, *_: object) -> None:
        begun.append(name)

    monkeypatch.setattr(start.backup, "take_place", partial(note, "take_place"))
    monkeypatch.setattr(start, "migrate", partial(note, "migrate"))
    await start._refuse_outgrown(parts)
    async with database.keeper.begin() as c:
        await versions.begin(c, parse(older), older, datetime.now(UTC))
    with pytest.raises(PolicyUnfit, match="receipt") as refused:
        await start.prepare(parts)
    assert begun == ["take_place"]
    assert "nothing was migrated" in refused.value.hint
