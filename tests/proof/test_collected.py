"""The probes of what is stored by itself."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from avow.proof import collected
from tests.platform import Platform
from tests.proof.test_hygiene import verdicts

UNLISTED = """
    CREATE FUNCTION note_more() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
      INSERT INTO filter_decision (id, tenant_id, subject_id, since, ends_at, policy_version, request_id, filter, stage, kind,
        action, score, state)
      VALUES (gen_random_uuid(), NEW.tenant_id, NEW.subject_id, NEW.since, NEW.ends_at, 1, NEW.id, 'house', 'prompt', 'house',
        'flag', 1, 'stands');
      RETURN NEW; END $$;
    CREATE TRIGGER more AFTER INSERT ON usage FOR EACH ROW EXECUTE FUNCTION note_more()
"""


def test_of_a_sound_platform_only_listed_fields_are_found(platform: Platform) -> None:
    found = verdicts(platform, "collected", "logs")
    assert {name: verdict for name, (verdict, _) in found.items()} == {"collected": "proved", "logs": "proved"}, found
    assert "all listed" in found["collected"][1]


def test_a_record_that_nobody_listed_is_found(platform: Platform) -> None:
    platform.with_connection(lambda c: c.execute(UNLISTED))
    try:
        verdict, figure = verdicts(platform, "collected")["collected"]
    finally:
        platform.sql("DROP FUNCTION note_more CASCADE")
    assert verdict == "failed" and "not listed: moderation" in figure, figure


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": "hello"}, "not listed"),
        ({"kind": "01a2035e-98f4-76bb-ba36-963b2b8f3ba5"}, "in kind"),
        ({"error": "kim@example.org"}, "in error"),
        ({"where": ["203.0.113.77"]}, "in where"),
    ],
)
def test_a_line_that_names_somebody_is_found(platform: Platform, fields: dict[str, object], words: str) -> None:
    file = platform.home / "log" / f"avow-{datetime.now(UTC):%Y-%m-%d}-of-a-test.jsonl"
    file.write_text(json.dumps({"event": "x", **fields}) + "\n")
    file.chmod(0o600)
    try:
        verdict, figure = verdicts(platform, "logs")["logs"]
    finally:
        file.unlink()
    assert verdict == "failed" and words in figure
    assert not any(str(value) in figure for value in fields.values())


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Traceback: alice@example.com\n", "no JSON object"),
        ("[1]\n", "no JSON object"),
        ("[" * 100_000 + "\n", "no JSON object"),
        ('{"event": "x", "kind": "0192F3A0-7B1C-7C3D-8E4F-ABCDEF012345"}\n', "in kind"),
        ('{"event": "x", "kind": "0192f3a07b1c7c3d8e4fabcdef012345"}\n', "in kind"),
        ('{"event": "x", "kind": "from 2001:db8::1."}\n', "in kind"),
        ('{"event": "x", "kind": "\\u0430@b.c"}\n', "in kind"),
        ('{"event": "x", "kind": "17:07:21 std::abs 1.2.3"}\n', ""),
        ('{"event": "x", "ki', ""),
    ],
)
def test_what_is_no_line_of_ours_or_names_somebody_is_found(tmp_path: Path, line: str, words: str) -> None:
    now = datetime.now(UTC)
    (tmp_path / f"avow-{now:%Y-%m-%d}.jsonl").write_text('{"event": "started"}\n' + line)
    count, wrong, whole = collected._read(tmp_path, now)
    assert count == 2 and whole and (words in "".join(wrong) if words else not wrong), wrong


def test_a_broken_line_is_excused_only_where_the_newest_file_ends(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    for day in (now, now - timedelta(days=1)):
        (tmp_path / f"avow-{day:%Y-%m-%d}.jsonl").write_text('{"ev')
    assert collected._read(tmp_path, now)[1] == {
        f"avow-{now - timedelta(days=1):%Y-%m-%d}.jsonl: a line that is no JSON object"
    }


@pytest.mark.parametrize(
    ("line", "sound"),
    [
        ('LOG:  listening on Unix socket "/tmp/x/run/.s.PGSQL.5432"', True),
        ('LOG:  listening on IPv4 address "127.0.0.1", port 5432', True),
        ("LOG:  database system was shut down at 2026-11-22 06:31:27 UTC", True),
        ("LOG:  redo starts at 0/1AB2C; user@host 01a2035e-98f4-76bb-ba36-963b2b8f3ba5", True),
        ("LOG:  connection received: host=203.0.113.9 port=5", False),
        ("LOG:  connection received: host=2001:db8::1 port=5", False),
    ],
)
def test_an_address_in_the_log_of_the_database_is_found(tmp_path: Path, line: str, sound: bool) -> None:
    now = datetime.now(UTC)
    (tmp_path / f"postgres-{now:%Y-%m-%d}.log").write_text(f"2026-11-22 06:31:29.098 UTC {line}\n")
    count, wrong, _ = collected._read(tmp_path, now)
    assert count == 1 and (not wrong) is sound, wrong


def test_it_is_said_that_not_all_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collected, "LOG_BYTES_MAX", 10)
    now = datetime.now(UTC)
    (tmp_path / f"avow-{now:%Y-%m-%d}.jsonl").write_text('{"event": "x"}\n' * 3)
    assert collected._read(tmp_path, now) == (1, set(), False)


def test_a_file_past_its_end_is_found(platform: Platform) -> None:
    old = platform.home / "log" / "postgres-start.log"
    before = old.stat().st_mtime
    past = (datetime.now(UTC) - timedelta(days=31)).timestamp()
    os.utime(old, (past, past))
    try:
        assert verdicts(platform, "logs")["logs"][0] == "failed"
    finally:
        os.utime(old, (before, before))
