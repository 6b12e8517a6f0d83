"""What the plan of a new-api says, from its SQLite file and from JSON."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from avow.imports import foreign, new_api
from avow.imports.foreign import ImportUnreadable
from avow.imports.plan import Plan, Price, Route
from tests.imports.files import OPTIONS, TABLES, database
from tests.imports.test_litellm import DOLLAR, NOW, models, reasons


def plan_of(folder: Path, **changed: Any) -> Plan:
    tables = foreign.tables_of(database(folder / "one-api.db"), new_api.TABLES)
    return new_api.read({**tables, **changed}, NOW)


def test_channels_become_upstreams_and_routes(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    ups = {each.name: each for each in plan.upstreams}
    assert {(name, up.kind, up.base_url) for name, up in ups.items()} == {
        ("127-0-0-1-9", "compatible", "http://127.0.0.1:9/v1"),
        ("openai", "openai", "https://api.openai.com/v1"),
        ("openai-2", "openai", "https://api.openai.com/v1"),
        ("anthropic", "anthropic", "https://api.anthropic.com/v1"),
    }
    assert [ups["openai"].credential, ups["openai-2"].credential] == ["sk-a", "sk-b"], "a key that is off is not used"
    known = models(plan)
    assert known["qwen"].routes == (
        Route("openai", "qwen", 0, 1),
        Route("openai-2", "qwen", 0, 1),
        Route("127-0-0-1-9", "qwen3-32b", 1, 3),
    ), "a larger priority comes first"


def test_ratios_become_exact_prices(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    known = models(plan)
    assert known["gpt-4o"].price == Price(5 * DOLLAR // 2, 10 * DOLLAR, 5 * DOLLAR // 4)
    assert known["qwen"].price == Price(DOLLAR // 4, DOLLAR // 4)
    assert known["small"].price == Price(0, 0), "its ratio is 0 by the operator's own word"
    assert "dear" not in known and "ModelRatio" in reasons(plan)["model dear"]


def test_a_ratio_of_the_default_group_holds_for_everybody(tmp_path: Path) -> None:
    options = [*(o for o in OPTIONS if o["key"] != "GroupRatio"), {"key": "GroupRatio", "value": '{"default": 1.1}'}]
    assert models(plan_of(tmp_path, options=options))["claude"].price.input_nano == 3_300_000_000


def test_tokens_become_keys_with_what_is_left(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    known = {key.setting.name: key.setting for key in plan.keys}
    assert set(known) == {"app", "all"}
    assert known["app"].limits.budget_total_nano == 2_500_002_000
    assert known["app"].models == ["qwen", "gpt-4o"]
    assert known["app"].networks == ["203.0.113.7/32", "198.51.100.0/24"]
    assert known["all"].expires_at == datetime(2100, 1, 1, tzinfo=UTC) and known["all"].limits.budget_total_nano is None
    why = reasons(plan)
    assert "no address" in why["token root's"] and "switched off" in why["token banned"]
    assert "switched off" in why["token expired"] and "token gone" not in why
    assert "5.00 dollars" in why["user ada"]
    assert "type 2" in why["channel midjourney"] and "switched off" in why["channel off"]
    assert "PLAINKEYOFADA" not in repr(plan) and "sk-ant" not in repr(plan)


def test_json_says_the_same_as_the_database(tmp_path: Path) -> None:
    path = tmp_path / "tables.json"
    path.write_text(json.dumps(TABLES).replace("HOUSE", "http://127.0.0.1:9"))
    read = {name: foreign.rows_in(rows, name) for name, rows in foreign.json_of(path).items()}
    assert new_api.read(read, NOW) == plan_of(tmp_path)


def test_a_restriction_that_is_empty_is_not_none(tmp_path: Path) -> None:
    token = {**TABLES["tokens"][0], "model_limits": ""}
    assert "no model" in reasons(plan_of(tmp_path, tokens=[token]))["token app"]


@pytest.mark.parametrize(
    ("table", "row", "why"),
    [
        ("channels", {"type": 8, "base_url": "ftp://h", "models": "a"}, "http"),
        ("channels", {"type": 8, "base_url": "http://u:p@h", "models": "a"}, "http"),
        ("channels", {"type": 8, "key": "a\rb", "base_url": "http://h", "models": "a"}, "header"),
        ("channels", {"type": 1, "models": "a", "model_mapping": "{"}, "JSON"),
        ("channels", {"type": 1, "models": "a\x1b[2J"}, "name"),
        ("tokens", {"expired_time": 10**30}, "time"),
        ("tokens", {"remain_quota": -5}, "negative"),
        ("tokens", {"allow_ips": "everywhere"}, "network"),
        ("tokens", {"name": "x\x1b", "unlimited_quota": 1}, "shown"),
    ],
)
def test_a_row_that_does_not_fit_is_left_with_its_reason(
    tmp_path: Path, table: str, row: dict[str, Any], why: str
) -> None:
    plan = plan_of(tmp_path, **{table: [{"id": 1, "user_id": 7, "status": 1, "name": "x", "key": "k", **row}]})
    [found] = [left for left in plan.left if left.what.startswith(("channel x", "token x"))]
    assert why in found.why and "\x1b" not in found.what + found.why


def test_no_row_is_taken_twice(tmp_path: Path) -> None:
    with pytest.raises(ImportUnreadable, match="id"):
        plan_of(tmp_path, channels=[TABLES["channels"][0]] * 2)


def test_a_view_in_the_place_of_a_table_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.db"
    made = sqlite3.connect(path)
    made.execute("CREATE VIEW channels AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT x FROM n")
    made.execute(
        "CREATE TABLE tokens (id, big GENERATED ALWAYS AS (hex(zeroblob(100000000))) VIRTUAL)",
    )
    made.execute("INSERT INTO tokens (id) VALUES (1)")
    made.commit()
    made.close()
    with pytest.raises(ImportUnreadable):
        foreign.tables_of(path, new_api.TABLES)
    assert "channels" not in foreign.tables_of(path, ("channels",))


def test_a_broken_database_is_named(tmp_path: Path) -> None:
    path = database(tmp_path / "cut.db")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(ImportUnreadable, match="no whole SQLite"):
        foreign.tables_of(path, new_api.TABLES)
