import ast
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from avow.base import log
from tests.house.conftest import ROOT

LEVELS = {"debug", "info", "warning", "error", "critical"}


def written(folder: Path) -> str:
    return "".join(p.read_text() for p in folder.glob("avow-*.jsonl"))


def test_only_listed_fields_are_written(tmp_path: Path) -> None:
    log.set_up(tmp_path, "worker 0")
    structlog.get_logger().info("request", status=200, email="marker-1@example.org", prompt="marker-2")
    assert '"status":200' in written(tmp_path)
    assert "marker" not in written(tmp_path)


def test_a_card_number_in_a_listed_field_is_masked(tmp_path: Path) -> None:
    log.set_up(tmp_path, "worker 0")
    structlog.get_logger().info("request", upstream="4111 1111 1111 1111", status=200)
    assert '"upstream":"**** **** **** 1111"' in written(tmp_path)


def test_every_field_that_is_logged_is_listed() -> None:
    calls = [
        call
        for path in (ROOT / "src" / "avow").rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in LEVELS
    ]
    given = {said.arg for call in calls for said in call.keywords if said.arg and "log" in ast.unparse(call.func)}
    assert len(given) > 5
    assert given <= log.FIELDS


def test_the_text_of_an_exception_is_never_written(tmp_path: Path) -> None:
    log.set_up(tmp_path, "worker 0")
    try:
        raise ValueError("marker-3")
    except ValueError as error:
        structlog.get_logger().error("failed", **log.failure(error))
        logging.getLogger("library").exception("while parsing %s", "marker-4")
    text = written(tmp_path)
    assert text.count("ValueError") == 2
    assert "test_log.py" in text
    assert "marker" not in text


def test_files_of_days_past_their_end_are_removed(tmp_path: Path) -> None:
    old, new = "2026-01-01", "2026-01-02"
    for name in (
        f"avow-{old}.jsonl",
        f"avow-{new}.jsonl",
        f"postgres-{old}.log",
        f"postgres-{new}.log",
        "postgres-start.log",
    ):
        (tmp_path / name).write_text("{}\n")
    assert log.sweep(tmp_path, datetime(2026, 1, 2, tzinfo=UTC)) == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        f"avow-{new}.jsonl",
        f"postgres-{new}.log",
        "postgres-start.log",
    ]
    assert log.sweep(tmp_path, datetime.now(UTC) + timedelta(hours=1)) == 3
