"""The seeded bugs fit the source as it is now, and the runner tells a bug that is seen from one that is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mutants import running
from tests.mutants.catalogue import ROOT, Mutant, Stale, chosen, load

MUTANTS = load()
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}
PLAIN = BY_NAME["the-ratchet-forgets-the-shorter-rule"]


def source(file: str) -> str:
    return (ROOT / file).read_text()


def test_each_still_applies() -> None:
    stale = []
    for mutant in MUTANTS:
        try:
            mutant.applied(source(mutant.file))
        except (Stale, OSError) as wrong:
            stale.append(str(wrong))
    assert stale == []


def test_there_are_enough_of_them_and_each_has_a_name_of_its_own() -> None:
    assert len(BY_NAME) == len(MUTANTS) >= 100
    assert all(mutant.says.endswith(".") and mutant.caught_by for mutant in MUTANTS)


def test_the_tests_that_are_to_see_them_exist() -> None:
    for test in {test for mutant in MUTANTS for test in mutant.caught_by}:
        file, _, name = test.partition("::")
        assert not name or f"def {name.rpartition('::')[2].partition('[')[0]}(" in source(file), test


def test_a_bug_that_fits_no_more_is_said_to() -> None:
    for text in ("nothing like this", "def end("):
        with pytest.raises(Stale, match=PLAIN.name):
            replace(PLAIN, old=text).applied(source(PLAIN.file))
    with pytest.raises(Stale, match="cannot be read"):
        replace(PLAIN, new="return (").applied(source(PLAIN.file))


def test_they_are_chosen_by_name_or_kind() -> None:
    assert chosen([PLAIN.name]) == [PLAIN]
    assert set(chosen(["RET", "SEAL"])) == {mutant for mutant in MUTANTS if mutant.kind in ("RET", "SEAL")}
    assert chosen([]) == MUTANTS
    with pytest.raises(SystemExit, match="no-such"):
        chosen(["no-such"])


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    with running.copied() as copy:
        yield copy


@pytest.mark.parametrize(
    ("mutant", "verdict"),
    [
        (PLAIN, "caught"),
        (replace(PLAIN, new=f"{PLAIN.old}  # as before"), "survived"),
        (replace(PLAIN, old="from collections.abc import Mapping\n", new="from avow import nowhere\n"), "broken"),
    ],
    ids=["caught", "survived", "broken"],
)
def test_what_becomes_of_a_bug_is_what_a_test_saw(tree: Path, mutant: Mutant, verdict: str) -> None:
    """One that keeps the program from loading has been seen by no test."""
    with running.mutated(tree, mutant):
        assert running.run(tree, mutant.caught_by, stop_at_first=True).verdict == verdict
    assert (tree / mutant.file).read_text() == source(mutant.file)
