"""A ring in a folder of its own, a policy, and the moment at which the tests of this folder play."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from avow.policy import Policy, parse
from avow.vault import Ring, Vault

POLICY = """
name = "test"
version = 3
features = []
claims = []

[account]
fields = ["email"]
required = ["email"]

[category.account]
fields = ["email"]
purposes = ["service"]
basis = "contract"
keep = "life of the account"
on_expiry = "delete"
on_erasure = "delete"

[category.api_content]
fields = ["request", "response"]
purposes = ["service", "history", "debugging"]
basis = "contract"
keep = "30 days"
on_expiry = "delete"
on_erasure = "delete"
staff = ["support"]

[category.usage]
fields = ["model"]
purposes = ["abuse"]
basis = "consent"
keep = "30 days"
on_expiry = "delete"
on_erasure = "delete"

[category.consent]
fields = ["kind", "purpose", "value"]
purposes = ["service"]
basis = "law"
keep = "life of the account"
on_expiry = "delete"
on_erasure = "delete"

[category.audit]
fields = ["reason", "before", "after", "actor", "role", "act", "category", "purpose", "outcome", "count"]
purposes = ["security"]
basis = "interest"
keep = "12 months"
on_expiry = "delete"
on_erasure = "delete"

[category.mail]
fields = ["recipient", "subject", "text", "purpose", "state", "attempts", "next_try_at"]
purposes = ["service", "notices"]
basis = "contract"
keep = "24 hours"
on_expiry = "delete"
on_erasure = "delete"
"""


class SetClock:
    """A clock that stands where the test sets it."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


@pytest.fixture
def noon() -> datetime:
    return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock(noon: datetime) -> SetClock:
    return SetClock(noon)


@pytest.fixture(scope="session")
def policy() -> Policy:
    return parse(POLICY)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keyring"


@pytest.fixture
def ring(folder: Path) -> Iterator[Ring]:
    opened = Ring(folder / "ring.db")
    yield opened
    opened.close()


@pytest.fixture
def vault(ring: Ring, policy: Policy, clock: SetClock) -> Iterator[Vault]:
    made = Vault(ring, policy, clock)
    yield made
    made.close()
