from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import pytest
import uvloop

from avow.gateway import Timeouts
from tests.certificates import make_certificate

from .house import POLICY, open_house


def pytest_asyncio_loop_factories(item):
    """The client runs on what runs in production, and on what anybody can read."""
    both = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return both if item.path.name == "test_client.py" else {"asyncio": both["asyncio"]}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> str:
    """A self-signed certificate for `localhost` with its key, in one file."""
    made = make_certificate(tmp_path_factory.mktemp("tls"), "localhost")
    both = made[0].with_name("localhost.pem")
    both.write_bytes(b"".join(each.read_bytes() for each in made))
    return str(both)


@pytest.fixture
def house_policy():
    """The policy of `house`; files with rules of their own have another."""
    return POLICY


@pytest.fixture
def is_warm():
    """See `House.is_warm`; files whose requests are mostly plain ask both ways."""
    return False


@pytest.fixture
async def house(database, tmp_path, house_policy, is_warm):
    """The gateway with all its real parts."""
    async with open_house(database, tmp_path, policy=house_policy, is_warm=is_warm) as made:
        yield made


@pytest.fixture
async def house_of_one(database, tmp_path):
    """One call per key at a time."""
    async with open_house(database, tmp_path, calls_per_key_max=1) as made:
        yield made


@pytest.fixture
async def hasty_house(database, tmp_path):
    """Upstreams have a moment to begin."""
    async with open_house(database, tmp_path, timeouts=Timeouts(first_byte_s=0.5, total_s=20)) as made:
        yield made


@pytest.fixture
async def impatient_house(database, tmp_path):
    """A client that has not read its stream within two seconds counts as gone."""
    async with open_house(database, tmp_path, stream_s_max=2.0) as made:
        yield made


@pytest.fixture
def short_folder():
    """A private folder whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="avow-g-") as folder:
        yield Path(folder)
