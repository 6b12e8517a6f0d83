"""The list of pains in the documentation is whole, and the tests that it names exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| (P\d+) \| (.+?) \| (.+) \|$", (ROOT / "docs/reference/pains.md").read_text(), re.MULTILINE)
TESTS = frozenset(
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
)
OFF_LINE = """
import socket
def refused(*_): raise AssertionError("something is fetched")
socket.socket.connect = socket.getaddrinfo = refused
import avow.cli, avow.worker, avow.keeper, avow.start
"""


def test_every_pain_is_answered():
    assert [number for number, *_ in ROWS] == [f"P{n}" for n in range(1, 27)]
    assert all(pain and answer for _, pain, answer in ROWS)


def test_every_test_that_is_named_exists():
    named = {name for _, _, answer in ROWS for name in re.findall(r"`(test_\w+)`", answer)}
    assert len(named) > len(ROWS) and named - TESTS == set()


def test_every_test_of_a_fault_that_is_named_exists():
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/reference/faults.md").read_text()))
    assert len(named) > 20 and named - TESTS == set()


def test_tests_that_carry_a_number_stand_in_its_row():
    for number, _, answer in ROWS:
        carried = {name for name in TESTS if name.startswith(f"test_p{int(number[1:]):02}_")}
        assert carried <= set(re.findall(r"`(test_\w+)`", answer))


def test_p16_nothing_is_fetched_when_the_program_is_loaded():
    subprocess.run([sys.executable, "-c", OFF_LINE], check=True, timeout=60)
