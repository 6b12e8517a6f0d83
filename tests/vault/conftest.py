"""A ring in a folder of its own, and the moment at which the tests of this folder play."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from avow.vault.ring import Ring


@pytest.fixture
def noon() -> datetime:
    return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keyring"


@pytest.fixture
def ring(folder: Path) -> Iterator[Ring]:
    opened = Ring(folder / "ring.db")
    yield opened
    opened.close()
