"""Reading the tables that `sections` declares: each becomes a Part, or problems."""

import re
from collections.abc import Collection
from types import MappingProxyType
from typing import Any

from avow.policy import language, practices, terms, values
from avow.policy.language import Key
from avow.policy.lines import Path
from avow.policy.model import Part
from avow.policy.report import Report, shown
from avow.policy.sections import SECTIONS, Section

NAMES_MAX = 200
LEVELS = {"practice": practices.PRACTICES, "security": practices.SECURITY}


def read(report: Report, tables: dict[str, Any], features: frozenset[str]) -> dict[str, Part]:
    """Every table that the file has of the wider language, by id, in the order of the declarations."""
    found: dict[str, Part] = {}
    for kind, section in SECTIONS.items():
        if kind not in tables:
            continue
        table = tables[kind]
        if not isinstance(table, dict):
            report.add((kind,), f"{kind} is not a table.", f"Write its keys below [{_header(kind, section)}].")
        elif section.names is None:
            _read_one(report, kind, "", table, features, found)
        else:
            _read_named(report, kind, section.names, table, features, found)
    return found


def _read_named(
    report: Report,
    kind: str,
    names: Collection[str] | re.Pattern[str],
    tables: dict[str, Any],
    features: frozenset[str],
    found: dict[str, Part],
) -> None:
    if len(tables) > NAMES_MAX:
        report.add((kind,), f"There are more than {NAMES_MAX} tables of {kind}.", "Name fewer.")
        return
    for name, table in tables.items():
        path = (kind, name)
        if isinstance(names, re.Pattern):
            if not names.fullmatch(name):
                hint = "Use small letters, digits and hyphens, 63 at most."
                report.add(path, f"{shown(name)} cannot be a name.", hint)
                continue
        elif name not in names:
            report.add_unknown(path, f"{kind} does not know {shown(name)}.", name, names)
            continue
        if isinstance(table, dict):
            _read_one(report, kind, name, table, features, found)
        else:
            report.add(path, f"{kind}.{name} is not a table.", f"Write its keys below [{kind}.{name}].")


def _read_one(
    report: Report, kind: str, name: str, table: dict[str, Any], features: frozenset[str], found: dict[str, Part]
) -> None:
    path: Path = (kind, name) if name else (kind,)
    keys = keys_of(kind, name)
    taken = values.read(report, path, table, (*keys, *language.COMMON, language.CHOOSES))
    feature = feature_of(kind, name, str(taken.get("rule", "")))
    if feature is not None and feature not in features:
        report.add(path, f"{'.'.join(map(str, path))} belongs to the part {feature}.", f'Add "{feature}" to features.')
    if any(key.name not in taken and (key.required or key.name in table) for key in keys):
        return
    chosen = tuple(taken.pop("operator_chooses", ()))
    for key_name in chosen:
        if key_name not in taken:
            report.add_unknown((*path, "operator_chooses"), f"{shown(key_name)} is not given.", key_name, list(taken))
    marks = {key.name: taken.pop(key.name) for key in language.COMMON if key.name in taken}
    part = Part(kind, name, MappingProxyType(taken), chosen=chosen, line=report.line(path), **marks)
    found[part.id] = part


def keys_of(kind: str, name: str) -> tuple[Key, ...]:
    """The keys of `[KIND.NAME]`; `rule` takes the words that the name has."""
    keys = SECTIONS[kind].keys
    if kind not in LEVELS or name not in LEVELS[kind]:
        return keys
    levels = LEVELS[kind][name].levels
    first = next(iter(levels))
    return (Key("rule", "text", "Which sentence holds.", f'"{first}"', words=levels, strict="earlier"),)


def feature_of(kind: str, name: str, rule: str) -> str | None:
    """The part of Avow that makes the sentence of a table true; None: it needs none."""
    own = term_of(kind, name, rule)
    if own is not None and own.feature is not None:
        return own.feature
    # A sentence that names code which always runs needs no part beside it.
    return None if own is not None and own.controls else SECTIONS[kind].feature


def term_of(kind: str, name: str, rule: str) -> terms.Term | None:
    """The fixed sentence of a table; None where the sentence is made from its values."""
    if kind in LEVELS:
        levels = LEVELS[kind].get(name)
        return None if levels is None else levels.levels.get(rule)
    names = SECTIONS[kind].names
    found = names.get(name) if isinstance(names, dict) else None
    return found if isinstance(found, terms.Term) else None


def _header(kind: str, section: Section) -> str:
    return kind if section.names is None else f"{kind}.NAME"
