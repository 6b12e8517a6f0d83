"""The lock files hold what pyproject.toml asks for, each with its hashes, and no place to fetch it from."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.conftest import ROOT

LOCKS = ("run", "dev", "build", "ui", "fuzz", "model")
FREE = {"MIT", "ISC", "0BSD", "BSD-3-Clause", "Apache-2.0", "OFL-1.1", "Unlicense", "(MIT OR CC0-1.0)"}
ONLY_TO_BUILD = {"MPL-2.0", "Python-2.0"}
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
        ("fuzz", PROJECT["dependency-groups"]["fuzz"]),
        ("model", PROJECT["dependency-groups"]["model"]),
    ],
)
def test_what_is_asked_for_is_locked(name: str, asked: list[str]) -> None:
    versions = locked(name)
    for requirement in map(Requirement, asked):
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)])


def test_the_apps_packages_are_free_locked_and_from_no_named_place() -> None:
    packages = json.loads((ROOT / "ui" / "package-lock.json").read_text())["packages"]
    wanted = json.loads((ROOT / "ui" / "package.json").read_text())
    assert {**wanted["dependencies"], **wanted["devDependencies"]}.keys() <= {name[13:] for name in packages}
    for name, package in packages.items():
        if name:
            assert package["license"] in (FREE | ONLY_TO_BUILD if package.get("dev") else FREE), name
            assert package["integrity"].startswith("sha512-") and "resolved" not in package, name


def test_what_is_tested_is_what_runs() -> None:
    assert locked("run").items() <= locked("dev").items()


def test_the_model_brings_no_other_package() -> None:
    assert len(locked("model")) == 1
    assert not locked("model").keys() & locked("run").keys()
