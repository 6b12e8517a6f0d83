"""The app's texts: every one that the sources say is in both catalogues, and none is there that nobody says."""

from __future__ import annotations

import json
import re
from typing import get_args

import pytest

from avow.privacy.requests import Kind, State
from tests.house.conftest import ROOT

SAID = re.compile(r'\bt\(\s*"((?:[^"\\]|\\.)*)"')
ANY = re.compile(r"\bt\(\s*(?!\")")
ENTRY = re.compile(r'^msgid (".*")\nmsgstr (".*")$', re.MULTILINE)
HOLE = re.compile(r"\{\w+\}")
SOURCES = sorted((ROOT / "ui" / "src").rglob("*.ts*"))


def said() -> set[str]:
    return {json.loads(f'"{each}"') for path in SOURCES for each in SAID.findall(path.read_text())}


def catalogue(language: str) -> dict[str, str]:
    text = (ROOT / "ui" / "locales" / f"{language}.po").read_text()
    found = [(json.loads(id), json.loads(text)) for id, text in ENTRY.findall(text)]
    assert len(found) == len(dict(found)), "a text stands there twice"
    return {id: text for id, text in found if id}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_text_is_there_and_filled_in(language: str) -> None:
    known = catalogue(language)
    assert said() - known.keys() == set(), "missing; add them"
    assert known.keys() - said() == set(), "nobody says these any more"
    for id, text in known.items():
        assert text and sorted(HOLE.findall(text)) == sorted(HOLE.findall(id)), id


def test_texts_are_written_where_they_are_said() -> None:
    """A text that is put together elsewhere could not be looked for."""
    loose = {path.name for path in SOURCES if ANY.search(path.read_text())}
    assert loose <= {"language.ts"}


def test_chinese_is_chinese() -> None:
    plain = {id for id, text in catalogue("zh").items() if not re.search(r"[\u4e00-\u9fff]", text)}
    assert plain <= {"curl", "Python", "JavaScript", "CSV"}


def test_whatever_is_sent_is_sent_once() -> None:
    """A bare mutation runs twice for a double click: only `useOnce` makes one."""
    bare = {path.name for path in SOURCES if "useMutation" in path.read_text()}
    assert bare == {"once.ts"}


def test_every_kind_and_state_of_a_request_has_its_word_in_one_place() -> None:
    """Those who ask and those who answer read the same of it."""
    texts = {path.relative_to(ROOT / "ui" / "src").as_posix(): path.read_text() for path in SOURCES}
    words = re.findall(r"^  (\w+): ", texts["words/rights.ts"], re.MULTILINE)
    assert sorted(words) == sorted([*get_args(Kind), *get_args(State)])
    assert [path for path, text in texts.items() if re.search(r'"received"|\breceived:', text)] == ["words/rights.ts"]
