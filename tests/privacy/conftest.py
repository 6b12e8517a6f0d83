"""Everything an erasure needs, on a real database and a real ring."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from avow.base.clock import FileClock
from avow.privacy.needs import Needs
from avow.vault import Ring, Vault
from tests.conftest import Databases
from tests.privacy import desks, scratch
from tests.privacy.desks import Above
from tests.privacy.scratch import Person


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


@pytest.fixture
async def vault(on: Needs) -> AsyncIterator[Vault]:
    made = Vault(on.ring, on.policy, on.clock)
    yield made
    made.close()


@pytest.fixture
def ada() -> Person:
    return Person()


@pytest.fixture
def above() -> Above:
    return Above()


@pytest.fixture
async def client(
    on: Needs, database: Databases, vault: Vault, ada: Person, above: Above
) -> AsyncIterator[AsyncTestClient[Litestar]]:
    """Somebody signed in as `ada`, whose desk is staffed by an officer."""
    async with desks.served(desks.desk(on, database, vault, above), ada, above) as made:
        yield made
