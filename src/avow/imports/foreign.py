"""Files of other programs, read as if an enemy had written them: bounded in size, depth and number of values, no name twice in
a mapping, no object made, numbers exact to the digit."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Iterable, Mapping
from decimal import Clamped, Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow, Subnormal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from avow.accounts.limits import NANO_MAX
from avow.base.errors import AvowError
from avow.base.money import NANO

TEXT_BYTES_MAX = 32 * 1024 * 1024
YAML_BYTES_MAX = 1024 * 1024
DATABASE_BYTES_MAX = 1024 * 1024 * 1024
DEPTH_MAX = 32
VALUES_MAX = 200_000
ROWS_MAX = 20_000
DIGITS_MAX = 30
SHOWN_MAX = 120
_STEPS_MAX = 50_000
_STEP = 1000
_EXACT = Context(prec=80, traps=[Clamped, Inexact, InvalidOperation, Overflow, Subnormal])
_SQLITE = b"SQLite format 3\x00"

Row = Mapping[str, Any]


class ImportUnreadable(AvowError):
    """This file cannot be read as what it should be."""

    status = 400
    code = "import_unreadable"
    hint = "Nothing was changed. docs/reference/import.md says which files are read and how to make them."


class ValueUnfit(ValueError):
    """One value that cannot be taken over; its text says why and never repeats a secret."""


def text_of(path: Path, bytes_max: int = TEXT_BYTES_MAX) -> str:
    """A file's text. Raises ImportUnreadable for one that is too large, is not there, or is not UTF-8."""
    try:
        with path.open("rb") as file:
            content = file.read(bytes_max + 1)
    except OSError as wrong:
        raise ImportUnreadable(f"{path.name} cannot be opened: {type(wrong).__name__}.") from None
    if len(content) > bytes_max:
        raise ImportUnreadable(f"{path.name} is larger than {bytes_max:,} bytes.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ImportUnreadable(f"{path.name} is not UTF-8.") from None


def yaml_of(path: Path) -> Any:
    """A YAML file as mappings, lists and texts: every scalar stays as it is written, for a price must not become a float.

    Aliases and `<<` are followed, within `VALUES_MAX` values in all. Raises ImportUnreadable.
    """
    text = text_of(path, YAML_BYTES_MAX)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        return None if node is None else _Plain(path.name).value(node, 0)
    except yaml.YAMLError as wrong:
        mark = getattr(wrong, "problem_mark", None)
        where = f" near line {mark.line + 1}" if mark else ""
        raise ImportUnreadable(f"{path.name} is no YAML{where}.") from None
    except RecursionError:
        raise ImportUnreadable(f"{path.name} is nested deeper than {DEPTH_MAX}.") from None


def json_of(path: Path) -> Any:
    """A JSON file; numbers become Decimal. Raises ImportUnreadable."""
    return json_in(text_of(path), path.name)


def json_in(text: str, name: str) -> Any:
    """The JSON of a text that `name` holds. Raises ImportUnreadable."""

    def refuse(word: str) -> Any:
        raise ImportUnreadable(f"{name} holds {word}, which is no number.")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ImportUnreadable(f"{name} has a name twice in one object.")
        return made

    try:
        found = json.loads(
            text, parse_float=_number, parse_int=_number, parse_constant=refuse, object_pairs_hook=unique
        )
    except (ValueError, DecimalException):
        raise ImportUnreadable(f"{name} is no JSON.") from None
    except RecursionError:
        raise ImportUnreadable(f"{name} is nested too deep.") from None
    return found


def rows_of(path: Path, *names: str) -> list[Row]:
    """Rows of a table: a CSV file with a head, a JSON list of objects, or an object that has the list under one of `names`.

    Raises ImportUnreadable.
    """
    if path.suffix.lower() == ".csv":
        return _csv_rows(path)
    found = json_of(path)
    if isinstance(found, dict):
        found = next((found[name] for name in names if name in found), None)
    return rows_in(found, path.name)


def rows_in(found: Any, name: str) -> list[Row]:
    """A value that must be a list of objects. Raises ImportUnreadable."""
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ImportUnreadable(f"{name} is no list of rows.")
    if len(found) > ROWS_MAX:
        raise ImportUnreadable(f"{name} has more than {ROWS_MAX:,} rows.")
    return found


def is_database(path: Path) -> bool:
    """Whether a file is an SQLite database."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError as wrong:
        raise ImportUnreadable(f"{path.name} cannot be opened: {type(wrong).__name__}.") from None


def tables_of(path: Path, names: Iterable[str]) -> dict[str, list[Row]]:
    """The rows of those tables of an SQLite file that are there. It is only read, and may not call anything.

    Raises ImportUnreadable.
    """
    if path.stat().st_size > DATABASE_BYTES_MAX:
        raise ImportUnreadable(f"{path.name} is larger than {DATABASE_BYTES_MAX:,} bytes.")
    # `immutable`: no lock, no journal and no shared memory beside a file that is not ours.
    address = f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"
    try:
        database = sqlite3.connect(address, uri=True)
        try:
            return _tables(database, names, path.name)
        finally:
            database.close()
    except (sqlite3.Error, OverflowError) as wrong:
        raise ImportUnreadable(f"{path.name} is no whole SQLite database ({type(wrong).__name__}).") from None


def _tables(database: sqlite3.Connection, names: Iterable[str], file: str) -> dict[str, list[Row]]:
    left = iter(range(_STEPS_MAX))
    database.set_progress_handler(lambda: next(left, None) is None, _STEP)
    database.execute("PRAGMA trusted_schema = OFF")
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, TEXT_BYTES_MAX)
    database.row_factory = sqlite3.Row
    database.text_factory = lambda raw: raw.decode("utf-8", "replace")
    # A view of that name would run what its writer wants.
    known = {row["name"] for row in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    found: dict[str, list[Row]] = {}
    for name in names:
        if name in known:
            rows = database.execute(f'SELECT * FROM "{name}" LIMIT ?', (ROWS_MAX + 1,))  # noqa: S608  a constant of ours
            found[name] = rows_in([dict(row) for row in rows], f"table {name} of {file}")
    return found


def _csv_rows(path: Path) -> list[Row]:
    reader = csv.DictReader(io.StringIO(text_of(path), newline=""), strict=True)
    rows: list[Row] = []
    try:
        names = reader.fieldnames or []
        if len(set(names)) != len(names):
            raise ImportUnreadable(f"{path.name} has a column twice.")
        for row in reader:
            if None in row or None in row.values():
                raise ImportUnreadable(f"{path.name} has a row of another length near line {reader.line_num}.")
            rows.append({name: value if value != "" else None for name, value in row.items()})
            if len(rows) > ROWS_MAX:
                raise ImportUnreadable(f"{path.name} has more than {ROWS_MAX:,} rows.")
    except csv.Error:
        raise ImportUnreadable(f"{path.name} is no CSV near line {reader.line_num}.") from None
    return rows


class _Plain:
    """Turns YAML nodes into plain values and counts them, for an alias can make a hundred nodes a billion values."""

    def __init__(self, name: str) -> None:
        self.name, self.left = name, VALUES_MAX

    def value(self, node: yaml.Node, depth: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise ImportUnreadable(f"{self.name} has more than {VALUES_MAX:,} values once its aliases are followed.")
        if depth > DEPTH_MAX:
            raise ImportUnreadable(f"{self.name} is nested deeper than {DEPTH_MAX}.")
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each, depth + 1) for each in node.value]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, depth)
        return None if node.tag == "tag:yaml.org,2002:null" else str(node.value)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        merged: list[Any] = []
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                found = self.value(value, depth + 1)
                merged += found if isinstance(found, list) else [found]
                continue
            name = self.value(key, depth + 1)
            if not isinstance(name, str):
                raise ImportUnreadable(f"{self.name} has a mapping whose name is no text.")
            if name in made:
                raise ImportUnreadable(f"{self.name} has {shown(name)!r} twice, near line {key.start_mark.line + 1}.")
            made[name] = self.value(value, depth + 1)
        for each in merged:
            if not isinstance(each, dict):
                raise ImportUnreadable(f"{self.name} merges what is no mapping.")
            made = {**each, **made}
        return made


def shown(value: Any) -> str:
    """A value as it can be shown at a terminal: short, and without characters that steer one."""
    text = str(value)
    cut = "".join(character if character.isprintable() else "?" for character in text[:SHOWN_MAX])
    return cut + "…" if len(text) > SHOWN_MAX else cut


def name(value: Any) -> str:
    """A name: text without spaces at its ends, of printable characters. Raises ValueUnfit."""
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > SHOWN_MAX or not text.isprintable():
        raise ValueUnfit("it has no name that can be shown")
    return text


def number(value: Any) -> Decimal:
    """An exact number that is zero or more. Raises ValueUnfit."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise ValueUnfit("it is no number")
    try:
        # A float comes from SQLite alone; its shortest form is what was written there.
        found = _number(repr(value) if isinstance(value, float) else str(value).strip())
    except (ValueError, DecimalException):
        raise ValueUnfit(f"{shown(value)!r} is no number") from None
    if found < 0:
        raise ValueUnfit(f"{shown(value)!r} is negative")
    return found


def whole(value: Any) -> int:
    """A whole number that is zero or more. Raises ValueUnfit."""
    found = number(value)
    if found != found.to_integral_value():
        raise ValueUnfit(f"{shown(value)!r} is no whole number")
    return int(found)


def product(*factors: Any) -> Decimal:
    """Numbers multiplied, exactly. Raises ValueUnfit."""
    made = Decimal(1)
    for each in factors:
        try:
            made = _EXACT.multiply(made, number(each))
        except DecimalException:
            raise ValueUnfit(f"{shown(each)!r} cannot be counted exactly") from None
    return made


def nano(*factors: Any) -> int:
    """An amount of money, the product of some numbers, in nano-units, exactly. Raises ValueUnfit for what is finer."""
    found = product(*factors, NANO)
    if found != found.to_integral_value():
        raise ValueUnfit(f"{shown(factors[0])!r} is finer than a nano-unit")
    if found > NANO_MAX:
        raise ValueUnfit(f"{shown(factors[0])!r} is more money than can be counted")
    return int(found)


def truth(value: Any) -> bool:
    """A yes or no in any of the ways in which tables write it; missing is no. Raises ValueUnfit."""
    word = str(value).strip().lower()
    if value is None or word in ("", "f", "false", "0", "no"):
        return False
    if word in ("t", "true", "1", "yes"):
        return True
    raise ValueUnfit(f"{shown(value)!r} is neither yes nor no")


def texts(value: Any) -> list[str]:
    """A list of texts: as JSON, as a PostgreSQL array in a CSV file (`{a,"b c"}`), or missing. Raises ValueUnfit."""
    if isinstance(value, str):
        value = _listed(value.strip())
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueUnfit("it is no list of texts")
    return value


def mapping(value: Any, name: str) -> dict[str, Any]:
    """A mapping, also as JSON text in a column; missing is empty. Raises ValueUnfit."""
    if isinstance(value, str) and value.strip():
        try:
            value = json_in(value, name)
        except ImportUnreadable as wrong:
            raise ValueUnfit(f"its {wrong}") from None
    if value in (None, ""):
        return {}
    if not isinstance(value, dict):
        raise ValueUnfit(f"its {name} is no mapping")
    return value


def _listed(text: str) -> Any:
    if not text:
        return None
    if text.startswith("{") and text.endswith("}"):
        return next(csv.reader([text[1:-1]], escapechar="\\"), [])
    try:
        return json_in(text, "it")
    except ImportUnreadable:
        raise ValueUnfit("it is no list of texts") from None


def _number(text: str) -> Decimal:
    found = _EXACT.create_decimal(text)
    if not found.is_finite() or (found and abs(found.adjusted()) > DIGITS_MAX):
        raise ValueError
    return found
