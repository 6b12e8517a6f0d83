"""Everything an erasure needs, on a real database and a real ring."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from avow.base.clock import FileClock
from avow.privacy.needs import Needs
from avow.vault import Ring
from tests.conftest import Databases
from tests.privacy import scratch


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    opened = Ring(tmp_path / "keyring" / "ring.db")
    yield opened
    opened.close()


@pytest.fixture
def clock(tmp_path: Path) -> FileClock:
    return FileClock(tmp_path / "clock")


@pytest.fixture
def on(database: Databases, ring: Ring, clock: FileClock, tmp_path: Path) -> Needs:
    return scratch.needs(database.keeper, ring, clock, tmp_path)
