"""The app's sources: no part needs itself, and what the platform decides is said there as the platform says it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from graphlib import TopologicalSorter
from pathlib import Path
from typing import get_args

import pytest

from avow.accounts import members, permissions
from avow.accounts.permissions import NotPermitted, Role
from avow.privacy import requests
from avow.registers import entries
from tests.house.conftest import ROOT

APP = ROOT / "ui" / "src"
SOURCES = sorted(APP.rglob("*.ts*"))
IMPORT = re.compile(r'(?:from|import) "(\.[^"]+)"')
ASKED = re.compile(r'\b(?:may\(|useMay\(\)\(|route: )"([A-Z]+ /[^"]+)"')


def text(name: str) -> str:
    return (APP / name).read_text()


def words(pattern: str, name: str) -> list[str]:
    """The words of a list that stands in a file."""
    found = re.search(pattern, text(name), re.DOTALL)
    assert found, (pattern, name)
    return re.findall(r'"(\w+)"', found[1])


def needs(source: Path) -> set[str]:
    """The sources that one imports, their types too."""
    bare = [(source.parent / each).resolve() for each in IMPORT.findall(source.read_text())]
    named = [path.with_name(path.name + end) for path in bare for end in ("", ".ts", ".tsx")]
    return {path.relative_to(APP).as_posix() for path in named if path.is_file() and path.is_relative_to(APP)}


def test_no_source_needs_itself() -> None:
    """Raises CycleError, which names the circle."""
    graph = {path.relative_to(APP).as_posix(): needs(path) for path in SOURCES}
    assert sum(map(len, graph.values())) > len(SOURCES)
    TopologicalSorter(graph).prepare()


def test_what_the_app_asks_leave_for_is_somebodys_and_not_everybodys() -> None:
    asked = {route for path in SOURCES for route in ASKED.findall(path.read_text())}
    given = {route for role in permissions.SIGNED_IN for route in permissions.own_to(role)}
    assert len(asked) > 20 and asked - given == set()


def test_no_source_says_what_a_role_of_the_staff_may_do() -> None:
    """The table of permissions does, and `GET /api/me` tells it."""
    names = "|".join(permissions.STAFF)
    said = {path.name for path in SOURCES if re.search(rf'staff\w* [!=]==? "|"({names})"', path.read_text())}
    assert said - {"grounds.ts", "Registers.tsx"} == set()


def test_grounds_are_those_of_the_register() -> None:
    found = re.search(r"GROUNDS[^{]*{(.*?)\n};", text("desk/grounds.ts"), re.DOTALL)
    assert found and re.findall(r"^  (\w+):", found[1], re.MULTILINE) == list(entries.GROUNDS)
    assert set(words(r"PERSONS = \[(.*?)\]", "desk/grounds.ts")) == entries.NEEDS_PERSON


def test_rights_wait_for_people_and_are_open_as_the_platform_says() -> None:
    assert words(r"BY_PEOPLE[^=]*= \[(.*?)\]", "words/rights.ts") == [*requests.BY_PEOPLE]
    open_now = re.findall(r'^  (\w+): \["open"', text("words/rights.ts"), re.MULTILINE)
    assert open_now == [*requests.OPEN]


@pytest.mark.parametrize("mine", get_args(Role))
def test_roles_are_given_as_the_platform_lets_them(mine: str) -> None:
    given = re.search(rf"^  {mine}: (\[.*\]),$", text("words/roles.ts"), re.MULTILINE)
    assert (json.loads(given[1]) if given else []) == [each for each in get_args(Role) if can_give(mine, each)]


def can_give(mine: str, role: str) -> bool:
    try:
        members.check_power(mine, role, role)
    except NotPermitted:
        return False
    return True


def test_the_table_of_permissions_knows_no_other_role_of_an_organisation() -> None:
    said: Iterable[str] = get_args(permissions.Standing)
    assert frozenset(said) == permissions.BELONGING | {"former"} and frozenset(get_args(Role)) == permissions.BELONGING
