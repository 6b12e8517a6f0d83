"""The queue of jobs, in a schema of its own.

The statements are those of the pinned pgqueuer. A later release that wants another schema refuses to start on this one
and needs a revision of its own.
"""

from typing import Any

from alembic import op
from pgqueuer.adapters.persistence import schema_ddl

from avow.base import access, jobs

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    _run(schema_ddl.render_install(jobs.settings()))
    _run(
        f"""
        REVOKE ALL ON SCHEMA {jobs.SCHEMA} FROM PUBLIC;
        GRANT USAGE ON SCHEMA {jobs.SCHEMA} TO {access.KEEPER}, {access.BACKUP};
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {jobs.SCHEMA} TO {access.KEEPER};
        GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {jobs.SCHEMA} TO {access.KEEPER};
        GRANT SELECT ON ALL TABLES IN SCHEMA {jobs.SCHEMA} TO {access.BACKUP};
        GRANT SELECT ON ALL SEQUENCES IN SCHEMA {jobs.SCHEMA} TO {access.BACKUP};
        GRANT EXECUTE ON FUNCTION {jobs.SCHEMA}.fn_pgqueuer_changed() TO {access.KEEPER};
        GRANT SELECT ON alembic_version TO {access.BACKUP};
        GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {access.BACKUP};
        ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON SEQUENCES TO {access.BACKUP};
        """
    )


def _run(statements: str) -> None:
    """Run several statements at once, which SQLAlchemy's own `execute` cannot do over asyncpg."""
    adapted: Any = op.get_bind().connection.dbapi_connection
    adapted.run_async(lambda connection: connection.execute(statements))
