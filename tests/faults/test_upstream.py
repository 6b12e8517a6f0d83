"""Upstreams that are down, slow, or send nonsense, and clients that leave: a clear error, and only what was delivered
is charged.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from avow.gateway.scripted import Script
from tests.platform import MODEL, Platform, wait_until
from tests.upstream import CREDENTIAL, DEAD_MODEL, Upstream, scripted_platform

SECRET_TEXT = "the provider's own words about somebody"


@dataclass(frozen=True)
class Ground:
    platform: Platform
    upstream: Upstream
    http: httpx.Client
    key: str

    def ask(self, **fields: Any) -> httpx.Response:
        body = {"model": MODEL, "messages": [{"role": "user", "content": "?"}], "max_tokens": 8, **fields}
        return self.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {self.key}"})

    def wallet(self) -> tuple[str, str]:
        """Balance and what is held."""
        found = self.http.get("/api/wallet").json()
        return found["balance"], found["held"]

    def last(self) -> dict[str, Any]:
        row: dict[str, Any] = self.http.get("/api/usage").json()["requests"][0]
        return row


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with scripted_platform() as (platform, upstream), platform.http() as http:
        platform.sign_up(http)
        yield Ground(platform, upstream, http, platform.key(http)["secret"])


@pytest.fixture(autouse=True)
def sound_answers(ground: Ground) -> None:
    """And one answer, so that what failed in the test before is forgiven."""
    ground.upstream.answer(Script())
    assert ground.ask().status_code == 200


def refused(answer: httpx.Response, status: int) -> None:
    """OpenAI's error shape, and nothing of what the upstream said."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert SECRET_TEXT not in answer.text
    assert CREDENTIAL not in answer.text
    assert "avow-request-id" in answer.headers


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("theirs", "ours"), [(500, 502), (503, 503), (429, 503), (504, 504), (401, 502), (400, 400), (418, 502)]
)
def test_an_upstream_that_refuses_costs_nothing(ground: Ground, theirs: int, ours: int, stream: bool) -> None:
    before = ground.wallet()
    ground.upstream.answer(Script(status=theirs, error_text=SECRET_TEXT, retry_after_s=7))
    answer = ground.ask(stream=stream)
    refused(answer, ours)
    if ours == 503:
        assert answer.headers["retry-after"] == "7"
    assert ground.wallet() == before


@pytest.mark.parametrize("stream", [False, True])
def test_an_upstream_that_is_down_costs_nothing(ground: Ground, stream: bool) -> None:
    before = ground.wallet()
    refused(ground.ask(model=DEAD_MODEL, stream=stream), 502)
    assert ground.wallet() == before


@pytest.mark.parametrize(
    "script",
    [
        Script(garbage_after=0),
        Script(die_after=0),
        Script(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]"),
        Script(raw=b"no HTTP at all\r\n\r\n"),
    ],
)
def test_nonsense_instead_of_a_json_answer_costs_nothing(ground: Ground, script: Script) -> None:
    before = ground.wallet()
    ground.upstream.answer(script)
    refused(ground.ask(), 502)
    assert ground.wallet() == before


@pytest.mark.parametrize("fault", ["garbage_after", "die_after", "error_after"])
def test_a_stream_that_breaks_off_ends_with_an_error_and_is_charged_for_what_came(ground: Ground, fault: str) -> None:
    ground.upstream.answer(Script(tokens=("one", " two", " three"), error_text=SECRET_TEXT, **{fault: 2}))  # type: ignore[arg-type]
    text = ground.ask(stream=True).text
    assert '"content":"one"' in text.replace(" ", "")
    assert "[DONE]" not in text
    assert SECRET_TEXT not in text
    assert any("error" in json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {"))
    cost = text.partition(": avow-cost ")[2].partition("\n")[0]
    row = ground.last()
    assert row["cost"] == cost
    assert row["output_tokens"] == 2
    assert ground.wallet()[1] == "0.000000000"


def test_a_slow_stream_is_passed_on_token_by_token_and_tells_its_cost_before_its_end(ground: Ground) -> None:
    ground.upstream.answer(Script(tokens=("one", " two", " three"), delay_s=0.2))
    body = {"model": MODEL, "messages": [{"role": "user", "content": "?"}], "stream": True, "max_tokens": 8}
    bearer = {"authorization": f"Bearer {ground.key}"}
    with ground.http.stream("POST", "/v1/chat/completions", json=body, headers=bearer) as answer:
        pieces = [piece.decode() for piece in answer.iter_bytes()]
    holding = [number for number, piece in enumerate(pieces) if '"content": "' in piece]
    assert len(holding) == 3, "tokens were held back and came together"
    text = "".join(pieces)
    assert text.rstrip().endswith("data: [DONE]")
    assert text.index(": avow-cost ") < text.index("[DONE]")


def test_a_client_that_leaves_stops_the_upstream_and_pays_for_what_it_got(ground: Ground) -> None:
    ground.upstream.scripted.left.clear()
    ground.upstream.answer(Script(tokens=("word",) * 500, delay_s=0.05))
    body = {"model": MODEL, "messages": [{"role": "user", "content": "?"}], "stream": True, "max_tokens": 500}
    bearer = {"authorization": f"Bearer {ground.key}"}
    with ground.http.stream("POST", "/v1/chat/completions", json=body, headers=bearer) as answer:
        assert answer.status_code == 200
        next(answer.iter_bytes())
    wait_until(ground.upstream.scripted.left.is_set)
    wait_until(lambda: ground.wallet()[1] == "0.000000000")
    row = ground.last()
    assert (row["why"], row["status"]) == ("client_left", 499)
    assert 0 < row["output_tokens"] < 500
    assert float(row["cost"]) > 0


def test_a_client_that_leaves_before_the_first_token_pays_for_the_input(ground: Ground) -> None:
    before = ground.last()["id"]
    ground.upstream.scripted.left.clear()
    ground.upstream.answer(Script(silent=True))
    with pytest.raises(httpx.ReadTimeout):
        ground.http.post(
            "/v1/chat/completions",
            json={"model": MODEL, "messages": [{"role": "user", "content": "?"}], "max_tokens": 8},
            headers={"authorization": f"Bearer {ground.key}"},
            timeout=1,
        )
    wait_until(ground.upstream.scripted.left.is_set)
    wait_until(lambda: ground.last()["id"] != before and ground.wallet()[1] == "0.000000000")
    row = ground.last()
    assert (row["why"], row["input_tokens"], row["output_tokens"]) == ("client_left", 2, 0)
    assert float(row["cost"]) > 0


def test_an_empty_wallet_is_told_so_and_calls_no_upstream(ground: Ground) -> None:
    """The highest price of this request is more than a new person's credit."""
    calls = ground.upstream.calls
    answer = ground.ask(max_tokens=16_000, n=16)
    refused(answer, 402)
    assert answer.json()["error"]["code"] == "insufficient_quota"
    assert ground.upstream.calls == calls


def test_a_revoked_key_is_refused_at_once(ground: Ground) -> None:
    key = ground.platform.key(ground.http)
    bearer = {"authorization": f"Bearer {key['secret']}"}
    body = {"model": MODEL, "messages": [{"role": "user", "content": "?"}], "max_tokens": 8}
    assert ground.http.post("/v1/chat/completions", json=body, headers=bearer).is_success
    assert ground.http.delete(f"/api/keys/{key['id']}").is_success
    calls = ground.upstream.calls
    refused(ground.http.post("/v1/chat/completions", json=body, headers=bearer), 401)
    assert ground.upstream.calls == calls


def test_no_log_line_holds_what_the_upstream_or_a_client_said(ground: Ground) -> None:
    """Last in this file: after all the faults above."""
    logs = b"".join(path.read_bytes() for path in (ground.platform.home / "log").iterdir())
    assert b"upstream_refused" in logs, "the control: refusals are logged"
    assert SECRET_TEXT.encode() not in logs
    assert CREDENTIAL.encode() not in logs
