"""The table of traps names tests that exist, and parts that do not: it can neither promise more than there is, nor less."""

from __future__ import annotations

import re
from pathlib import Path

import avow.app  # noqa: F401  every part is declared
from avow import catalog
from avow.policy import words
from tests.policy.test_profiles import POLICIES

ROOT = Path(__file__).parents[2]
COUNT = 30
"""How many there are."""


def rows() -> list[list[str]]:
    text = (ROOT / "docs" / "reference" / "traps.md").read_text()
    return [re.split(r" \| ", line.strip("| \n")) for line in text.splitlines() if re.match(r"\| \d", line)]


def test_every_trap_has_a_test_that_exists_or_waits_for_a_part_that_does_not() -> None:
    assert [row[0] for row in rows()] == [str(number) for number in range(1, COUNT + 1)]
    wanted = set().union(*(policy.features for policy in POLICIES.values()))
    for number, trap, answer, shown in rows():
        assert trap and answer.endswith("."), number
        named, waits = re.findall(r"`(tests/\S+)`", shown), re.findall(r"not configured: `(\w+)`", shown)
        assert named or waits, number
        for each in named:
            path, _, name = each.partition("::")
            assert f"def {name}(" in (ROOT / path).read_text(), each
        for part in waits:
            assert part in {*words.PARTS, *words.FEATURES} and part in wanted, part
            assert part not in catalog.parts(), (
                f"{part} is there now: say in row {number} what it does, and which test shows it"
            )
