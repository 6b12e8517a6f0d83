"""Counts which rows are proved by a test that passed, and says so last."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.promises.profile import policy, published, running, scripted  # noqa: F401  fixtures of the profiles' classes

_rows = {
    row["id"]: row
    for row in csv.DictReader((Path(__file__).parent / "rows.tsv").open(), delimiter="\t", quoting=csv.QUOTE_NONE)
}
_COUNTED = ("capability", "promise")
_claims: dict[str, set[str]] = {}
_passed: set[str] = set()
_not_passed: set[str] = set()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("promise"):
            if mark.args[0] not in _rows:
                raise pytest.UsageError(f"{item.nodeid} claims {mark.args[0]}, which is no row of rows.tsv")
            _claims.setdefault(mark.args[0], set()).add(item.nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Tests run side by side are collected in other processes, which leave what they found to the one that counts."""
    for row, tests in getattr(node, "workeroutput", {}).get("claims", {}).items():
        _claims.setdefault(row, set()).update(tests)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["claims"] = {row: sorted(tests) for row, tests in _claims.items()}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.outcome != "passed":
        _not_passed.add(report.nodeid)
    elif report.when == "call":
        _passed.add(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    asked = any("promises" in str(argument) for argument in config.args)
    other = hasattr(config, "workeroutput")
    if not _claims or not asked or other or config.getoption("collectonly") or config.getoption("lf", False):
        return
    for line in _summary():
        print(line)


def _summary() -> Iterator[str]:
    proved = {row for row, tests in _claims.items() if tests <= _passed - _not_passed}
    counted = [r for r in _rows.values() if r["kind"] in _COUNTED]
    organisational = [r for r in _rows.values() if r["kind"] == "organisational"]
    yield "\nNot proved yet:"
    yield from (f"  {r['id']:9} {r['kind']:14} {r['says']}" for r in counted if r["id"] not in proved)
    yield "\nOrganisational, evidence only:"
    for r in organisational:
        yield f"  {r['id']:9} {'gated' if r['id'] in proved else 'no gate yet':14} {r['says']}"
    yield f"\n{sum(r['id'] in proved for r in counted)} of {len(counted)} proved"
