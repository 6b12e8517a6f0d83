"""Work that goes on after the request: a job is a kind and an id, kept in PostgreSQL until it is done.

A job is put into the queue inside the caller's transaction, and the keeper runs it. A keeper that is killed leaves its
job behind; the next one runs it again from the start, so a job is a loop that finds out by itself how far it came.
Nothing of a person goes in: the arguments are ids, and of a failure only the class of the error is kept.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from avow.base.db import Database
from avow.base.errors import Unavailable
from avow.catalog import store

if TYPE_CHECKING:
    # Imported where a job is run: no command, and no worker of the gateway, has to wait for it.
    from pgqueuer.core.applications import PgQueuer
    from pgqueuer.domain.models import Job
    from pgqueuer.domain.settings import DBSettings

SCHEMA = "jobs"
HEARTBEAT_TIMEOUT = timedelta(seconds=30)
"""A job whose worker was silent for so long is run again by another one."""
LOG_KEEP = timedelta(days=30)
TRIES_MAX = 5
FIRST_PAUSE = timedelta(seconds=2)

store("jobs", "database", f"{SCHEMA}.*", why="jobs that wait and their log, 30 days: kinds, ids, states and times")


class Queued(msgspec.Struct):
    """A job of the queue as the desk sees it. `state`: `queued`, `picked` (it runs) or `failed`; `tries` that failed so far.
    What it is about is not told."""

    id: int
    kind: str
    state: Literal["queued", "picked", "failed"]
    tries: int
    put_at: datetime
    changed_at: datetime
    due_at: datetime


Handler = Callable[[UUID], Awaitable[None]]

# A connection that is cut amid a statement is, to the next statement, one that is still busy: InternalClientError.
_LOST = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)

_PUT = text("SELECT job_put(:kind, :id, :not_before)")
_FOUND = text("SELECT * FROM jobs_found(CAST(:state AS text), CAST(:before AS bigint), :most)")
_RETRY = text("SELECT job_retry(:id)")
_COUNTS = text("SELECT * FROM jobs_tally()")
_LATE_S = text(
    "SELECT greatest(0, extract(epoch FROM clock_timestamp() - min(execute_after)))::float8"
    " FROM jobs.pgqueuer WHERE status = 'queued'"
)


class JobFailed(Exception):
    """A job failed; of the error only its class is told, because its text may quote a person."""

    def __init__(self, kind: str, error_class: str) -> None:
        super().__init__(f"{kind}: {error_class}")
        self.kind, self.error_class = kind, error_class


def settings() -> DBSettings:
    """The names of the queue's tables."""
    from pgqueuer.domain.settings import DBSettings

    return DBSettings(db_schema=SCHEMA)


async def put(connection: AsyncConnection, kind: str, id: UUID, not_before: datetime | None = None) -> None:
    """Put a job into the queue in the caller's transaction; it is not doubled while the same one waits or runs.

    `not_before` is compared with the database server's clock.
    """
    await connection.execute(_PUT, {"kind": kind, "id": id, "not_before": not_before})


async def counts(connection: AsyncConnection) -> dict[str, int]:
    """How many jobs the queue holds, by state."""
    found: dict[str, int] = dict(tuple(row) for row in await connection.execute(_COUNTS))
    return found


async def late_s(connection: AsyncConnection) -> float:
    """For how many seconds the job that is due longest has waited, by the database server's clock."""
    return await connection.scalar(_LATE_S) or 0.0


async def listed(connection: AsyncConnection, state: str | None, before: int | None, limit: int) -> list[Queued]:
    """What the queue holds, newest first, at most `limit` behind the job `before`."""
    rows = await connection.execute(_FOUND, {"state": state, "before": before, "most": limit})
    return [Queued(*row) for row in rows]


async def retry(connection: AsyncConnection, id: int) -> bool:
    """Have a failed job tried anew; False: there is no such failed job, or the same one waits or runs already."""
    found: bool = await connection.scalar(_RETRY, {"id": id})
    return found


async def trim(connection: AsyncConnection, now: datetime) -> int:
    """Delete what the log holds from before 30 days, and failed jobs as old; return how many rows went."""
    gone = 0
    for statement in (
        "DELETE FROM jobs.pgqueuer_log WHERE created < :limit",
        "DELETE FROM jobs.pgqueuer_statistics WHERE created < :limit",
        "DELETE FROM jobs.pgqueuer WHERE status = 'failed' AND updated < :limit",
    ):
        gone += (await connection.execute(text(statement), {"limit": now - LOG_KEEP})).rowcount
    return gone


class Worker:
    """Runs jobs over one connection of its own, as the keeper.

    A failing job is tried again a few times, with growing pauses, then it is held: state `failed`, for the operator to
    see. Before that `given_up`, by the job's kind, hears of it, so that who waits for the work does not wait for ever.
    """

    def __init__(
        self,
        database: Database,
        handlers: Mapping[str, Handler],
        *,
        given_up: Mapping[str, Handler] | None = None,
        heartbeat_timeout: timedelta = HEARTBEAT_TIMEOUT,
        first_pause: timedelta = FIRST_PAUSE,
    ) -> None:
        self._database = database
        self._handlers, self._given_up = dict(handlers), dict(given_up or {})
        self._heartbeat_timeout = heartbeat_timeout
        self._first_pause = first_pause
        self._running: PgQueuer | None = None

    async def run(self) -> None:
        """Work until `stop`; jobs that run are finished first. Raises Unavailable when the connection is lost."""
        connection = await self._database.raw()
        self._running = queuer = self._queuer(connection)
        connection.add_termination_listener(lambda _: queuer.shutdown.set())
        lost = True
        try:
            with contextlib.suppress(*_LOST):
                await queuer.run(dequeue_timeout=timedelta(seconds=5), heartbeat_timeout=self._heartbeat_timeout)
                lost = connection.is_closed()
        finally:
            self._running = None
            await connection.close()
        if lost:
            raise Unavailable("The connection to the queue of jobs was lost.")

    def stop(self) -> None:
        """Take no further job; `run` returns when those that run are done."""
        if self._running is not None:
            self._running.shutdown.set()

    def _queuer(self, connection: asyncpg.Connection) -> PgQueuer:
        from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
        from pgqueuer.adapters.persistence import qb
        from pgqueuer.adapters.persistence.queries import Queries
        from pgqueuer.core.applications import PgQueuer

        driver, names = AsyncpgDriver(connection), settings()
        queries = Queries(
            driver, qb.QueryBuilderEnvironment(names), qb.QueryQueueBuilder(names), qb.QuerySchedulerBuilder(names)
        )
        queuer = PgQueuer(driver, queries=queries)
        for kind, handler in self._handlers.items():
            queuer.entrypoint(kind, on_failure="hold")(self._job(kind, handler))
        return queuer

    def _job(self, kind: str, handler: Handler) -> Callable[[Job], Awaitable[None]]:
        from pgqueuer.domain.errors import RetryRequested

        async def run(job: Job) -> None:
            id = UUID((job.payload or b"").decode())
            failed = await _class_of_failure(handler(id))
            if failed is None:
                return
            if job.attempts + 1 < TRIES_MAX:
                raise RetryRequested(self._first_pause * 4**job.attempts, failed)
            if kind in self._given_up:
                await _class_of_failure(self._given_up[kind](id))
            raise JobFailed(kind, failed)

        return run


async def _class_of_failure(work: Awaitable[None]) -> str | None:
    """Await the work; return the class name of its error. What is raised afterwards has no link to the error's text."""
    try:
        await work
    except Exception as error:
        return type(error).__name__
    return None
