"""`/metrics` of a running Avow with two workers: sums that are right, for the operator only, and nothing about anybody."""

from __future__ import annotations

import os
import re
import secrets
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from avow.gateway.scripted import Script
from tests.platform import MODEL, Platform, wait_until
from tests.upstream import Upstream, scripted_platform

TOKEN = secrets.token_urlsafe(24)
OPERATOR = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def ground() -> Iterator[tuple[Platform, Upstream]]:
    with scripted_platform(workers="2", metrics_token=TOKEN) as made:
        yield made


def read(http: httpx.Client) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = http.get("/metrics", headers=OPERATOR).text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(http: httpx.Client, name: str, **labels: str) -> float:
    return sum(v for (n, given), v in read(http).items() if n == name and labels.items() <= dict(given).items())


def ask(platform: Platform, secret: str, **fields: Any) -> httpx.Response:
    """A request over a connection of its own, so that either worker may take it."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5, **fields}
    with platform.http(headers={"authorization": f"Bearer {secret}"}) as http:
        return http.post("/v1/chat/completions", json=body)


def test_all_workers_are_counted_and_a_killed_one_is_not_forgotten(ground: tuple[Platform, Upstream]) -> None:
    platform, _ = ground
    with platform.http() as http:
        me = platform.sign_up(http)
        key = platform.key(http)
        before = total(http, "avow_requests_total")
        tokens = total(http, "avow_tokens_total", model=MODEL)
        answers = [ask(platform, key["secret"], stream=n % 2 == 0) for n in range(20)]
        assert {answer.status_code for answer in answers} == {200}
        assert ask(platform, key["secret"], model="nobody's").status_code == 404
        assert ask(platform, key["secret"], messages=7).status_code == 400
        wait_until(lambda: total(http, "avow_requests_total") - before == 22)
        assert total(http, "avow_requests_total", surface="chat", model=MODEL, status="2xx") >= 20
        assert total(http, "avow_request_seconds_count", surface="chat") >= 20
        assert total(http, "avow_first_token_seconds_count", model=MODEL) >= 10
        [charged] = platform.sql("SELECT sum(amount) AS nano FROM charge")
        assert total(http, "avow_charged_nano_total") == charged["nano"] > 0
        assert total(http, "avow_tokens_total", model=MODEL) > tokens

        workers = [pid for pid in platform.processes() if pid in workers_of(platform)]
        assert len(workers) == 2
        os.kill(workers[0], signal.SIGKILL)
        wait_until(lambda: len([p for p in platform.processes() if p in workers_of(platform)]) == 2)
        wait_until(lambda: answers_again(http))
        assert total(http, "avow_requests_total") - before == 22, "what a killed process had counted stays counted"
        ask(platform, key["secret"])
        wait_until(lambda: total(http, "avow_requests_total") - before == 23)

        text = http.get("/metrics", headers=OPERATOR).text
        for personal in (me["id"], me["tenant_id"], me["email"], key["id"], key["prefix"], "nobody's"):
            assert personal not in text
        assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-", text), "no id of anything"


def workers_of(platform: Platform) -> set[int]:
    """The worker processes, past ones too."""
    return {row["pid"] for row in platform.sql("SELECT pid FROM worker_epoch")}


def answers_again(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def test_upstreams_ledger_and_keeper_are_told(ground: tuple[Platform, Upstream]) -> None:
    platform, upstream = ground
    with platform.http() as http:
        platform.sign_up(http)
        secret = platform.key(http)["secret"]
        assert ask(platform, secret).status_code == 200
        upstream.answer(Script(status=500))
        try:
            for _ in range(10):
                assert ask(platform, secret).status_code in (502, 503)
        finally:
            upstream.answer(Script())
        wait_until(lambda: total(http, "avow_requests_total", status="5xx") >= 10)
        wait_until(lambda: total(http, "avow_sweeps_total") >= 1)
        wait_until(lambda: ("avow_holds", (("state", "open"),)) in read(http))
        found = read(http)
        names = {name for name, _ in found}
        assert ("avow_upstream_running", (("upstream", "scripted"),)) in found
        assert total(http, "avow_ledger_batch_events_count") > 0
        assert {"avow_job_late_seconds", "avow_ending_late_seconds", "avow_process_resident_bytes"} <= names
        places = {dict(labels)["process"] for name, labels in found if name == "avow_process_resident_bytes"}
        assert {"worker 0", "worker 1", "keeper"} <= places
        assert found["avow_ledger_down", ()] == 0
        wait_until(lambda: total(http, "avow_running") == 0)


def test_both_formats_are_spoken(ground: tuple[Platform, Upstream]) -> None:
    platform, _ = ground
    with platform.http() as http:
        plain = http.get("/metrics", headers=OPERATOR)
        assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert plain.headers["cache-control"] == "no-store"
        newer = http.get(
            "/metrics", headers={**OPERATOR, "accept": "application/openmetrics-text;version=1.0.0,*/*;q=0.1"}
        )
        assert newer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
        assert len(list(openmetrics.text_string_to_metric_families(newer.text))) > 10


def test_without_the_token_there_is_nothing(ground: tuple[Platform, Upstream], platform: Platform) -> None:
    """Somebody who guesses learns as little as where no token was ever set."""
    with ground[0].http() as set_up, platform.http() as not_set_up:
        ground[0].sign_up(set_up)
        nothing = not_set_up.get("/metrics", headers=OPERATOR)
        for headers in (
            {},
            {"authorization": f"Bearer {TOKEN}x"},
            {"authorization": TOKEN},
        ):
            refused = set_up.get("/metrics", headers=headers)
            assert (refused.status_code, refused.json()) == (404, nothing.json())
        assert not_set_up.get("/metrics", headers={"authorization": "Bearer"}).status_code == 404
