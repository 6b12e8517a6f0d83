from __future__ import annotations

import asyncio
import datetime
import tempfile
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from avow.gateway import Timeouts

from .house import open_house


def pytest_asyncio_loop_factories(item):
    """The client runs on what runs in production, and on what anybody can read."""
    both = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return both if item.path.name == "test_client.py" else {"asyncio": both["asyncio"]}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> str:
    """A self-signed certificate for `localhost` with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "localhost.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return str(path)


@pytest.fixture
async def house(database, tmp_path):
    """The gateway with all its real parts."""
    async with open_house(database, tmp_path) as made:
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
