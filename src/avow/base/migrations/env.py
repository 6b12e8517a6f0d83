"""Runs the migrations on the connection that `base.migrate` hands over, inside its transaction."""

from alembic import context

from avow.catalog import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
