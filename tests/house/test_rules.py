"""What CONTRIBUTING.md says of the form of the code, where a machine can see it."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.conftest import ROOT

FILE_LINES_MAX = 600
FUNCTION_LINES_MAX = 60
NAMES_THAT_SAY_NOTHING = {"service", "services", "utils", "util", "helpers", "helper", "manager", "common", "misc"}

# A migration is a list of what was done once; it is as long as that.
SOURCES = sorted(p for p in (ROOT / "src" / "avow").rglob("*.py") if p.parent.name != "versions")


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_can_be_read(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= FILE_LINES_MAX
    assert path.stem not in NAMES_THAT_SAY_NOTHING
    assert not text or ast.get_docstring(ast.parse(text)), "a file begins with what it is"
    long = [f.name for f in functions(path) if (f.end_lineno or 0) - f.lineno + 1 > FUNCTION_LINES_MAX]
    assert not long


def test_each_decision_has_a_number_of_its_own() -> None:
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    assert [page.read_text().split(".")[0] for page in pages] == [f"# {int(page.name[:4])}" for page in pages]


def test_the_folders_stand_in_the_order_in_which_they_may_import() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [rule["layers"] for rule in rules if rule["type"] == "layers"]
    folders = [name for name in reversed(layers) if (ROOT / "src" / "avow" / name / "__init__.py").exists()]
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    assert f"\n    {'  '.join(folders)}\n" in guide


def names_of_jobs() -> Iterator[str]:
    """The texts of all constants `…_JOB`: what the keeper's queue calls its kinds of work."""
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                told = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target).strip("()")
                if all(name.endswith("_JOB") for name in told.split(", ")):
                    named = ast.literal_eval(node.value)
                    yield from [named] if isinstance(named, str) else named


def test_the_desk_has_a_word_for_each_kind_of_job() -> None:
    jobs = set(names_of_jobs())
    assert {"privacy.erase", "billing.sum", "proof.look"} <= jobs
    assert not [name for name in jobs if len(name.split(".")) != 2]
    shown = (ROOT / "ui" / "src" / "desk" / "Jobs.tsx").read_text()
    assert set(re.findall(r'^  "([a-z_.]+)": \(\) => t\(', shown, re.MULTILINE)) == jobs
    keeper = (ROOT / "src" / "avow" / "keeper.py").read_text()
    done = re.findall(r"^ +([\w.]+): lambda", keeper, re.MULTILINE)
    assert len(done) == len(jobs) and all(each.endswith("_JOB") for each in done)
