"""The declared mutants, and how one is put into a tree."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class Stale(ValueError):
    """The text that a mutant replaces does not stand exactly once in its file, or what comes of it is no source."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One bug. `kind` is the kind of promise it breaks, `says` what the platform then does, `caught_by` are node ids."""

    kind: str
    name: str
    says: str
    file: str
    old: str
    new: str
    caught_by: tuple[str, ...]

    def applied(self, source: str) -> str:
        """The source of `file` with the bug. Raises Stale."""
        if (found := source.count(self.old)) != 1 or self.old == self.new:
            raise Stale(
                f"{self.name}: its text stands {found} times in {self.file}; say in tests/mutants what it is now"
            )
        mutated = source.replace(self.old, self.new)
        if self.file.endswith(".py"):
            try:
                ast.parse(mutated)
            except SyntaxError as wrong:
                raise Stale(f"{self.name}: {self.file} cannot be read with it: {wrong.msg}") from None
        return mutated


def load(folder: Path = HERE) -> list[Mutant]:
    """All mutants, by kind; each file is named after its kind."""
    return [mutant for path in sorted(folder.glob("*.toml")) for mutant in _read(path)]


def _read(path: Path) -> Iterator[Mutant]:
    for each in tomllib.loads(path.read_text())["mutant"]:
        yield Mutant(path.stem, **{**each, "caught_by": tuple(each["caught_by"])})


def chosen(names: list[str]) -> list[Mutant]:
    """Those of these names or kinds; all for none. Raises SystemExit for a name that is none."""
    mutants = load()
    if unknown := set(names) - {mutant.name for mutant in mutants} - {mutant.kind for mutant in mutants}:
        raise SystemExit(f"there is no mutant and no kind {', '.join(sorted(unknown))}")
    return [mutant for mutant in mutants if not names or {mutant.name, mutant.kind} & set(names)]
