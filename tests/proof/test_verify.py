"""`avow verify` against a running platform: green when all is well, red and by name when something was tampered with."""

from __future__ import annotations

import json
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from avow.base.ids import uuid7
from avow.policy import periods
from avow.proof import journey
from tests.platform import Platform, new_platform, policy_text, wait_until
from tests.upstream import Upstream, scripted_platform

SEEDED = ("record", "oldest_fact", "plaintext", "not_kept", "policy_hash", "row_security", "sums", "slots")


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Platform, Upstream]]:
    """A platform that is sound before the faults are seeded, and again when all were taken back."""
    with scripted_platform(policy_text()) as made:
        all_well(made[0])
        yield made
        all_well(made[0])


@pytest.fixture
def target(both: tuple[Platform, Upstream]) -> Platform:
    return both[0]


def all_well(platform: Platform) -> None:
    status, found, figures = verdicts(platform, *SEEDED)
    assert (status, {*found.values()}) == (0, {"proved"}), figures


def verdicts(platform: Platform, *names: str) -> tuple[int, dict[str, str], dict[str, str]]:
    """The exit status, the verdicts and the figures of `avow verify`."""
    done = platform.cli("verify", "--json", *names, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert rows, done.stderr
    return done.returncode, {r["probe"]: r["verdict"] for r in rows}, {r["probe"]: r["figure"] for r in rows}


def is_caught(platform: Platform, probe: str, *words: str) -> None:
    """The probe finds the fault, says what it is, and the command fails."""
    status, found, figures = verdicts(platform, probe.partition(".")[0])
    assert (status, found[probe]) == (1, "failed"), figures
    for word in words:
        assert word in figures[probe]


def test_on_a_sound_platform_everything_that_is_published_is_proved(platform: Platform) -> None:
    """With the real model: every probe of every sentence, and the status that says so; the canary's journey among them, which
    first removes what a killed one left."""
    with platform.http() as http:
        stray = platform.sign_up(http)
    mine = "WHERE tenant_id = (SELECT tenant_id FROM person WHERE id = $1::uuid)"
    platform.sql(f"UPDATE tenant_kind SET kind = 'internal' {mine}", stray["id"])
    platform.sql("UPDATE person SET since = since - interval '2 hours' WHERE id = $1::uuid", stray["id"])
    status, found, figures = verdicts(platform)
    wrong = {probe: figures[probe] for probe, verdict in found.items() if verdict != "proved"}
    assert (status, wrong) == (0, {})
    whole = {probe.partition(".")[0] for probe in found}
    assert whole >= {"declared", "plaintext", "oldest_fact", "slots", "row_security", "sums", "policy_hash", "erased"}
    assert all(figures.values())
    asked = "SELECT count(*) AS n FROM rights_request WHERE kind = 'erase' AND subject_id = $1::uuid"
    assert platform.sql(asked, stray["id"])[0]["n"] == 1
    steps = platform.sql("SELECT name, state, figure FROM canary_step ORDER BY journey DESC, number LIMIT 15")
    assert [step["name"] for step in steps] == list(journey.STEPS)
    assert {step["state"] for step in steps} <= {"passed", "skipped"}, steps
    with platform.http() as http:
        page = http.get("/proof").text
    assert page.count('<span class="state passed">') == len([s for s in steps if s["state"] == "passed"]) >= 13
    assert platform.cli("verify", "sums", "declared").returncode == 0


def test_a_stopped_platform_is_not_verified_and_nothing_is_recorded() -> None:
    """The command says how to start it, and neither starts a database nor writes a file."""
    with new_platform() as stopped:
        done = stopped.cli("verify", check=False)
        assert done.returncode == 2
        assert "nothing answers at" in done.stderr and "avow up" in done.stderr
        assert done.stdout == ""
        assert not (stopped.home / "pg").exists()


def test_another_platform_at_the_address_is_not_verified(target: Platform) -> None:
    """Two homes and one port: what the other one answers says nothing about this one."""
    with new_platform() as other:
        other.port = target.port
        done = other.cli("verify", check=False)
        assert done.returncode == 2 and done.stdout == ""
        assert "another Avow than that of this home" in done.stderr
        assert not (other.home / "pg").exists()
        never = other.cli("sweep", check=False)
        assert never.returncode == 1 and "never been started" in never.stderr and "avow up" in never.stderr
        assert not (other.home / "pg").exists()


def test_a_readable_table_that_a_stranger_can_read_is_found(target: Platform) -> None:
    target.sql("CREATE ROLE stranger LOGIN")
    target.sql("GRANT SELECT ON usage TO stranger")
    try:
        status, found, figures = verdicts(target, "purposes")
    finally:
        target.sql("DROP OWNED BY stranger")
        target.sql("DROP ROLE stranger")
    assert (status, found["purposes.usage"]) == (1, "failed")
    assert "stranger" in figures["purposes.usage"]


def test_what_was_found_is_public_with_its_time(platform: Platform) -> None:
    verdicts(platform, "sums")
    with platform.http() as http:
        page = http.get("/proof").text
    [row] = [each for each in page.split("<li")[1:] if "sums ·" in each]
    assert "proved" in row
    assert periods.day(datetime.now(UTC), "en") in row


def test_the_keeper_looks_without_being_asked() -> None:
    """Nobody runs `avow verify` here, and what was found is published all the same."""
    with new_platform(engine="0", first_look_s=0) as looking, looking.start().http() as http:
        wait_until(
            lambda: any(
                (found["probe"], found["verdict"]) == ("sums", "proved") for found in http.get("/api/evidence").json()
            )
        )


def test_a_journey_that_was_killed_is_shown_as_broken_off(platform: Platform) -> None:
    """Its last step was begun and never ended; the page calls that neither passed nor failed, in both languages."""
    put = "INSERT INTO canary_step (journey, number, name, state, figure, at) VALUES ($1, $2, $3, $4, '', now() - $5::interval)"
    broken, going = uuid7(), uuid7()
    for id, age in ((broken, timedelta(minutes=16)), (going, timedelta(minutes=1))):
        platform.sql(put, id, 0, "sign_up", "passed", age)
        platform.sql(put, id, 1, "sign_in", "going", age)
    try:
        with platform.http() as http:
            assert "It is under way." in http.get("/proof?locale=en").text
            platform.sql("DELETE FROM canary_step WHERE journey = $1", going)
            for locale, word in (("en", "broken off after this step"), ("zh", "历程在此步之后中断")):
                assert word in http.get(f"/proof?locale={locale}").text
    finally:
        platform.sql("DELETE FROM canary_step WHERE journey = ANY($1)", [broken, going])


def test_the_proof_unfolds_each_sentence_without_a_script(platform: Platform) -> None:
    """Clause, code, probe, figure, and the leaf of the log, which is what the page says it is."""
    verdicts(platform, "sums")
    wait_until(lambda: not platform.sql("SELECT count(*) AS n FROM log_entry WHERE place IS NULL")[0]["n"])
    with platform.http() as http:
        listed = http.get("/api/proof/sentences").json()["sentences"]
        page = http.get("/proof?locale=en").text
        for each in listed:
            assert page.count(f'<details id="{each["id"]}">') == 1
        named = next(each["id"] for each in listed if "sums" in each["evidence"])
        part = page.partition(f'<details id="{named}">')[2].partition("</details>")[0]
        [place] = re.findall(r'<code>sums</code>.*?href="/log/entries/(\d+)"', part, re.DOTALL)
        leaf = json.loads(http.get(f"/log/entries/{place}").json()["content"])
        chinese = http.get("/proof?locale=zh").text
    assert "<script" not in page and "billing." in part
    assert (leaf["probe"], leaf["verdict"]) == ("sums", "proved") and leaf["figure"] in part
    assert "逐句证明" in chinese and chinese.count("<details") == len(listed)


def test_a_fact_past_its_end_is_found(target: Platform) -> None:
    target.sql(
        "INSERT INTO standing (id, tenant_id, subject_id, since, ends_at, policy_version, kind, purpose, value) VALUES "
        "(gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), now(), now() - interval '1 hour', 1, 'consent', '', true)"
    )
    is_caught(target, "oldest_fact.consent", "standing")
    target.cli("sweep")


@contextmanager
def leaking(platform: Platform, upstream: Upstream) -> Iterator[None]:
    """Somebody writes each prompt into a log of the platform, as a careless debugging line would."""
    leak, over = platform.home / "log" / "debug.log", threading.Event()
    seen = len(upstream.scripted.requests)

    def write() -> None:
        written = seen
        while not over.wait(0.01):
            fresh = upstream.scripted.requests[written:]
            written += len(fresh)
            with leak.open("a") as file:
                file.writelines(str(request) for request in fresh)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()
        leak.unlink(missing_ok=True)


@pytest.mark.parametrize("probe", ["plaintext", "not_kept"])
def test_a_prompt_in_a_log_is_found(both: tuple[Platform, Upstream], probe: str) -> None:
    platform, upstream = both
    with leaking(platform, upstream):
        is_caught(platform, probe, "1 ")


def test_what_stands_in_a_long_text_or_an_old_page_is_found_by_the_search(target: Platform) -> None:
    """Neither the database nor its write-ahead log compresses anything, so that nothing could hide there."""
    target.scan([])
    word = secrets.token_hex(16)
    long = b"the same words " * 1000 + word.encode() + b" the same words" * 1000
    target.sql("INSERT INTO scan_control (id, planted) VALUES (gen_random_uuid(), $1)", long)
    [places] = target.scan([word]).values()
    assert any("pg_wal" in each for each in places) and any("base" in each for each in places), places
    target.sql("DELETE FROM scan_control WHERE planted = $1", long)


def test_another_policy_than_the_one_that_is_served_is_found(target: Platform) -> None:
    known = target.sql("SELECT hash FROM policy_epoch")[0]["hash"]
    target.sql("UPDATE policy_epoch SET hash = 'another'")
    is_caught(target, "policy_hash", "served")
    target.sql("UPDATE policy_epoch SET hash = $1", known)


def test_a_lost_row_policy_is_found(target: Platform) -> None:
    target.sql("ALTER TABLE trace DISABLE ROW LEVEL SECURITY")
    is_caught(target, "row_security", "rows of others")
    target.sql("ALTER TABLE trace ENABLE ROW LEVEL SECURITY")


def test_a_changed_record_is_found(target: Platform) -> None:
    """Each change of the record, by whoever owns the database: a word, a time, a line taken out, two lines swapped."""
    with target.http() as http:
        target.sign_up(http)
        assert http.patch("/api/tenant", json={"keep_h": 1}).is_success
        assert http.patch("/api/tenant", json={"keep_h": 2}).is_success
    linked = "SELECT count(*) AS n FROM audit LEFT JOIN audit_link ON row_id = id WHERE link IS NULL"
    wait_until(lambda: not target.sql(linked)[0]["n"])
    target.sql("CREATE TABLE kept AS SELECT * FROM audit")
    lines = "SELECT min(id::text)::uuid AS one, max(id::text)::uuid AS other FROM audit WHERE act = 'ask to keep'"
    one, other = target.sql(lines)[0].values()
    for change in (
        "UPDATE audit SET actor = 'staff:nobody' WHERE id = $1",
        "UPDATE audit SET since = since + interval '1 day' WHERE id = $1",
        "DELETE FROM audit WHERE id = $1",
    ):
        target.sql(change, one)
        is_caught(target, "record", "the line of link")
        target.sql("DELETE FROM audit WHERE id = $1", one)
        target.sql("INSERT INTO audit SELECT * FROM kept WHERE id = $1", one)
    swap = "UPDATE audit a SET box = b.box FROM kept b WHERE a.id = ANY($1) AND b.id = ANY($1) AND a.id <> b.id"
    target.sql(swap, [one, other])
    is_caught(target, "record", "the line of link")
    target.sql("UPDATE audit a SET box = b.box FROM kept b WHERE a.id = b.id AND a.id = ANY($1)", [one, other])
    target.sql("DROP TABLE kept")


def test_a_changed_balance_is_found(target: Platform) -> None:
    target.sql("UPDATE wallet SET posted = posted + 1 WHERE id = (SELECT min(id::text)::uuid FROM wallet)")
    is_caught(target, "sums", "I1")
    target.sql("UPDATE wallet SET posted = posted - 1 WHERE id = (SELECT min(id::text)::uuid FROM wallet)")


def test_a_probe_that_cannot_look_is_not_green(target: Platform) -> None:
    """The page that the probe wants to read is not what it can read."""
    target.sql("ALTER TABLE scan_control RENAME TO scan_control_away")
    try:
        status, found, _ = verdicts(target, "plaintext")
    finally:
        target.sql("ALTER TABLE scan_control_away RENAME TO scan_control")
    assert status == 2
    assert set(found.values()) == {"unproved"}


def test_a_scan_that_misses_its_control_has_failed(target: Platform) -> None:
    """The control is planted in a table whose rows are thrown away: silence then proves nothing."""
    target.sql("CREATE RULE throw_away AS ON INSERT TO scan_control DO INSTEAD NOTHING")
    try:
        is_caught(target, "plaintext", "control")
    finally:
        target.sql("DROP RULE throw_away ON scan_control")


def test_a_key_past_its_hour_is_found(target: Platform) -> None:
    """Last in this file: a day and more goes by, in which nobody swept."""
    target.move_clock(27 * 3600)
    is_caught(target, "slots", "past its hour")
    target.cli("sweep", "--confirm-clock")
