"""Words of people are looked for as a thief of the disk would: in every file of every inside store, and in every copy.

Each test plants random markers wherever a client can put a word, and looks for them afterwards.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from avow.base.postgres import Cluster
from avow.vault import Gone, Ref, Ring, box
from tests.platform import MODEL, Platform, complete, new_platform, search, wait_until
from tests.promises.test_rights import fetched

BODY_BYTES_TOO_MANY = 4 * 1024 * 1024 + 1


class Markers:
    """Random words by the place where they were planted."""

    def __init__(self) -> None:
        self.planted: dict[str, str] = {}

    def __call__(self, place: str) -> str:
        self.planted[place] = f"mark{secrets.token_hex(10)}"
        return self.planted[place]

    def where(self, found: dict[str, list[str]]) -> dict[str, list[str]]:
        """A search's result by place."""
        return {place: found[word] for place, word in self.planted.items() if word in found}


def plant_in_completions(http: httpx.Client, key: str, mark: Markers) -> None:
    """Requests that are answered."""
    tool = {
        "name": mark("tool name"),
        "description": mark("tool description"),
        "parameters": {"type": "object", "properties": {mark("tool parameter"): {"type": "string"}}},
    }
    call = {"id": mark("call id"), "type": "function", "function": {"name": tool["name"], "arguments": "{}"}}
    messages = [
        {"role": "system", "content": mark("system prompt")},
        {"role": "user", "content": mark("prompt")},
        {"role": "assistant", "content": mark("earlier answer")},
        {"role": "user", "content": [{"type": "text", "text": mark("text part")}]},
    ]
    fields: dict[str, Any] = {"user": mark("user"), "metadata": {"about": mark("metadata")}, "stop": [mark("stop")]}
    headers = {
        "user-agent": mark("user agent"),
        "referer": f"https://example.org/{mark('referer')}",
        "x-forwarded-for": mark("forwarded for"),
        "x-request-id": mark("request id"),
        "accept-language": mark("accept-language"),
        "cookie": f"theme={mark('cookie')}",
        "idempotency-key": mark("idempotency key"),
    }
    answer = complete(http, key, "", messages=messages, headers=headers, **fields)
    assert answer.status_code == 200, answer.text
    assert answer.headers["avow-stored"] == "none"
    tools = {"tools": [{"type": "function", "function": tool}]}
    complete(http, key, "", messages=[*messages, {"role": "assistant", "tool_calls": [call]}], **tools)
    bearer = {"authorization": f"Bearer {key}"}
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": mark("stream")}], "max_tokens": 4}
    assert "[DONE]" in http.post("/v1/chat/completions", json=body, headers=bearer).text
    body |= {"messages": [{"role": "user", "content": mark("aborted stream")}], "max_tokens": 400}
    with http.stream("POST", "/v1/chat/completions", json=body, headers=bearer) as stream:
        next(stream.iter_bytes())
    http.post("/v1/chat/completions", params={"q": mark("query string")}, json=body | {"max_tokens": 1}, headers=bearer)


def plant_in_refusals(http: httpx.Client, key: str, mark: Markers) -> None:
    """Requests that are refused, each for its own reason."""
    bearer = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    def post(body: bytes | str, status: int, **changed: str) -> None:
        content = body.encode() if isinstance(body, str) else body
        answer = http.post("/v1/chat/completions", content=content, headers={**bearer, **changed})
        assert answer.status_code == status, (status, answer.text)
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}

    asked: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "?"}], "max_tokens": 1}
    whole = json.dumps(asked)
    post('{"messages": [' + mark("broken JSON"), 400)
    post("[" * 70 + json.dumps(mark("deep JSON")) + "]" * 70, 400)
    post(whole[:-1] + f', "model": "{mark("duplicate key")}"}}', 400)
    post(whole.replace('"?"', f'"{mark("lone surrogate")}\\ud800"'), 400)
    post(whole.replace('"?"', f'"{mark("NUL")}\\u0000"'), 400)
    post(whole.replace('"?"', f'["{mark("wrong type")}"]'), 400)
    post(json.dumps(asked | {"model": mark("model name")}), 404)
    post(json.dumps(asked | {"n": mark("refused value")}), 400)
    post(mark("plain text"), 415, **{"content-type": "text/plain"})
    post(whole, 401, authorization=f"Bearer {mark('key')}")
    post(whole, 401, authorization=f"Basic {mark('basic')}")
    post(whole, 401, authorization=f"Bearer {key[:-4]}{mark('key ending')}")
    post(json.dumps(asked | {"messages": [{"role": mark("long"), "content": "x" * BODY_BYTES_TOO_MANY}]}), 413)
    post(whole, 400, **{"avow-retention": mark("retention header")})
    assert http.get(f"/v1/{mark('route')}").status_code == 404
    assert http.put("/v1/chat/completions", content=mark("wrong method"), headers=bearer).status_code == 405
    assert http.get(f"/api/{mark('platform route')}").status_code == 404
    assert http.get(f"/{mark('page')}", params={"q": mark("page query")}).status_code == 404


def plant_in_account(http: httpx.Client, mark: Markers) -> None:
    """What is typed wrong or offered beyond what is asked."""
    email, right = f"{mark('address refused')}@example.org", secrets.token_hex(12)
    for field in ("company", mark("field name")):
        offered = {"email": email, "password": right, field: mark(f"{field} refused")}
        assert http.post("/api/auth/signup", json=offered).status_code == 400
    wrong = {"email": f"{mark('unknown address')}@example.org", "password": mark("wrong password")}
    assert http.post("/api/auth/login", json=wrong).status_code == 401
    assert http.post("/api/auth/login", content=f'{{"email": "{mark("broken login")}').status_code == 400
    assert http.post("/api/auth/confirm", json={"token": mark("token")}).status_code == 400
    assert http.get("/api/me", headers={"cookie": f"avow={mark('session')}"}).status_code == 401


def test_where_nothing_is_kept_no_word_is_on_the_disk(platform: Platform) -> None:
    mark = Markers()
    with platform.http() as stranger:
        plant_in_account(stranger, mark)
    with platform.http() as http:
        email, password = f"{mark('address')}@example.org", mark("password")
        platform.sign_up(http, email=email, password=password, name=mark("name"))
        key = platform.key(http, name=mark("key's name"))["secret"]
        plant_in_completions(http, key, mark)
        plant_in_refusals(http, key, mark)
        told = {"kind": "complain", "password": password, "text": mark("complaint")}
        taken = http.post("/api/privacy/requests", json=told)
        assert taken.status_code == 202
        mark.planted |= {"key": key, "session": http.cookies["avow"], "receipt token": taken.json()["receipt_token"]}
        assert not any(row["stored"] for row in http.get("/api/requests").json()["requests"])
    assert len(mark.planted) >= 40
    assert mark.where(platform.scan(mark.planted.values())) == {}
    assert not [place for place, word in mark.planted.items() if word.encode() in platform.told()]


def test_the_same_prompt_again_costs_the_same(platform: Platform) -> None:
    """Nothing of a prompt stays in the engine's memory: no part of it is cheaper the second time."""
    prompt = " ".join(secrets.token_hex(4) for _ in range(30))
    with platform.http() as http:
        platform.sign_up(http)
        key = platform.key(http)["secret"]
        answers = [complete(http, key, prompt, temperature=0) for _ in range(2)]
        used = http.get("/api/usage").json()["requests"][:2]
    assert answers[0].headers["avow-cost"] == answers[1].headers["avow-cost"]
    assert [row["cached_tokens"] for row in used] == [0, 0]
    assert used[0]["input_tokens"] == used[1]["input_tokens"] > 30


def test_a_request_may_tighten_and_then_nothing_of_it_is_kept(platform: Platform) -> None:
    kept, not_kept = (f"mark{secrets.token_hex(10)}" for _ in range(2))
    with platform.http() as http:
        platform.sign_up(http)
        key = platform.key(http)["secret"]
        assert http.patch("/api/tenant", json={"keep_h": 24}).is_success
        first = complete(http, key, kept)
        second = complete(http, key, not_kept, headers={"avow-retention": "0"})
        assert [each.headers["avow-stored"] for each in (first, second)] == ["trace", "none"]
        assert kept in http.get(f"/api/requests/{first.headers['avow-request-id']}").text
        assert not http.get(f"/api/requests/{second.headers['avow-request-id']}").json()["stored"]
    assert platform.scan([kept, not_kept]) == {}


@pytest.fixture
def home() -> Iterator[Platform]:
    with new_platform() as made:
        yield made.start()


def send_batch(http: httpx.Client, key: str, mark: Markers, whose: str) -> dict[str, str]:
    """A file and its batch of two lines, answered; the ids of file, batch and what was answered."""
    bearer = {"authorization": f"Bearer {key}"}

    def line(number: int) -> str:
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": mark(f"{whose} line {number}")}],
            "max_tokens": 1,
        }
        named = {"custom_id": mark(f"{whose} custom id {number}"), "method": "POST", "url": "/v1/chat/completions"}
        return json.dumps({**named, "body": body})

    content = ("\n".join(map(line, range(2)))).encode()
    named = {"file": (f"{mark(f'{whose} file name')}.jsonl", content)}
    file = http.post("/v1/files", data={"purpose": "batch"}, files=named, headers=bearer).json()
    wanted = {"input_file_id": file["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    made = http.post(
        "/v1/batches", json={**wanted, "metadata": {"of": mark(f"{whose} metadata")}}, headers=bearer
    ).json()
    where = f"/v1/batches/{made['id']}"
    wait_until(lambda: http.get(where, headers=bearer).json()["status"] == "completed")
    done = http.get(where, headers=bearer).json()
    assert done["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    told = http.get(f"/v1/files/{done['output_file_id']}/content", headers=bearer).text
    assert all(mark.planted[f"{whose} custom id {number}"] in told for number in range(2))
    return {"file": file["id"], "batch": made["id"], "output": done["output_file_id"]}


def filed(platform: Platform) -> dict[str, int]:
    """How many rows of files and batches there are."""
    tables = ("upload", "upload_part", "batch", "batch_line")
    return {table: platform.sql(f"SELECT count(*) FROM {table}")[0]["count"] for table in tables}


def test_what_is_kept_is_sealed_and_after_an_erasure_no_copy_can_be_opened(home: Platform, tmp_path: Path) -> None:
    mark = Markers()
    with home.http() as http, home.http() as stranger:
        me = home.sign_up(http, email=f"{mark('address')}@example.org", name=mark("name"))
        assert http.patch("/api/tenant", json={"keep_h": 720}).is_success
        key = home.key(http, name=mark("key's name"))["secret"]
        messages = [
            {"role": "system", "content": mark("system prompt")},
            {"role": "user", "content": mark("prompt")},
        ]
        answer = complete(http, key, "", messages=messages, metadata={"about": mark("metadata")})
        where = f"/api/requests/{answer.headers['avow-request-id']}"
        shown = http.get(where).text
        send_batch(http, key, mark, "a person's")
        assert all(mark.planted[place] in shown for place in ("prompt", "system prompt"))
        home.sign_up(stranger)
        assert stranger.get(where).status_code == 404
        assert stranger.patch("/api/tenant", json={"keep_h": 720}).is_success
        theirs = home.key(stranger)["secret"]
        left = send_batch(stranger, theirs, mark, "a stranger's")
        copy = "".join(fetched(http, "access", me["password"]).values())
        in_copy = {place for place, word in mark.planted.items() if word in copy}
        assert {place for place in mark.planted if place.startswith("a person's")} <= in_copy
        assert not [place for place in in_copy if place.startswith("a stranger's")]
        assert mark.where(home.scan(mark.planted.values())) == {}

        home.cli("backup", str(tmp_path / "backup"))
        copy_database(home, tmp_path / "pg")
        shutil.copytree(home.home / "keyring", tmp_path / "keyring before")
        receipt = home.erase(http, me["password"])
        assert complete(http, key, "?").status_code == 401
        assert filed(home) == {"upload": 1, "upload_part": 1, "batch": 1, "batch_line": 2}, (
            "a stranger's alone are left"
        )
        bearer = {"authorization": f"Bearer {theirs}"}
        assert stranger.get(f"/v1/files/{left['output']}/content", headers=bearer).is_success
    assert mark.where(home.scan(mark.planted.values())) == {}
    assert mark.where(search((tmp_path / "pg").rglob("*.*"), mark.planted.values())) == {}
    ended = {entry["store"]: entry["levels"] for entry in receipt["stores"]}
    for store in ("trace", "upload", "upload_part", "batch", "batch_line"):
        assert ended[store]["key destroyed"]

    before, newest = tmp_path / "keyring before", home.home / "keyring"
    with second_home(tmp_path / "pg", newest) as other:
        row, *_ = boxes(other, me["id"])
        assert mark.planted["prompt"] in str(opened(before, row)), "the control could not be opened before"
        assert opened(newest, row) is Gone
        other.start()
        with other.http() as http:
            assert mark.planted["prompt"] not in http.get(where, headers={"authorization": f"Bearer {key}"}).text
            entered = http.post("/api/auth/login", json={"email": me["email"], "password": me["password"]})
            assert entered.status_code == 401
        other.stop()
        other.cli("restore", str(tmp_path / "backup"), "--replace")
        other.start()
        with other.http() as http:
            assert http.get(where, headers={"authorization": f"Bearer {key}"}).status_code == 401
            assert http.get("/readyz").status_code == 200
        assert boxes(other, me["id"]) == []
        assert set(filed(other).values()) == {0}, (
            "nobody's come back: what was asked since would be asked and paid again"
        )
        assert mark.where(other.scan(mark.planted.values())) == {}
        assert other.sql("SELECT count(*) FROM person")[0]["count"] >= 2, "the others were not restored"


def copy_database(platform: Platform, target: Path) -> None:
    """A copy of AVOW_HOME/pg while it runs, by PostgreSQL's own rules, so that a server can be started over it."""

    async def copy(connection: asyncpg.Connection[Any]) -> None:
        await connection.execute("SELECT pg_backup_start('copy', true)")
        ignored = shutil.ignore_patterns("postmaster.*")
        await asyncio.to_thread(shutil.copytree, platform.home / "pg", target, ignore=ignored)
        label = await connection.fetchval("SELECT labelfile FROM pg_backup_stop(false)")
        (target / "backup_label").write_text(label)
        shutil.copytree(platform.home / "pg" / "pg_wal", target / "pg_wal", dirs_exist_ok=True)

    platform.with_connection(copy)


@contextmanager
def second_home(database: Path, keyring: Path) -> Iterator[Platform]:
    """Another home with a copied database and a copied keyring."""
    with new_platform(engine="0") as other:
        shutil.copytree(database, other.home / "pg")
        shutil.copytree(keyring, other.home / "keyring")
        yield other


def boxes(platform: Platform, subject_id: str) -> list[Any]:
    """The kept traces of a person, read by the superuser of a database that may not run yet."""
    cluster = Cluster(platform.home, platform.superuser_password())
    runs = cluster.pid() is not None
    if not runs:
        cluster.start()
    try:
        return platform.sql("SELECT * FROM trace WHERE subject_id = $1 ORDER BY id", UUID(subject_id))
    finally:
        if not runs:
            cluster.stop()


def opened(keyring: Path, row: Any) -> Any:
    """Open a trace's box with a copy of a keyring, as whoever has both could."""
    ref = Ref(row["tenant_id"], "trace", "api_content", row["id"], row["subject_id"])
    ring = Ring(keyring / "ring.db")
    try:
        return box.unseal(ring.key(ref.subject_id, ref.category, box.slot(row["box"])), ref, row["box"])
    finally:
        ring.close()
