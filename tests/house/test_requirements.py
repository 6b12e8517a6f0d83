"""The lock files hold what pyproject.toml asks for, each with its hashes, and no place to fetch it from."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.conftest import ROOT

LOCKS = ("run", "dev", "build", "ui", "model")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def locked(name: str) -> dict[str, str]:
    """Package → version of requirements/NAME.txt."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", text, re.MULTILINE))


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_has_a_version_and_hashes_and_nothing_else_is_said(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text().replace("\\\n", "")
    for line in text.splitlines():
        assert re.fullmatch(r"[a-z0-9-]+==[^ ;]+ (; [^-]+ )?( *--hash=sha256:[0-9a-f]{64})+", line), line


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("run", PROJECT["project"]["dependencies"]),
        ("dev", PROJECT["project"]["dependencies"] + PROJECT["dependency-groups"]["dev"]),
        ("build", PROJECT["build-system"]["requires"]),
        ("ui", PROJECT["dependency-groups"]["ui"]),
        ("model", PROJECT["dependency-groups"]["model"]),
    ],
)
def test_what_is_asked_for_is_locked(name: str, asked: list[str]) -> None:
    versions = locked(name)
    for requirement in map(Requirement, asked):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)])


def test_what_is_tested_is_what_runs() -> None:
    assert locked("run").items() <= locked("dev").items()


def test_the_model_brings_no_other_package() -> None:
    assert len(locked("model")) == 1
    assert not locked("model").keys() & locked("run").keys()
