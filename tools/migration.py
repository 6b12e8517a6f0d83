"""Writes the next migration from the difference between the tables in the code and the migrations there are.

    make migration WHAT="people may have a nickname"

Read what it wrote: a renamed column looks to it like one dropped and one added.
"""

from __future__ import annotations

import asyncio
import importlib
import re
import secrets
import sys
import tempfile
from pathlib import Path

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations.ops import CreateTableOp
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from avow.base import access
from avow.base.db import Dsn
from avow.base.migrate import migrate
from avow.base.postgres import Cluster
from avow.catalog import metadata

ROOT = Path(__file__).parents[1] / "src" / "avow"
VERSIONS = ROOT / "base" / "migrations" / "versions"


def main(what: str) -> None:
    for tables in sorted(ROOT.glob("*/tables.py")):
        importlib.import_module(f"avow.{tables.parent.name}.tables")
    with tempfile.TemporaryDirectory(prefix="avow-m-") as home:
        cluster = Cluster(Path(home), secrets.token_hex(16))
        cluster.start()
        try:
            code = asyncio.run(difference(cluster.dsn()))
        finally:
            cluster.stop()
    if code.strip() == "pass":
        sys.exit("The migrations already make what the tables say.")
    last = max(path.name[:4] for path in VERSIONS.glob("[0-9]*.py"))
    revision = f"{int(last) + 1:04d}"
    slug = re.sub(r"\W+", "_", what.lower()).strip("_")[:40]
    path = VERSIONS / f"{revision}_{slug}.py"
    path.write_text(FORM.format(what=what, revision=revision, last=last, code=code))
    print(path)


async def difference(admin: Dsn) -> str:
    """Python code of the operations that bring a migrated database to what the tables say."""
    await migrate(admin, {role: secrets.token_hex(16) for role in access.LOGIN_ROLES}, only_tables=True)
    arguments = {k: v for k, v in admin.arguments().items() if k not in ("user", "password", "database")}
    engine = create_async_engine(admin.url(), connect_args=arguments)
    async with engine.connect() as connection:
        code = await connection.run_sync(_render)
    await engine.dispose()
    return code


def _render(connection: Connection) -> str:
    context = MigrationContext.configure(connection, opts={"compare_type": True, "target_metadata": metadata})
    operations = produce_migrations(context, metadata).upgrade_ops
    assert operations is not None
    for operation in operations.ops:
        if isinstance(operation, CreateTableOp):
            operation.info = {}  # what a table holds is said in the code, and is no matter of its migration
    return render_python_code(operations, render_as_batch=False)


FORM = '''"""{what}."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "{revision}"
down_revision = "{last}"


def upgrade() -> None:
    {code}
'''


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or sys.exit(__doc__))
