"""What every reader of strangers' bytes makes of its seeds and of what `make fuzz` found wrong once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS

FOUND = Path(__file__).parent / "found"


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_and_what_was_found(name: str) -> None:
    for data in (*TARGETS[name].seeds, *(path.read_bytes() for path in sorted((FOUND / name).glob("*")))):
        TARGETS[name].read(data)
