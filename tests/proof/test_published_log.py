"""The log of a running platform, as strangers and its operator see it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from avow.proof import verifier
from tests.platform import Platform, new_platform, wait_until


def signed(platform: Platform) -> None:
    """Wait until all that was appended is signed."""
    wait_until(lambda: not platform.sql("SELECT count(*) AS n FROM log_entry WHERE place IS NULL")[0]["n"])


@pytest.fixture(scope="module")
def seen() -> Iterator[Platform]:
    """A platform of its own, of which two probes have looked at something: others' tests let probes fail."""
    with new_platform(engine="0") as made:
        made.start()
        made.cli("verify", "sums", "declared")
        signed(made)
        yield made


@pytest.fixture
def program(seen: Platform, tmp_path: Path) -> Path:
    """The verifier, as a visitor downloads it, in a folder without anything of ours."""
    path = tmp_path / "verify.py"
    with seen.http() as http:
        path.write_bytes(http.get("/proof/verify.py").content)
    return path


def run(program: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-I", str(program), *arguments]
    done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def test_a_visitor_checks_the_service_twice_with_nothing_but_one_file(seen: Platform, program: Path) -> None:
    state = program.with_name("state")
    code, said = run(program, seen.base_url, "--state", str(state))
    assert code in (0, 2) and "first visit" in said and "proved: " in said, said
    first = json.loads(state.read_text())
    seen.cli("verify", "sums")
    signed(seen)
    code, said = run(program, seen.base_url, "--state", str(state))
    assert code in (0, 2) and f"{first['size']} as last time" in said, said
    assert json.loads(state.read_text())["size"] > first["size"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda kept: kept | {"roots": ["00" * 32, *kept["roots"][1:]]}, "last time"),
        (lambda kept: kept | {"size": kept["size"] + 10**6}, "cut off"),
        (lambda kept: kept | {"origin": "another.example/log"}, "another log"),
        (lambda kept: kept | {"key": str(verifier.Key("127.0.0.1/log", bytes(32)))}, "has not signed"),
        (lambda kept: {}, "does not remember"),
    ],
)
def test_a_visitor_sees_that_the_log_is_not_that_of_last_time(
    seen: Platform, program: Path, change: Any, word: str
) -> None:
    state = program.with_name("state")
    run(program, seen.base_url, "--state", str(state))
    state.write_text(json.dumps(change(json.loads(state.read_text()))))
    code, said = run(program, seen.base_url, "--state", str(state))
    assert code == 1 and "WRONG" in said and word in said, said


def test_a_visitor_is_told_when_there_is_nothing_to_look_at(program: Path, tmp_path: Path) -> None:
    code, said = run(program, "http://127.0.0.1:1")
    assert code == 2 and "could not look" in said


def test_a_sentence_that_claims_more_than_its_evidence_is_caught(seen: Platform) -> None:
    """Whoever serves the list cannot call something proved that the log does not."""
    with seen.http() as http:
        told = http.get("/api/proof/sentences").json()
        document = http.get("/.well-known/avow-policy.json").content
        key = verifier.parse_key(http.get("/.well-known/avow-receipt-key").json()["log"])
    head = verifier.opened(told["checkpoint"].encode(), key)
    now = datetime.now(UTC)
    words = verifier.check_sentences(told, document, head, now)
    assert {words[each["id"]] for each in told["sentences"] if "sums" in each["evidence"]} <= {"proved", "awaited"}
    assert verifier.check_sentences(told, document, head, now + 2 * verifier.FRESH_FOR) != words
    later = {*verifier.check_sentences(told, document, head, now + verifier.FRESH_FOR).values()}
    assert "proved" not in later and "stale" in later
    sentence = told["sentences"][0]
    sentence["verdict"], sentence["evidence"] = "proved", []
    with pytest.raises(verifier.Wrong, match="called proved"):
        verifier.check_sentences(told, document, head, now)
    sentence["verdict"], sentence["evidence"] = "unproved", ["sums"]
    said = json.loads(told["evidence"]["sums"]["content"])
    for lie in ({"verdict": "failed"}, {"at": "2031-01-01T00:00:00+00:00"}, {"policy": "another"}):
        told["evidence"]["sums"]["content"] = json.dumps(said | lie)
        with pytest.raises(verifier.Wrong):
            verifier.check_sentences(told, document, head, now)


def test_the_page_of_a_service_shows_its_sentences_and_a_hidden_one_is_missed(seen: Platform) -> None:
    with seen.http() as http:
        document = http.get("/.well-known/avow-policy.json").content
        pages = {each: http.get("/privacy", params={"locale": each}).content for each in verifier.LOCALES}
    for locale, page in pages.items():
        verifier.check_page(page, document, locale)
        first = json.loads(document)["clauses"][0]["id"].encode()
        with pytest.raises(verifier.Wrong, match="does not show"):
            verifier.check_page(page.replace(b'id="%s"' % first, b'hidden id="%s"' % first), document, locale)


def test_one_sentence_is_told_with_control_probe_figure_and_proof(seen: Platform) -> None:
    with seen.http() as http:
        listed = http.get("/api/proof/sentences").json()["sentences"]
        named = next(each["id"] for each in listed if "sums" in each["evidence"])
        one = http.get(f"/api/proof/sentences/{named}").json()
        key = verifier.parse_key(http.get("/.well-known/avow-receipt-key").json()["log"])
        missing = http.get("/api/proof/sentences/no.such")
        found = one["evidence"]["sums"]
        leaf = http.get(f"/log/entries/{found['log']['index']}").json()
        beyond = http.get("/log/entries/999999999")
    assert one["en"] and one["zh"] and one["controls"] and "sums" in one["probes"]
    head = verifier.opened(one["checkpoint"].encode(), key)
    assert verifier.proved_leaf(found["log"], found["content"].encode(), head) == found["log"]["index"]
    assert (leaf["kind"], leaf["content"]) == ("evidence", found["content"])
    assert (missing.status_code, missing.json()["code"], beyond.status_code) == (404, "sentence_unknown", 404)


def test_the_log_is_served_as_the_specification_says(seen: Platform) -> None:
    with seen.http() as http:
        head = http.get("/log/checkpoint")
        size = int(head.text.split("\n")[1])
        tile = http.get(f"/log/{verifier.tile_path(0, 0, size)}")
        wrong = [
            http.get(f"/log/tile/{path}").status_code for path in ("0/999", "../../keyring/ring.db", "0/%2e%2e/x", "x")
        ]
    assert head.headers["content-type"] == "text/plain; charset=utf-8"
    assert "no-cache" in head.headers["cache-control"]
    assert tile.headers["content-type"] == "application/octet-stream" and "immutable" in tile.headers["cache-control"]
    assert len(tile.content) == 32 * min(size, 256)
    assert {*wrong} <= {400, 404}


def test_the_operator_copies_the_log_off_the_box_and_checks_it_there(seen: Platform, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    key = seen.cli("log", "key").stdout.strip()
    assert "leaves of" in seen.cli("log", "export", str(copy)).stdout
    known = tmp_path / "known"
    known.write_bytes((copy / "checkpoint").read_bytes())
    seen.cli("verify", "sums")
    signed(seen)
    seen.cli("log", "export", str(copy))
    for target in ((), (str(copy),), (seen.base_url,)):
        assert seen.cli("log", "verify", *target, "--key", key, "--known", str(known)).stdout.startswith("whole: ")
    assert (copy / "checkpoint").read_bytes() != known.read_bytes()
    tile = copy / "tile" / "entries"
    path = sorted(path for path in tile.rglob("*") if path.is_file())[-1]
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    wrong = seen.cli("log", "verify", str(copy), check=False)
    assert wrong.returncode == 1 and "WRONG" in wrong.stderr
    inside = seen.cli("log", "export", str(seen.home / "copy"), check=False)
    assert inside.returncode == 1 and "outside AVOW_HOME" in inside.stderr
    other = tmp_path / "other"
    other.mkdir()
    (other / "something").write_text("else")
    assert seen.cli("log", "export", str(other), check=False).returncode == 1
    assert seen.cli("log", "verify", str(tmp_path / "nothing"), check=False).returncode == 2


def test_the_version_of_the_policy_and_the_receipts_stand_in_the_log(seen: Platform, tmp_path: Path) -> None:
    published, in_force = [
        json.loads(row["content"])
        for row in seen.sql("SELECT content FROM log_entry WHERE kind = 'policy' AND place IS NOT NULL ORDER BY place")
    ]
    [version] = seen.sql("SELECT hash, version FROM policy_version")
    for told in (published, in_force):
        assert (told["hash"], told["version"]) == (version["hash"], version["version"])
    assert published["sentences"] == in_force["sentences"] and in_force["in_force_at"] and published["source_sha256"]
    with seen.http() as http:
        who = seen.sign_up(http)
        asked = {"kind": "erase", "password": who["password"]}
        taken = http.post("/api/privacy/requests", json=asked).json()
        where, token = f"/api/privacy/receipts/{taken['id']}", {"avow-receipt-token": taken["receipt_token"]}
        wait_until(lambda: b'"log":' in http.get(where, headers=token).content)
        receipt = tmp_path / "receipt.json"
        receipt.write_bytes(http.get(where, headers=token).content)
        public = http.get("/.well-known/avow-receipt-key").json()["key"]
    done = seen.cli("receipt", "verify", str(receipt), "--key", public)
    assert done.stdout.startswith("The receipt is genuine.\n\nabout ") and len(done.stdout.splitlines()) < 20
    assert "an erasure" in done.stdout and taken["id"] in done.stdout and re.search(r"log +leaf \d+ of ", done.stdout)
    whole = seen.cli("receipt", "verify", str(receipt), "--key", public, "--details").stdout
    assert whole.startswith("The receipt is genuine.") and "stores.1." in whole
    told = json.loads(receipt.read_text())["log"]
    with seen.http() as http:
        assert http.get(f"/log/entries/{told['index']}").status_code == 404
