"""The probes of what is stored by itself."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

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


def test_a_file_past_its_end_is_found(platform: Platform) -> None:
    old = platform.home / "log" / "postgres-start.log"
    before = old.stat().st_mtime
    past = (datetime.now(UTC) - timedelta(days=31)).timestamp()
    os.utime(old, (past, past))
    try:
        assert verdicts(platform, "logs")["logs"][0] == "failed"
    finally:
        os.utime(old, (before, before))
