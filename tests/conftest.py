"""One embedded PostgreSQL per process of a run, one database without rows per test that asks for it."""

from __future__ import annotations

import asyncio
import importlib
import os
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

import avow
from avow.base import access
from avow.base.db import Database, Dsn
from avow.base.migrate import make_database, migrate, roles
from avow.base.postgres import Cluster
from avow.catalog import metadata
from tests import homes
from tests.certificates import make_certificate
from tests.lending import Lending, connected
from tests.platform import Platform, new_platform

for _tables in sorted(Path(avow.__file__).parent.glob("*/tables.py")):
    importlib.import_module(f"avow.{_tables.parent.name}.tables")

PASSWORDS = {role: secrets.token_hex(16) for role in access.LOGIN_ROLES}


LONG_FIRST = (
    *(
        "promises",
        "faults",
        "browser",
        "proof",
        "accounts/test_roles",
        "test_start",
        "test_markers",
        "gateway/test_markers",
        "engines",
        "test_openapi",
        "test_restored",
        "imports/test_carrying",
        "mutants",
        "policy",
    ),
    *("house", "vault", "privacy", "gateway", "billing", "accounts"),
)
"""What takes longest begins first, so that no process is left with it alone at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        path = item.path.relative_to(here).as_posix()
        return next((n for n, begin in enumerate(LONG_FIRST) if path.startswith(begin)), len(LONG_FIRST))

    items.sort(key=rank)


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        homes.forget()


@dataclass(frozen=True)
class Databases:
    """The same database through each role."""

    admin: Dsn
    app: Database
    writer: Database
    keeper: Database

    def dsn(self, role: str) -> Dsn:
        return self.admin.role(role, PASSWORDS[role])


@pytest.fixture(scope="session", autouse=True)
def few_authorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A client trusts one authority, which is nobody's: to read all of the world's, for each client anew, takes longer than
    most tests' requests."""
    certificate, _ = make_certificate(tmp_path_factory.mktemp("authorities"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(certificate))
        yield


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running embedded PostgreSQL under a short temporary home."""
    if os.geteuid() == 0:
        pytest.skip("PostgreSQL does not run as root: use `make test`")
    with tempfile.TemporaryDirectory(prefix="avow-t-") as home:
        made = Cluster(Path(home), secrets.token_hex(16))
        made.start()
        asyncio.run(do_not_wait(made))
        yield made
        made.stop()


async def do_not_wait(cluster: Cluster) -> None:
    """What is written need not reach the disk: only a machine that loses its power would lose it."""
    async with connected(cluster.dsn(database="postgres")) as c:
        await c.execute("ALTER SYSTEM SET fsync = off")
        await c.execute("SELECT pg_reload_conf()")


@pytest.fixture(scope="session")
def template(cluster: Cluster) -> str:
    asyncio.run(make_schema(cluster.dsn(database="template_avow")))
    return "template_avow"


async def make_schema(admin: Dsn) -> None:
    """Migrate a new database. Tables that only tests declare have no migration: they are made before, so that row
    security is laid over them like over the others."""
    made_by_tests = [each for each in metadata.sorted_tables if each.name.startswith("scratch_")]
    await make_database(admin)
    arguments = {k: v for k, v in admin.arguments().items() if k not in ("user", "password", "database")}
    engine = create_async_engine(admin.url(), connect_args=arguments)
    async with engine.begin() as c:
        for statement in roles(PASSWORDS, admin.database):
            await c.exec_driver_sql(statement)
        await c.exec_driver_sql(f"SET LOCAL ROLE {access.OWNER}")
        await c.run_sync(metadata.create_all, tables=made_by_tests)
    await engine.dispose()
    await migrate(admin, PASSWORDS)


@pytest.fixture(scope="session")
def lending(cluster: Cluster, template: str) -> Lending:
    return Lending(cluster.dsn(), template)


@pytest.fixture
async def new_database(lending: Lending) -> None:
    """For a test that looks at how PostgreSQL plans: its database was used by none before. To be named before any other."""
    await lending.end()


@pytest.fixture(scope="session")
def lent() -> dict[str, Databases]:
    """What speaks to the database that is lent now, by its name: the statements that it compiled serve the next test too."""
    return {}


@pytest.fixture
async def database(lending: Lending, lent: dict[str, Databases]) -> AsyncIterator[Databases]:
    """A migrated database in which nothing of another test is."""
    async with lending.lent() as dsn:
        if dsn.database not in lent:
            lent.clear()
            lent[dsn.database] = Databases(dsn, *(Database(dsn.role(r, PASSWORDS[r])) for r in access.LOGIN_ROLES[:3]))
        made = lent[dsn.database]
        try:
            yield made
        finally:
            for each in (made.app, made.writer, made.keeper):
                await each.close()


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """One running Avow under the default policy, with the embedded model; tests bring people of their own."""
    if os.geteuid() == 0:
        pytest.skip("Avow does not run as root: use `make test`")
    with new_platform() as made:
        yield made.start()


@pytest.fixture(scope="session")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A running Avow with a certificate, without the embedded model."""
    certificate, key = make_certificate(tmp_path_factory.mktemp("tls"))
    with new_platform(engine="0", tls_cert=str(certificate), tls_key=str(key)) as made:
        yield made.start()
