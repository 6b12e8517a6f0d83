"""The markers of `tests/test_markers.py` on every surface and every way in which one can fail: nothing is kept, so no word
of anybody may be found on the disk, in the log or in a refusal."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import httpx
import pytest

from avow.gateway.scripted import Script
from tests.gateway.filtering import rule
from tests.gateway.planted import CLAUDE, FORMS, SEES, SHOW, STREAMS, SURFACES, Asker, batch_file, body, form, showing
from tests.platform import Platform, policy_text, wait_until
from tests.test_markers import Markers
from tests.upstream import CREDENTIAL, MODEL, PRICES, Upstream, scripted_platform


class Collector(BaseHTTPRequestHandler):
    """Takes traces."""

    bodies: ClassVar[list[bytes]] = []

    def do_POST(self) -> None:
        self.bodies.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: it would stand in what is searched."""


@pytest.fixture(scope="module")
def ground() -> Iterator[tuple[Platform, Upstream, httpx.Client, str]]:
    collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    traces = {"otlp_endpoint": f"http://127.0.0.1:{collector.server_port}/v1/traces", "otlp_share": "1"}
    with scripted_platform(**traces) as (platform, upstream), platform.http() as http:
        platform.cli(
            *("upstream", "add", "claude", upstream.url, "--kind", "anthropic", "--key"), stdin=CREDENTIAL + "\n"
        )
        platform.cli("model", "add", CLAUDE, "--upstream", "claude", *PRICES, *SEES)
        platform.cli("model", "add", MODEL, "--upstream", "scripted", *PRICES, *SEES)
        platform.sign_up(http)
        key = platform.key(http)["secret"]
        bearer = {"authorization": f"Bearer {key}"}
        wait_until(lambda: http.get("/v1/models", headers=bearer).text.count('"avow_pictures":true') == 2)
        yield platform, upstream, http, key
    collector.shutdown()
    collector.server_close()


def test_p11_no_word_of_any_surface_or_failure_is_kept(ground: tuple[Platform, Upstream, httpx.Client, str]) -> None:
    platform, upstream, http, key = ground
    asker = Asker(http, upstream, key)
    for asked, paths in ((asker.say, SURFACES), (asker.fill_in, FORMS), (asker.show, SHOW), (asker.listen, STREAMS)):
        for path in paths:
            asked(path)
    asker.send_files()
    asker.have_read()
    mark = asker.mark
    assert len(mark.planted) >= 40
    assert mark.where(platform.scan(mark.planted.values())) == {}
    assert not [place for place, word in mark.planted.items() if word.encode() in platform.told()]
    sent = json.dumps(upstream.scripted.requests)
    named = [place for place, word in mark.planted.items() if "no such" not in place and word in sent]
    assert named, "the words never reached the upstream, so this test would prove nothing"
    assert any("drawn, encoded" in place for place in named), "no picture reached it either"
    assert not [place for place, word in mark.planted.items() if "comment" in place and word in sent]
    wait_until(lambda: b"".join(Collector.bodies).count(b'"traceId"') > len(SURFACES) * 3)
    traced = b"".join(Collector.bodies)
    assert b"gen_ai.usage.output_tokens" in traced
    secrets_of_it = (*mark.planted.values(), key, http.get("/api/me").json()["id"])
    assert not [word for word in secrets_of_it if word.encode() in traced]


FILTERS = (
    rule("house", "house", "prompt output", "block", words=["zebra crossing"])
    + rule("private", "personal", "prompt output", "redact", personal=["email"], restores=True)
    + rule("judge", "violence", "prompt", "flag", asks="scripted/dead")
)
RECORD = 'basis = "interest"\nkeep = "0"'
FILTERED = policy_text(
    ('features = ["tls"', 'features = ["tls", "filter"'),
    (f'purposes = ["abuse", "security"]\n{RECORD}', f'purposes = ["abuse", "security"]\n{RECORD[:-3]}"30 days"'),
)


def answer_batch(http: httpx.Client, bearer: dict[str, str], mark: Markers) -> None:
    """Have a batch answered by the running workers."""
    content, kind = batch_file(mark, "batch")
    sent = http.post("/v1/files", content=content, headers={**bearer, "content-type": kind})
    assert sent.status_code == 200, sent.text
    wanted = {"input_file_id": sent.json()["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    made = http.post("/v1/batches", json={**wanted, "metadata": {"about": mark("metadata of a batch")}}, headers=bearer)
    place = f"/v1/batches/{made.json()['id']}"
    wait_until(lambda: http.get(place, headers=bearer).json()["status"] == "completed")
    done = http.get(place, headers=bearer).json()
    assert done["request_counts"] == {"total": 2, "completed": 2, "failed": 0}
    answers = http.get(f"/v1/files/{done['output_file_id']}/content", headers=bearer).text
    assert mark.planted["batch custom id 0"] in answers and "choices" in answers


def fail_batch(http: httpx.Client, bearer: dict[str, str], mark: Markers, why: str = "") -> None:
    """A batch that ends for a line that is none, or whose lines are refused; what it tells repeats no word."""
    content, _ = batch_file(mark, f"failed batch {why}")
    lines = content.split(b"\r\n\r\n")[-1].rpartition(b"\r\n--")[0]
    lines = lines if why else lines + b"\n" + json.dumps([mark("no line of a batch")]).encode()
    form = httpx.Request("POST", "http://x", data={"purpose": "batch"}, files={"file": ("x.jsonl", lines)})
    sent = http.post("/v1/files", content=form.read(), headers={**bearer, "content-type": form.headers["content-type"]})
    wanted = {"input_file_id": sent.json()["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    place = f"/v1/batches/{http.post('/v1/batches', json=wanted, headers=bearer).json()['id']}"
    wait_until(lambda: http.get(place, headers=bearer).json()["status"] == ("completed" if why else "failed"))
    done = http.get(place, headers=bearer)
    assert "mark" not in done.text
    if why:
        errors = http.get(f"/v1/files/{done.json()['error_file_id']}/content", headers=bearer).text
        assert errors.count("mark") == 2, "the name of each line, and nothing that its upstream said"


def test_no_word_that_is_kept_cached_stopped_or_hidden_stands_anywhere_in_plain() -> None:
    """Where content is kept and given again, and where filters stop it, hide it, ask another and put it on record."""
    mark, heads = Markers(), []
    with scripted_platform(FILTERED + FILTERS) as (platform, upstream), platform.http() as http:
        platform.sign_up(http)
        assert http.patch("/api/tenant", json={"keep_h": 24}).is_success
        bearer = {"authorization": f"Bearer {platform.key(http)['secret']}", "content-type": "application/json"}

        def post(path: str, content: bytes, status: int, **headers: str) -> httpx.Response:
            answer = http.post(path, content=content, headers={**bearer, **headers})
            assert answer.status_code == status, (path, status, answer.text)
            return answer

        for path in SURFACES.keys() - {"/v1/messages/count_tokens"}:
            stopped = body(mark, path, "stopped").decode().replace("mark", "zebra crossing mark", 1)
            assert "mark" not in post(path, stopped.encode(), 403).text
            hidden = body(mark, path, "hidden").decode()
            for word in [word for place, word in mark.planted.items() if place.startswith(f"hidden {path} ")]:
                hidden = hidden.replace(word, f"{word}@example.org", 1)
            post(path, hidden.encode(), 200)
            upstream.answer(Script(tokens=(mark(f"answer {path}"), " to", f" {mark(f'seen {path}')}@example.org")))
            again = body(mark, path, "again", temperature=0)
            heads += [post(path, again, 200).headers["avow-cache"] for _ in range(2)]
            if path in STREAMS:
                post(path, body(mark, path, "streamed", stream=True, max_tokens=9), 200)
                upstream.answer(Script(tokens=(mark(f"stopped answer {path}"), " zebra", " crossing")))
                for stream in (False, True):
                    post(path, body(mark, path, f"stopped answer {stream}", stream=stream, max_tokens=9), 403)
            upstream.answer(Script())
        for path in FORMS:
            content, kind = form(mark, path, "kept")
            assert post(path, content, 200, **{"content-type": kind}).headers["avow-stored"] == "trace"
            content, kind = form(mark, path, "stopped form", prompt="a zebra crossing")
            if not path.endswith("variations"):
                post(path, content, 403, **{"content-type": kind})
        post("/v1/audio/speech", body(mark, "/v1/audio/speech", "kept speech"), 200)
        platform.cli("model", "add", MODEL, "--upstream", "scripted", *PRICES, *SEES)
        wait_until(lambda: '"avow_pictures":true' in http.get("/v1/models", headers=bearer).text)
        for path in SHOW:
            assert post(path, showing(mark, path, "kept picture"), 200).headers["avow-stored"] == "trace"
        answer_batch(http, bearer, mark)
        fail_batch(http, bearer, mark)
        upstream.answer(Script(status=400, error_text=mark("no line")))
        fail_batch(http, bearer, mark, "refused")
        upstream.answer(Script())
        assert heads == ["miss", "hit"] * (len(SURFACES) - 1)
        listed = http.get("/api/filter/decisions").json()["decisions"]
        assert {each["action"] for each in listed} == {"block", "redact"} and "mark" not in json.dumps(listed)
        assert any(each["stored"] for each in http.get("/api/requests").json()["requests"])
        assert len(mark.planted) >= 40
        assert mark.where(platform.scan(mark.planted.values())) == {}
        assert not [place for place, word in mark.planted.items() if word.encode() in platform.told()]
        seen = json.dumps(upstream.scripted.requests)
        assert not [
            word for place, word in mark.planted.items() if place.startswith(("hidden", "stopped /")) and word in seen
        ]


def test_p12_credentials_of_upstreams_are_in_no_answer_and_open_to_no_route(
    ground: tuple[Platform, Upstream, httpx.Client, str],
) -> None:
    """Every GET route of the platform API, as its owner and as nobody; and the log, the disk and the command line."""
    platform, upstream, http, key = ground
    routes = [path for path, verbs in http.get("/api/openapi.json").json()["paths"].items() if "get" in verbs]
    assert len(routes) > 10
    for path in routes:
        for each in (http, httpx):
            place = path.replace("{request_id}", secrets.token_hex(16))
            answer = each.get(f"{platform.base_url}{place}")
            assert CREDENTIAL not in answer.text
    bearer = {"authorization": f"Bearer {key}"}
    upstream.answer(Script(status=401, error_text=f"the key {CREDENTIAL} is wrong"))
    failed = http.post(
        "/v1/chat/completions", json={"model": MODEL, "messages": [{"role": "user", "content": "?"}]}, headers=bearer
    )
    upstream.answer(Script())
    assert failed.status_code == 502 and CREDENTIAL not in failed.text + str(failed.headers)
    assert platform.scan([CREDENTIAL]) == {} and CREDENTIAL.encode() not in platform.told()
