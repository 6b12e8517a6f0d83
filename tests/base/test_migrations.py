"""The migrations make exactly the tables that the code declares."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from avow.catalog import metadata
from tests.conftest import Databases


def differences(connection: Connection) -> list[Any]:
    return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata))


async def test_the_migrations_make_what_the_tables_say(database: Databases) -> None:
    arguments = {k: v for k, v in database.admin.arguments().items() if k not in ("user", "password", "database")}
    engine = create_async_engine(database.admin.url(), connect_args=arguments)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()
