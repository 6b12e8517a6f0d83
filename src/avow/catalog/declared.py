"""The places of the platform that are not tables, and the check that nothing is left unsaid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Literal

from avow.catalog.words import Undeclared, facts, metadata
from avow.policy import Holding, Policy, Problem
from avow.policy import check as check_policy

Kind = Literal["path", "memory", "database", "processor", "outside"]


@dataclass(frozen=True, slots=True)
class Place:
    """A store that is not one of our tables.

    kind `path`: a folder or file under AVOW_HOME (a glob); `memory`: inside a process; `database`: tables made by a
    library (a glob over schema.table); `processor`: another party; `outside`: stands for the outside world (a mailbox, the
    note with the demo key) and is not searched for remains.
    """

    name: str
    kind: Kind
    where: str
    categories: tuple[str, ...]
    why: str


_places: dict[str, Place] = {}


def store(name: str, kind: Kind, where: str, *, categories: Iterable[str] = (), why: str) -> Place:
    """Declare a store that is not a table: what it is, where, which categories it may hold and why it exists."""
    if not why:
        raise Undeclared(f"store {name!r} needs why=…: say what it is for, or it cannot be published")
    made = Place(name, kind, where, tuple(categories), why)
    if _places.get(name, made) != made:
        raise Undeclared(f"store {name!r} is declared twice, and differently")
    _places[name] = made
    return made


def places(*kinds: Kind) -> list[Place]:
    return [p for p in _places.values() if not kinds or p.kind in kinds]


def holdings() -> list[Holding]:
    """What the tables and places hold, as plain values for `policy.check` and for the published list."""
    of_tables = [Holding(category=p.category, store=t.name, fields=p.fields) for t, p in facts()]
    of_places = [Holding(category=c, store=p.name, fields=()) for p in places() for c in p.categories]
    return of_tables + of_places


def check(policy: Policy, installed: frozenset[str] = frozenset()) -> list[Problem]:
    """Every way in which the policy and the catalog disagree; with one of kind `error` the program does not start."""
    return check_policy(policy, holdings(), installed)


def undeclared_columns(found: Mapping[str, Iterable[str]]) -> list[str]:
    """Columns (`table.column`) that exist in the database and are declared nowhere. `found` maps schema.table to columns."""
    silent = []
    for name, columns in sorted(found.items()):
        schema, _, bare = name.rpartition(".")
        known = metadata.tables.get(bare) if schema in ("", "public") else None
        if known is None:
            if not any(fnmatch(name, p.where) for p in places("database")):
                silent.append(name)
            continue
        silent += [f"{bare}.{c}" for c in sorted(set(columns) - {c.name for c in known.c})]
    return silent


def undeclared_paths(found: Iterable[str]) -> list[str]:
    """Paths (relative to AVOW_HOME) that belong to no declared store."""
    globs = [p.where for p in places("path", "outside")]
    return [f for f in sorted(found) if not any(fnmatch(f, g) or f.startswith(g.rstrip("*")) for g in globs)]
