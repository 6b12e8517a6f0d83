"""Commands that list and find: what an operator needs to go on, as lines and as JSON, page by page; nothing is opened."""

from __future__ import annotations

import json
import secrets
import subprocess
from typing import Any

from tests.platform import MODEL, Platform, complete, wait_until
from tests.upstream import PRICES, Upstream


def listed(platform: Platform, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(platform.cli(*words, "--json").stdout)
    return found


def test_a_person_is_found_by_address_and_their_keys_are_listed_page_by_page(platform: Platform) -> None:
    why, name = f"why{secrets.token_hex(6)}", f"name{secrets.token_hex(6)}"
    with platform.http() as http:
        me = platform.sign_up(http)
        made = [platform.key(http, name=name)["id"] for _ in range(2)]
        found = listed(platform, "subject", "find", me["email"], "--reason", why)
        assert (found["id"], found["tenant_id"], found["role"]) == (me["id"], me["tenant_id"], "owner")
        [line] = [each for each in http.get("/api/me/openings").json()["openings"] if each["act"] == "find by address"]
        assert (line["who"], line["reason"]) == ("staff", why)
    first = listed(platform, "key", "list", me["id"], "--limit", "1")
    rest = listed(platform, "key", "list", me["id"], "--after", first["after"])
    assert [row["id"] for row in (*first["rows"], *rest["rows"])] == made and rest["after"] is None
    assert name not in json.dumps([first, rest]) and "secret" not in json.dumps([first, rest])
    unknown = platform.cli("subject", "find", "nobody@example.org", check=False)
    assert unknown.returncode == 1 and "nobody with this address" in unknown.stderr
    assert "hint: Check the address" in unknown.stderr


def test_a_refused_entry_is_said_to_need_no_end(platform: Platform) -> None:
    name = f"r-{secrets.token_hex(4)}"
    assert platform.cli("register", "add", name, "--basis", "consent", "--region", "DE", check=False).returncode == 1
    [row] = [row for row in listed(platform, "register", "list")["rows"] if row["name"] == name]
    assert row["refused"]
    ended = platform.cli("register", "end", name, check=False).stderr
    assert "was refused when it was made" in ended and "needs no end" in ended
    assert "has no such entry" in platform.cli("register", "end", f"{name}x", check=False).stderr


def test_upstreams_and_models_are_listed(platform: Platform) -> None:
    name, secret = f"u-{secrets.token_hex(4)}", f"sk-{secrets.token_hex(8)}"
    platform.cli("upstream", "add", name, "http://127.0.0.1:9/v1", "--kind", "compatible", "--key", stdin=secret + "\n")
    platform.cli("model", "add", name, "--upstream", name, "--input", "0.15", "--output", "0.60")
    [row] = [row for row in listed(platform, "upstream", "list")["rows"] if row["name"] == name]
    assert (row["base_url"], row["kind"], row["state"]) == ("http://127.0.0.1:9/v1", "compatible", "active")
    assert secret not in str(row) and row["has_credential"] and "credential" not in row
    models = {row["id"]: row for row in listed(platform, "model", "list")["rows"]}
    there = {"upstream": name, "theirs": name, "rank": 0, "weight": 1, "cost": "0.000000000"}
    assert (models[name]["routes"], models[name]["input"]) == ([there], "0.150000000")
    said = platform.cli("model", "list", "--limit", "1")
    assert said.stdout.startswith("id ") and len(said.stdout.splitlines()) == 2 and "--after" in said.stderr
    assert any(line.startswith(f"{MODEL} ") for line in platform.cli("model", "list").stdout.splitlines())
    platform.cli("model", "leave", name, "--upstream", name)
    platform.cli("upstream", "drain", name)


def test_an_upstream_is_changed_by_what_is_named_alone(platform: Platform) -> None:
    name, secret = f"u-{secrets.token_hex(4)}", f"sk-{secrets.token_hex(8)}"
    platform.cli("upstream", "add", name, "http://127.0.0.1:9/v1", "--leaving", "drain", "--key", stdin=secret + "\n")

    def change(*given: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return platform.cli("upstream", "change", name, *given, check=check, stdin=stdin)

    def row() -> dict[str, Any]:
        return next(each for each in listed(platform, "upstream", "list")["rows"] if each["name"] == name)

    before = row()
    assert change("--kind", "compatible").stdout == f"upstream {name}: kind changed\n"
    assert row() == before | {"kind": "compatible", "revision": 2}
    moved = change("--url", "http://127.0.0.1:10/v1", check=False)
    assert moved.returncode == 1 and "the key of this upstream was given for the one before" in moved.stderr
    change("--url", "http://127.0.0.1:10/v1", "--key", stdin=f"{secret}x\n")
    assert (row()["base_url"], row()["has_credential"]) == ("http://127.0.0.1:10/v1", True)
    away = change("--url", "https://api.example/v1", "--no-key", check=False)
    assert away.returncode == 1 and "--processor" in away.stderr
    unnamed = change("--url", "https://api.example/v1", "--no-key", "--processor", "nobody", check=False)
    assert unnamed.returncode == 1 and "the policy names no processor nobody" in unnamed.stderr
    assert change("--no-key").returncode == 0 and row()["has_credential"] is False
    for wrong in ((), ("--own", "--processor", "x"), ("--key", "--no-key")):
        assert change(*wrong, check=False).returncode == 2
    platform.cli("upstream", "remove", name)


def test_a_running_worker_asks_where_an_upstream_is_now_and_no_key_of_it_lies_about(platform: Platform) -> None:
    name, keys = f"u-{secrets.token_hex(4)}", [f"sk{secrets.token_hex(12)}" for _ in range(2)]
    before, after = (Upstream(key) for key in keys)
    try:
        platform.cli("upstream", "add", name, before.url, "--key", stdin=f"{keys[0]}\n")
        platform.cli("model", "add", name, "--upstream", name, *PRICES)
        with platform.http() as http:
            platform.sign_up(http)
            key = platform.key(http)["secret"]
            wait_until(lambda: complete(http, key, "Say yes.", model=name).status_code == 200)
            asked = before.calls
            platform.cli("upstream", "change", name, "--url", after.url, "--key", stdin=f"{keys[1]}\n")
            for _ in range(3):
                assert complete(http, key, "Say yes.", model=name).status_code == 200
        assert (before.calls, after.calls, after.scripted.refused) == (asked, 3, [])
        assert platform.scan(keys) == {}
    finally:
        platform.cli("model", "leave", name, "--upstream", name)
        platform.cli("upstream", "remove", name)
        before.close()
        after.close()


def test_a_route_is_changed_by_what_is_named_alone(platform: Platform) -> None:
    name = f"r-{secrets.token_hex(4)}"
    platform.cli("upstream", "add", name, "http://127.0.0.1:9/v1", "--own")
    platform.cli("model", "add", name, "--upstream", name, "--input", "0.15", "--output", "0.60", "--cost", "0.1")

    def change(*given: str) -> subprocess.CompletedProcess[str]:
        return platform.cli("model", "change", name, "--upstream", name, *given, check=False)

    def row() -> dict[str, Any]:
        return next(each for each in listed(platform, "model", "list")["rows"] if each["id"] == name)

    before = row()
    assert change("--rank", "3", "--theirs", "x").stdout == f"model {name} at {name}: rank, theirs changed\n"
    [there] = before["routes"]
    assert row() == before | {"routes": [there | {"rank": 3, "theirs": "x"}]}
    assert change("--cost", "0.2").returncode == 0 and row()["routes"][0]["cost"] == "0.200000000"
    much = change("--cost", "much")
    assert much.returncode == 1 and "A cost is a decimal" in much.stderr
    assert [change(*wrong).returncode for wrong in ((), ("--weight", "0"), ("--rank", "-1"))] == [2, 2, 2]
    platform.cli("model", "leave", name, "--upstream", name)
    assert change("--rank", "1").returncode == 1
    platform.cli("upstream", "remove", name)
