"""Row security as the database enforces it."""

from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from avow.base import access
from tests.conftest import Databases


async def test_every_table_forces_row_security_and_every_policy_names_a_role(database: Databases) -> None:
    async with database.keeper.begin() as c:
        loose = await c.scalars(
            text(
                "SELECT relname FROM pg_class WHERE relkind IN ('r','p') AND relnamespace = 'public'::regnamespace"
                " AND NOT (relrowsecurity AND relforcerowsecurity) AND relname <> 'alembic_version'"
            )
        )
        assert loose.all() == []
        public = await c.scalars(text("SELECT tablename FROM pg_policies WHERE 'public' = ANY(roles)"))
        assert public.all() == []
        bypass = await c.scalars(
            text(
                "SELECT rolname FROM pg_roles WHERE rolname LIKE 'avow\\_%' AND rolname <> 'avow_super' AND rolbypassrls"
            )
        )
        assert bypass.all() == []


async def test_roles_may_do_only_what_the_catalog_says(database: Databases) -> None:
    async with database.app.tenant(UUID(int=1)) as c:
        assert (await c.execute(text("SELECT * FROM policy_epoch"))).rowcount >= 0
    with pytest.raises(DBAPIError):
        async with database.app.tenant(UUID(int=1)) as c:
            await c.execute(text("DELETE FROM policy_epoch"))
    with pytest.raises(DBAPIError):
        async with database.writer.begin() as c:
            await c.execute(text("SELECT * FROM policy_version"))
    assert access.OWNER not in access.LOGIN_ROLES
