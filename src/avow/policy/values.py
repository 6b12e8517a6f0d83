"""Reading the values of one table of a policy file as the language declares its keys."""

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Any, cast

from avow.policy import language, terms
from avow.policy.language import Key
from avow.policy.lines import Path
from avow.policy.model import Bound, Keep, Unit
from avow.policy.report import Report, shown

_WANTS = {
    "flag": "true or false",
    "integer": "a whole number",
    "list": "a list of texts",
    "ages": "ages by country",
    "periods": "periods by place",
}


def read(
    report: Report, path: Path, table: dict[str, Any], known: tuple[Key, ...], also: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The valid values of `table` by key; each unknown, missing or wrong key becomes a problem of `report`.

    `also` names keys that are read elsewhere.
    """
    names = [*(key.name for key in known), *also]
    for name in table:
        if name not in names:
            report.add_unknown((*path, name), f"The key {shown(name)} is not known.", name, names)
    values: dict[str, Any] = {}
    for key in known:
        if key.name in table:
            value = _value(report, (*path, key.name), key, table[key.name])
            if value is not None:
                values[key.name] = value
        elif key.required:
            report.add((*path, key.name), _missing(path, key), _strictest(key))
    return values


def _missing(path: Path, key: Key) -> str:
    if path[:1] != ("category",):
        return f"The key {key.name} is missing."
    return f"The category {path[1]} has no {key.name}, so that its clause {key.clause}.{path[1]} cannot be published."


def _strictest(key: Key) -> str:
    return f"The strictest is {key.name} = {key.strictest}."


def _value(report: Report, path: Path, key: Key, value: object) -> object | None:
    """`value` as the key takes it; None, with a problem added, if it does not."""
    if key.takes == "flag" and isinstance(value, bool):
        return value
    if key.takes == "integer" and isinstance(value, int) and not isinstance(value, bool):
        return _count(report, path, value)
    if key.takes == "keep" and isinstance(value, str):
        return _keep(report, path, value)
    if key.takes == "text" and isinstance(value, str):
        return value if _allowed(report, path, key, value) else None
    if key.takes == "list" and isinstance(value, list):
        return _list(report, path, key, value)
    if key.takes == "date" and isinstance(value, str | date):
        return _date(report, path, str(value))
    if key.takes in ("ages", "periods") and isinstance(value, dict):
        return _by_place(report, path, key, value)
    report.add(path, f"{key.name} takes {_WANTS.get(key.takes, 'a text')}.", f"Write {key.name} = {key.strictest}.")
    return None


def _count(report: Report, path: Path, value: int) -> int | None:
    if 1 <= value <= language.VERSION_MAX:
        return value
    report.add(path, "The number is out of range.", f"Count from 1; the last is {language.VERSION_MAX}.")
    return None


def _keep(report: Report, path: Path, value: str) -> Keep | None:
    if value == "0":
        return Keep("never")
    if value == "life of the account":
        return Keep("life")
    found = language.PERIOD.fullmatch(value)
    if found is not None:
        amount, unit = int(found[2]), cast(Unit, found[3] + "s")
        if amount <= language.AMOUNT_MAX[unit]:
            return Keep("period", amount, unit, cast(Bound, found[1] or "exactly"))
    hint = 'Write "0", "life of the account", "30 days", "at most 30 days" or "at least 7 years"; 100 years at most.'
    report.add(path, f"{shown(value)} is not a period.", hint)
    return None


def _date(report: Report, path: Path, value: str) -> str | None:
    try:
        if language.DATE.fullmatch(value):
            date.fromisoformat(value if len(value) > len("2026-03") else f"{value}-01")
            return value
    except ValueError:
        pass
    report.add(path, f"{shown(value)} is not a date.", 'Write a day or a month: "2026-03-17" or "2026-03".')
    return None


def _is_place(key: Key, place: str) -> bool:
    if key.takes == "ages":
        return place in terms.COUNTRIES
    known = language.JURISDICTION.fullmatch(place) is not None
    return known and (place in ("default", "EU") or place[:2] in terms.COUNTRIES)


def _by_place(report: Report, path: Path, key: Key, value: dict[str, Any]) -> Mapping[str, Any] | None:
    """Values by jurisdiction; None if one of them is wrong."""
    taken: dict[str, Any] = {}
    for place, inner in value.items():
        here = (*path, place)
        if not _is_place(key, place):
            hint = "Write the two letters of a country that the reference page lists"
            hint += "." if key.takes == "ages" else '; or "default", "EU", or a part of a country such as US-CA.'
            report.add(here, f"{shown(place)} is no place known here.", hint, "unknown_place")
        elif key.takes == "ages" and isinstance(inner, int) and not isinstance(inner, bool):
            taken[place] = inner
        elif key.takes == "periods" and isinstance(inner, str):
            period = _keep(report, here, inner)
            if period is not None:
                taken[place] = period
        else:
            report.add(here, f"{key.name} takes {_WANTS[key.takes]}.", f"Write {key.name} = {key.strictest}.")
    if key.takes == "periods" and "default" not in value:
        report.add(path, f"{key.name} says nothing for other places.", 'Add default = "1 month".')
        return None
    return MappingProxyType(taken) if len(taken) == len(value) else None


def _list(report: Report, path: Path, key: Key, value: list[object]) -> tuple[str, ...] | None:
    taken: list[str] = []
    for number, element in enumerate(value):
        here = (*path, number)
        if not isinstance(element, str):
            report.add(here, f"{key.name} takes a list of texts.", "Put each element in quotes.")
        elif element in taken:
            report.add(here, f"{shown(element)} is listed twice.", "Remove one of the two.")
        elif _allowed(report, here, key, element):
            taken.append(element)
    if key.required and not value:
        report.add(path, f"{key.name} is empty.", _strictest(key))
        return None
    return tuple(taken) if len(taken) == len(value) else None


def _allowed(report: Report, path: Path, key: Key, value: str) -> bool:
    if key.words is not None and value not in key.words:
        sentence = f"{key.name} does not know {shown(value)}."
        if (key.name, value) == ("on_expiry", "hold"):
            report.add(path, sentence, 'What the law holds ends with its period too: write "delete".')
        else:
            report.add_unknown(path, sentence, value, key.words)
        return False
    if key.shape is not None and key.shape.fullmatch(value) is None:
        report.add(path, f"{shown(value)} cannot be a value of {key.name}.", f"{key.shape_in_words}.")
        return False
    return True
