"""Figures for Prometheus: each process counts for itself in plain numbers, and leaves what it has counted in a file of its own
each second; whoever is asked adds the files up. Nothing is added up, named or written where a request waits for it.

No figure says anything about a person: a label is a word of ours, or a name that the operator gave (`Family.labels` says which).
A process takes over the figures of the one before it in its place, so that sums never fall when one was killed. The number of
rows is bounded: past `ROWS_MAX` everything new of a family counts as one row whose labels are `other`.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from avow.catalog import store

ROWS_MAX = 1000
OTHER = "other"
FOLDER = "metrics"
STALE_S = 10.0
TEXT = "text/plain; version=0.0.4"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""Types of the two formats; to the first, which is text, the framework adds the charset."""

store(
    "figures",
    "path",
    f"run/{FOLDER}/*",
    why="counts and times since the first start, by words of ours and models; no ids",
)

Labels = tuple[str, ...]
Kind = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Family:
    """A figure by its name. `bounds`: upper bounds of a histogram's buckets, rising, in the unit that the name ends with.

    `largest`: of a gauge that several processes have, the largest counts, not the sum.
    """

    name: str
    kind: Kind
    help: str
    labels: Labels = ()
    bounds: tuple[float, ...] = ()
    largest: bool = False


class Histogram:
    """How often a value fell between two bounds, and the sum of all. `see` costs well under a microsecond."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def see(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One row of a family as a process left it: a number, or the counts of a histogram's buckets and its sum last."""

    family: str
    labels: Labels
    values: list[float]


class Sheet:
    """What a process has counted: numbers by family and labels."""

    def __init__(self, families: Iterable[Family]) -> None:
        self.families = {family.name: family for family in families}
        self._rows: dict[str, dict[Labels, list[float]]] = {name: {} for name in self.families}

    def add(self, name: str, labels: Labels, amount: float = 1) -> None:
        """Count `amount` more."""
        self._row(name, labels, 1)[0] += amount

    def set(self, name: str, labels: Labels, value: float) -> None:
        """Let a gauge be `value`."""
        self._row(name, labels, 1)[0] = float(value)

    def put(self, name: str, labels: Labels, seen: Histogram) -> None:
        """Count what a histogram has seen."""
        row = self._row(name, labels, len(seen.counts) + 1)
        for n, value in enumerate((*seen.counts, seen.sum)):
            row[n] += value

    def rows(self) -> Iterator[Row]:
        """Every row of every family."""
        for name in self._rows:
            yield from self.rows_of(name)

    def rows_of(self, name: str) -> Iterator[Row]:
        """The rows of a family, by their labels."""
        for labels, values in sorted(self._rows[name].items()):
            yield Row(name, labels, values)

    def take(self, rows: Iterable[Row], *, gauges: bool = True) -> None:
        """Add rows of another process; those that fit no family of this version are left."""
        for row in rows:
            family = self.families.get(row.family)
            size = 0 if family is None else _size(family)
            if family is None or len(row.values) != size or len(row.labels) != len(family.labels):
                continue
            if family.kind == "gauge" and not gauges:
                continue
            there = self._row(row.family, tuple(row.labels), size)
            join = max if family.largest else sum
            there[:] = [join(pair) for pair in zip(there, row.values, strict=True)]

    def _row(self, name: str, labels: Labels, size: int) -> list[float]:
        rows = self._rows[name]
        row = rows.get(labels)
        if row is None:
            if len(rows) >= ROWS_MAX:
                labels = (OTHER,) * len(labels)
            row = rows.setdefault(labels, [0] * size)
        return row


class Slip:
    """The file in which a process leaves its figures, by the name of its place (`worker 0`)."""

    def __init__(self, folder: Path, place: str) -> None:
        self._path = folder / f"{place.replace(' ', '-')}.json"

    def before(self) -> list[Row]:
        """What the process before this one in its place had counted; nothing where that cannot be read."""
        return _read(self._path)

    def write(self, sheet: Sheet) -> None:
        """Leave the figures. Raises OSError."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(list(sheet.rows())))
        new.replace(self._path)


def collect(folder: Path, families: Iterable[Family]) -> Sheet:
    """The sums over all processes; what is now, only of those that live."""
    sheet = Sheet(families)
    for path in sorted(folder.glob("*.json")):
        with suppress(OSError):
            sheet.take(_read(path), gauges=time.time() - path.stat().st_mtime < STALE_S)
    return sheet


def is_openmetrics(accept: str) -> bool:
    """Whether whoever asks reads OpenMetrics; Prometheus names it first then."""
    return "application/openmetrics-text" in accept


def text(sheet: Sheet, *, openmetrics: bool = False) -> str:
    """All figures in Prometheus' text format 0.0.4, or in OpenMetrics 1.0."""
    lines: list[str] = []
    for family in sheet.families.values():
        # OpenMetrics names a counter without the suffix that its samples have.
        name = family.name.removesuffix("_total") if openmetrics else family.name
        lines += [f"# HELP {name} {_escaped(family.help)}", f"# TYPE {name} {family.kind}"]
        for row in sheet.rows_of(family.name):
            lines += _samples(family, row)
    return "\n".join([*lines, "# EOF", ""] if openmetrics else [*lines, ""])


def _samples(family: Family, row: Row) -> Iterator[str]:
    labels = dict(zip(family.labels, row.labels, strict=True))
    if family.kind != "histogram":
        yield f"{family.name}{_labelled(labels)} {_number(row.values[0])}"
        return
    *counts, total = row.values
    below = 0.0
    for bound, count in zip((*map(_number, family.bounds), "+Inf"), counts, strict=True):
        below += count
        yield f"{family.name}_bucket{_labelled({**labels, 'le': bound})} {_number(below)}"
    yield f"{family.name}_sum{_labelled(labels)} {_number(total)}"
    yield f"{family.name}_count{_labelled(labels)} {_number(below)}"


def _labelled(labels: Mapping[str, str]) -> str:
    inner = ",".join(f'{name}="{_escaped(value, quotes=True)}"' for name, value in labels.items())
    return f"{{{inner}}}" if inner else ""


def _escaped(value: str, *, quotes: bool = False) -> str:
    made = value.replace("\\", r"\\").replace("\n", r"\n")
    return made.replace('"', r"\"") if quotes else made


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _size(family: Family) -> int:
    return len(family.bounds) + 2 if family.kind == "histogram" else 1


def _read(path: Path) -> list[Row]:
    with suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(path.read_bytes(), type=list[Row])
    return []
