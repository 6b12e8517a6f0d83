"""Two languages, everywhere: no text is missing, the same in both, without a hole that its partner has, or said by nobody."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import avow.policy
import avow.site
import avow.worker  # every error that can be met
from avow.accounts import invitations
from avow.accounts import letters as account_letters
from avow.base.errors import AvowError
from avow.policy import periods
from avow.privacy import letters as privacy_letters
from avow.privacy import notices
from avow.site import words
from tests.house.conftest import ROOT
from tests.site.test_errors import kinds

SOURCES = Path(str(avow.__file__)).parent
CHINESE = re.compile(r"[\u4e00-\u9fff]")
HOLE = re.compile(r"(?<!\{)\{(\w*)\}(?!\})")
SAME = {"Cookie"}
"""What Chinese calls as English does."""
MAILS = (account_letters, invitations, privacy_letters, notices)
BUILT = re.compile(r"""f"(?P<begun>\w+_)\{|t\('(?P<begins>\w+_)' ?\+|\+ ?'(?P<ends>_\w+)'\)""")


def modules(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        yield importlib.import_module(found.name)


def pairs(value: Any, where: str) -> Iterator[tuple[str, str, str]]:
    """Every English text with its Chinese one that a value holds, wherever in it."""
    match value:
        case (str() as en, str() as zh) if CHINESE.search(zh):
            yield where, en, zh
        case Mapping():
            for name, each in value.items():
                yield from pairs(each, f"{where}.{name}")
        case tuple() | list():
            for each in value:
                yield from pairs(each, where)
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            if isinstance(fields.get("en"), str) and isinstance(fields.get("zh"), str):
                yield where, fields.pop("en"), fields.pop("zh")
            yield from pairs(fields, where)


def constants(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).items() if name.isupper()}


PAIRS = [
    pair
    for module in (*modules(avow.policy), *modules(avow.site), *MAILS)
    for name, value in constants(module).items()
    for pair in pairs(value, f"{module.__name__}.{name}")
]


def test_each_text_has_a_partner_that_is_in_the_other_language_and_leaves_the_same_holes() -> None:
    wrong = [
        where
        for where, en, zh in PAIRS
        if not en.strip()
        or not (CHINESE.search(zh) or zh in SAME)
        or CHINESE.search(en)
        or {*HOLE.findall(en)} != {*HOLE.findall(zh)}
    ]
    assert not wrong
    found = {".".join(where.split(".")[:3]) for where, _, _ in PAIRS}
    assert {"avow.policy.words", "avow.policy.practices", "avow.site.words", "avow.privacy.letters"} <= found


def test_a_word_of_the_pages_has_two_texts_and_somebody_says_it() -> None:
    """A key counts as said where its name stands outside the lists of words, or is put together there."""
    lists = {Path(str(module.__file__)) for module in modules(avow.site) if module.__name__.endswith("words")}
    texts = [
        path.read_text()
        for path in (SOURCES / "site").rglob("*")
        if path.suffix in (".py", ".html") and path not in lists
    ]
    said = {name for text in texts for name in re.findall(r"\w+", text)}
    built = [found.groupdict() for text in texts for found in BUILT.finditer(text)]
    begins = ("refusal_", *({each["begins"] or each["begun"] for each in built} - {None}))
    ends = tuple({each["ends"] for each in built} - {None})
    assert [
        key for key in words.WORDS if key not in said and not key.startswith(begins) and not key.endswith(ends)
    ] == []
    assert {len(pair) for pair in words.WORDS.values()} == {len(words.LOCALES)}


@pytest.mark.parametrize("module", MAILS, ids=lambda module: module.__name__)
def test_a_mail_says_everything_in_both_languages(module: ModuleType) -> None:
    texts = {name: text for name, text in constants(module).items() if isinstance(text, str)}
    letters = {name: text for name, text in texts.items() if "\n" in text.strip() or "SUBJECT" in name}
    assert letters
    for name, text in letters.items():
        zh = texts.get(f"{name}_ZH", text)
        assert re.search(r"[a-z]{3}", text) and CHINESE.search(zh), name
        holes = {*HOLE.findall(text.replace("{{", "{").replace("}}", "}"))}
        for hole in holes:
            begins, _, language = hole.rpartition("_")
            if language in ("en", "zh"):
                assert {f"{begins}_en", begins} & holes and f"{begins}_zh" in holes, (name, hole)


def test_who_writes_mails_is_looked_at() -> None:
    """A part that begins to write mails of its own is named above."""
    written = {
        path for path in SOURCES.rglob("*.py") if re.search(r"^_?[A-Z_]*SUBJECT\b|Letter\(\"", path.read_text(), re.M)
    }
    assert written == {Path(str(module.__file__)) for module in MAILS}


def test_a_refusal_that_is_told_by_its_code_is_one_that_exists() -> None:
    codes = {kind.code for kind in kinds(AvowError)}
    assert words.refusals("zh").keys() - {"unreachable", "other"} <= codes
    app = ROOT / "ui" / "src"
    own = {code for path in app.rglob("*.ts*") for code in re.findall(r'new Refusal\(\d+, "(\w+)"', path.read_text())}
    assert {*re.findall(r"^  (\w+): \(\) =>", (app / "api" / "errors.ts").read_text(), re.MULTILINE)} - own <= codes


def test_a_moment_reads_as_each_language_writes_it() -> None:
    moment = datetime(2026, 3, 17, 1, 5, tzinfo=timezone(timedelta(hours=8)))
    assert periods.minute(moment, "en") == "16 March 2026, 17:05 UTC"
    assert periods.minute(moment, "zh") == "2026 年 3 月 16 日 17:05（UTC）"
    assert (periods.day(moment, "en"), periods.day(moment, "zh")) == ("16 March 2026", "2026 年 3 月 16 日")
