"""`avow up` and `avow serve`: from a home folder to a running process tree, and back.

Every step can be done twice and may be interrupted: a start after kill -9 takes up what the last one left.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert

from avow import app, server, supervisor, worker
from avow.app import Parts
from avow.base import access, log
from avow.base.db import Database
from avow.base.errors import AvowError
from avow.base.migrate import migrate
from avow.base.tables import policy_epoch, policy_version
from avow.supervisor import Child, Ready


class PolicyChanged(AvowError):
    """The policy was changed without counting its version up."""

    code = "policy_changed"
    hint = "Raise `version` in the policy file: facts remember under which version they were collected."


def run(parts: Parts, *, demo: bool) -> int:
    """Start everything, keep it running until Ctrl-C, stop it; returns the exit status. `demo`: make a demo person."""
    os.umask(0o077)
    supervisor.claim(parts.home)
    listening = server.listen(parts.settings.host, parts.settings.port)
    for note in app.check(parts):
        log.say(f"avow: not published: {note}")
    if parts.cluster:
        parts.cluster.start()
    try:
        asyncio.run(prepare(parts))
        return supervisor.run(_children(parts, listening, demo), on_ready=lambda: _greet(parts, demo))
    finally:
        if parts.cluster:
            parts.cluster.stop()


async def prepare(parts: Parts) -> None:
    """Roles, tables, functions; then the policy in force. Before any traffic."""
    await migrate(parts.admin, {role: parts.password(role) for role in access.LOGIN_ROLES})
    keeper = parts.database(access.KEEPER)
    try:
        await _record_policy(parts, keeper)
    finally:
        await keeper.close()


async def _record_policy(parts: Parts, keeper: Database) -> None:
    """Write down the policy that is in force; plans of the one before are stale from now on."""
    policy = parts.policy
    async with keeper.begin() as c:
        await c.execute(insert(policy_epoch).values(id=1, epoch=1).on_conflict_do_nothing())
        known = await c.scalar(select(policy_version.c.hash).where(policy_version.c.version == policy.version))
        if known not in (None, policy.hash):
            raise PolicyChanged
        newest = await c.scalar(select(func.max(policy_version.c.version)))
        if newest is not None and newest > policy.version:
            raise PolicyChanged(
                f"Version {newest} of the policy was in force already, and this is version {policy.version}."
            )
        if known is None:
            row = {"version": policy.version, "hash": policy.hash, "source": parts.policy_source}
            await c.execute(policy_version.insert().values(**row, applied_at=parts.clock.now()))
            await c.execute(text("UPDATE policy_epoch SET epoch = epoch + 1"))


def _children(parts: Parts, listening: socket.socket, demo: bool) -> list[Child]:
    children = [
        Child(f"worker {n}", _in_log(parts, f"worker {n}", lambda ready: worker.run(parts, listening, ready)))
        for n in range(parts.settings.worker_count)
    ]
    if parts.cluster:
        children.append(Child("postgres", _in_log(parts, "postgres", _watch(parts)), wave=2))
    return children


def _watch(parts: Parts) -> Callable[[Ready], None]:
    def watch(ready: Ready) -> None:
        assert parts.cluster
        ready()
        parts.cluster.watch()

    return watch


def _in_log(parts: Parts, name: str, start: Callable[[Ready], None]) -> Callable[[Ready], None]:
    def begin(ready: Ready) -> None:
        log.set_up(parts.home / "log", name)
        start(ready)

    return begin


def _greet(parts: Parts, demo: bool) -> None:
    log.say(f"Avow is ready on {parts.settings.base_url}")
