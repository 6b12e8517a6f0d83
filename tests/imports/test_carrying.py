"""An import by its command, on a running platform: what was shown is made, once, and goes on after a kill."""

from __future__ import annotations

import json
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.imports.files import CONFIG, ENVIRONMENT, KEYS, PRICES, USERS, database
from tests.platform import ROOT, Platform, new_platform, wait_until
from tests.upstream import CREDENTIAL, Upstream

PASSWORD = secrets.token_hex(12)


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def steps(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in lines(text):
        found.setdefault(line["step"], []).append(line["what"])
    return found


def rows(platform: Platform) -> list[list[Any]]:
    """All that an import can have touched, but for the times of use."""
    queries = (
        "SELECT * FROM upstream ORDER BY id",
        "SELECT * FROM model ORDER BY id",
        "SELECT * FROM route ORDER BY model_id, upstream_id",
        "SELECT * FROM price ORDER BY id",
        "SELECT id, state, public_id FROM api_key ORDER BY id",
        "SELECT epoch FROM policy_epoch",
    )
    return [[tuple(row) for row in platform.sql(query)] for query in queries]


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """One of its own, for what is brought over stays."""
    with new_platform(engine="0") as made:
        yield made.start()


@pytest.fixture
def upstream() -> Any:
    made = Upstream()
    yield made
    made.close()


@pytest.fixture
def litellm(tmp_path: Path, upstream: Upstream) -> tuple[str, ...]:
    """The arguments of an import whose `house` runs at the scripted upstream."""
    config = CONFIG.replace("HOUSE", upstream.url).replace("api_key: none", f"api_key: {CREDENTIAL}")
    files = {"config.yaml": config, "keys.csv": KEYS, "users.csv": USERS, "prices.json": json.dumps(PRICES)}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    options = [
        each for name in ("keys.csv", "users.csv", "prices.json") for each in (f"--{name[:-4].rstrip('.')}", name)
    ]
    return (
        "import",
        "litellm",
        str(tmp_path / "config.yaml"),
        *(str(tmp_path / o) if "." in o else o for o in options),
    )


@pytest.fixture
def ada(platform: Platform) -> Any:
    """Ada has an account, whatever test came before."""
    with platform.http() as http:
        if not http.post("/api/auth/login", json={"email": "ada@example.org", "password": PASSWORD}).is_success:
            platform.sign_up(http, email="ada@example.org", password=PASSWORD)
        yield http


def test_an_import_is_shown_then_made_and_a_second_time_nothing(
    platform: Platform, upstream: Upstream, litellm: tuple[str, ...], ada: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    before = rows(platform)
    shown = platform.cli(*litellm, "--json").stdout
    assert rows(platform) == before, "nothing is changed unasked"
    assert "secret" not in shown and CREDENTIAL not in shown

    done = platform.cli(*litellm, "--json", "--apply").stdout
    assert steps(done) == steps(shown)
    made = {line["what"]: line for line in lines(done) if line["step"] == "make"}
    assert "names no processor azure" in made["upstream azure"]["detail"], "nothing is known of it"
    assert {f"key {name}" for name in ("ci", "monthly", "weekly")} <= set(made)
    assert "sign up first" in next(line["detail"] for line in lines(done) if line["what"] == "key stranger")
    [told] = platform.sql("SELECT actor FROM audit WHERE act = 'import'")
    assert told["actor"] == "staff:command"
    listed = {key["name"]: key for key in ada.get("/api/keys").json()["keys"]}
    assert listed["monthly"]["limits"]["budget_month_nano"] == 5_500_000_000
    assert listed["monthly"]["models"] == ["house", "gpt-4o"]

    bearer = {"authorization": f"Bearer {made['key monthly']['secret']}"}
    wait_until(lambda: "house" in ada.get("/v1/models", headers=bearer).text)
    body = {"model": "house", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}
    assert ada.post("/v1/chat/completions", json=body, headers=bearer).status_code == 200
    refused = ada.post("/v1/chat/completions", json={**body, "model": "gpt-4o"}, headers=bearer)
    assert refused.status_code == 451, "an unknown party sees no content"

    platform.cli(
        "upstream", "add", "azure", "https://eu.openai.azure.com/openai/v1", "--kind", "azure", "--region", "DE"
    )
    kept = rows(platform)
    again = platform.cli(*litellm, "--json", "--apply").stdout
    assert "make" not in steps(again) and "secret" not in again
    assert rows(platform) == kept, "what is there stays, with what was declared of it since"
    remains = platform.scan([made["key monthly"]["secret"], "azure-key-1", "sk-ant-1"])
    assert remains == {}


def test_an_import_that_is_killed_goes_on(
    platform: Platform, litellm: tuple[str, ...], ada: httpx.Client, tmp_path: Path
) -> None:
    keys = "token,key_alias,user_id\n" + "".join(f"k{n},many-{n},u-ada\n" for n in range(6))
    (tmp_path / "keys.csv").write_text(keys)
    command = [sys.executable, "-m", "avow.cli", *litellm, "--json", "--apply"]
    process = subprocess.Popen(command, cwd=ROOT, env=platform.environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = ""
    while '"secret"' not in said.rpartition("many-2")[2] or "many-2" not in said:
        line = process.stdout.readline()
        assert line, "it ended before it could be killed"
        said += line
    process.send_signal(signal.SIGKILL)
    said += process.stdout.read()
    process.wait(60)
    again = platform.cli(*litellm, "--json", "--apply").stdout
    newest: dict[str, str] = {}
    for line in lines(said) + lines(again):
        if "secret" in line:
            newest[line["what"]] = line["secret"]
    listed = [key["name"] for key in ada.get("/api/keys").json()["keys"] if key["name"].startswith("many-")]
    assert sorted(listed) == [f"many-{n}" for n in range(6)], "each once"
    assert set(newest) == {f"key many-{n}" for n in range(6)}
    for secret in newest.values():
        assert ada.get("/v1/models", headers={"authorization": f"Bearer {secret}"}).status_code == 200


def test_a_new_api_database_is_brought_over_as_it_lies_there(
    platform: Platform, upstream: Upstream, ada: httpx.Client, tmp_path: Path
) -> None:
    path = database(tmp_path / "one-api.db", upstream.url)
    before = path.read_bytes()
    done = platform.cli("import", "new-api", str(path), "--apply").stdout
    assert "made        model qwen" in done and "left out    channel midjourney" in done
    app, every = (word for line in done.splitlines() for word in line.split() if word.startswith("sk-avow-"))
    refused = ada.get("/v1/models", headers={"authorization": f"Bearer {app}"})
    assert refused.json()["error"]["code"] == "network_refused", "it may be used from its networks only, as before"
    assert ada.get("/v1/models", headers={"authorization": f"Bearer {every}"}).status_code == 200
    assert "0 made" in platform.cli("import", "new-api", str(path), "--apply").stdout
    assert path.read_bytes() == before and list(tmp_path.glob("one-api.db-*")) == []


def test_another_upstream_of_the_same_name_is_not_overwritten(platform: Platform, tmp_path: Path) -> None:
    platform.cli("upstream", "add", "deepseek", "http://127.0.0.1:9/v1", "--own")
    entry = "{model_name: seek, litellm_params: {model: deepseek/chat, api_key: k, input_cost_per_token: 1e-6}}"
    (tmp_path / "config.yaml").write_text(f"model_list: [{entry}]")
    done = steps(platform.cli("import", "litellm", str(tmp_path / "config.yaml"), "--apply", "--json").stdout)
    assert {"upstream deepseek", "model seek"} <= set(done["left"]) and "make" not in done


def test_a_model_that_is_there_keeps_its_whole_price_when_it_gets_a_route(platform: Platform, tmp_path: Path) -> None:
    platform.cli("upstream", "add", "mine", "http://127.0.0.1:9/v1", "--own")
    prices = ("--input", "1", "--output", "2", "--cache-write", "3", "--audio", "4")
    platform.cli("model", "add", "kept", "--upstream", "mine", *prices)
    entry = "{model_name: kept, litellm_params: {model: mistral/large, api_key: k, input_cost_per_token: 9e-6}}"
    (tmp_path / "config.yaml").write_text(f"model_list: [{entry}]")
    done = steps(platform.cli("import", "litellm", str(tmp_path / "config.yaml"), "--apply", "--json").stdout)
    assert "model kept" in done["make"], "it runs at one more"
    [price] = platform.sql("SELECT input_nano, cache_write_nano, audio_nano FROM price WHERE model = 'kept'")
    assert tuple(price) == (1_000_000_000, 3_000_000_000, 4_000_000_000)


def test_a_file_that_is_no_config_changes_nothing_and_says_what_to_do(platform: Platform, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"\xff\xfe")
    done = platform.cli("import", "litellm", str(tmp_path / "config.yaml"), "--apply", check=False)
    assert done.returncode == 1 and "UTF-8" in done.stderr and "import.md" in done.stderr
    assert "Traceback" not in done.stderr
