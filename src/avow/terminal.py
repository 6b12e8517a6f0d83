"""What the commands have in common: how they reach the parts, show what they found, and tell what went wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import click
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from avow import app, commands, desk, settings
from avow.accounts.tables import person, tenant
from avow.base import log
from avow.base.errors import AvowError, NotFound
from avow.desk import Desk
from avow.policy import PolicyError

T = TypeVar("T")


class NeverStarted(AvowError):
    """This home has never been started, so there is nothing in it yet."""

    status = 409
    code = "never_started"
    hint = "Start it once, with the same AVOW_HOME: avow up, or avow serve."


class CallersPath(click.Path):
    """A path as the caller means it: `tools/avow` goes into the home before it runs this, and says where it was called."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return super().convert(Path(os.environ.get("CALLED_FROM", "")) / value, param, ctx)


class Commands(click.Group):
    """Shows an error of ours as its sentence and what to do next, and ends with 1."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (AvowError, PolicyError) as error:
            click.echo(f"avow: {error}", err=True)
            if error.hint:
                click.echo(f"  {error.hint}", err=True)
            sys.exit(1)
        except (OSError, DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            click.echo(f"avow: {type(error).__name__}", err=True)
            click.echo("  Does the database of this home answer? log/postgres-*.log in AVOW_HOME says more.", err=True)
            sys.exit(1)


def parts_of(context: click.Context, *, demo: bool = False, **given: Any) -> app.Parts:
    if os.geteuid() == 0:
        raise AvowError("Avow does not run as root.", hint="Run it as the system user: tools/avow, or runuser -u avow.")
    os.umask(0o077)
    return app.build(settings.read(os.environ, **given), demo=demo, **context.obj)


@asynccontextmanager
async def at_desk(context: click.Context, *, follow: bool = True) -> AsyncIterator[Desk]:
    """A desk over the database of this home; an embedded one that does not run is started for the time being.

    A command that is an act is put on the record first. Raises NeverStarted; not where nothing is there to `follow`.
    """
    parts = parts_of(context)
    log.set_up(parts.home / "log", "command")
    cluster = parts.cluster
    if follow and cluster is not None and not cluster.is_made:
        raise NeverStarted
    asleep = cluster is not None and cluster.pid() is None
    if cluster and asleep:
        await asyncio.to_thread(cluster.start)
    try:
        async with desk.opened(parts, follow=follow) as made:
            await commands.record(made, context)
            yield made
    finally:
        if cluster and asleep:
            await asyncio.to_thread(cluster.stop)


def run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def show(value: Any) -> None:
    click.echo(json.dumps(value, indent=1, ensure_ascii=False, default=str))


async def tenant_of(at: Desk, subject_id: UUID) -> UUID:
    async with at.keeper.begin() as c:
        found: UUID | None = await c.scalar(select(person.c.tenant_id).where(person.c.id == subject_id))
        # What belongs to an organisation itself has the tenant's own id as its subject.
        found = found or await c.scalar(select(tenant.c.tenant_id).where(tenant.c.tenant_id == subject_id))
    if found is None:
        raise NotFound("There is no such person.")
    return found


def credentials(email: str) -> tuple[str, str]:
    """The password and the code with which somebody shows who they are."""
    if sys.stdin.isatty():
        password = click.prompt(f"Password of {email}", hide_input=True)
        return str(password), str(
            click.prompt("Code of the second factor, if there is one", default="", show_default=False)
        )
    password, code = (sys.stdin.readline().rstrip("\n") for _ in range(2))
    return password, code
