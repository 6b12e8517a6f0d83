"""What the fault tests share: chance with a seed that a failure prints, and one Avow with an upstream that misbehaves.

After every test all money invariants hold and no hold is left. docs/reference/faults.md says which test is for which fault.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.faults import SEED
from tests.faults.ground import Ground, made_ground


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """The same choices again for whoever sets FAULTS_SEED to what a failure printed."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    if report.failed:
        report.sections.append(("seed", f"the same again: FAULTS_SEED={SEED}"))
    return report


@pytest.fixture(scope="session")
def shared_ground() -> Iterator[Ground]:
    with made_ground() as made:
        yield made


@pytest.fixture(scope="session")
def pair() -> Iterator[Ground]:
    """Two gateway workers."""
    with made_ground(workers="2") as made:
        yield made


@pytest.fixture
def ground(shared_ground: Ground) -> Iterator[Ground]:
    """With an upstream that is well again, and money that is right afterwards."""
    shared_ground.recover()
    yield shared_ground
    shared_ground.check_money()
