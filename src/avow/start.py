"""`avow up` and `avow serve`: from a home folder to a running process tree, and back.

Every step can be done twice and may be interrupted: a start after kill -9 takes up what the last one left.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert

from avow import app, demo, keeper, server, supervisor, worker
from avow.app import Parts
from avow.base import access, log
from avow.base.db import Database
from avow.base.errors import AvowError
from avow.base.migrate import migrate
from avow.base.postgres import Cluster
from avow.base.tables import policy_epoch, policy_version
from avow.billing import credit
from avow.engines import llm
from avow.gateway import offers
from avow.gateway.offers import Offer
from avow.gateway.tables import model
from avow.policy import placeholders
from avow.proof import probes
from avow.supervisor import Child, Ready, Reaped

ENGINE = "engine"
ENGINE_OFFER = Offer(
    id=llm.MODEL,
    upstream=ENGINE,
    their_name=llm.MODEL,
    context_tokens=llm.CONTEXT_TOKENS,
    output_tokens_max=llm.OUTPUT_TOKENS_MAX,
    input_nano=50_000_000,
    output_nano=100_000_000,
)
"""What the embedded model costs until the operator says otherwise: 0.05 per million tokens in, 0.10 out."""


class Undeclared(AvowError):
    """Something in the database or in the home is declared nowhere."""

    code = "undeclared"
    hint = (
        "Move files that are not Avow's out of AVOW_HOME (a backup belongs elsewhere), drop columns that no version of Avow "
        "made; in a slice of your own, say what a table or path holds with catalog.table or catalog.store."
    )


class PolicyChanged(AvowError):
    """The policy was changed without counting its version up."""

    code = "policy_changed"
    hint = (
        "Raise `version` in the policy file: facts remember under which version they were collected. To try another "
        "policy, give it a home of its own with AVOW_HOME."
    )


def run(parts: Parts) -> int:
    """Start everything, keep it running until Ctrl-C, stop it; returns the exit status."""
    os.umask(0o077)
    supervisor.claim(parts.home)
    listening = server.listen(parts.settings.host, parts.settings.port)
    worker.handlers()
    _refuse_examples(parts)
    for note in app.check(parts):
        log.say(f"avow: not published: {note}")
    reaped = Reaped()
    if parts.cluster:
        parts.cluster.start()
    try:
        asyncio.run(prepare(parts))
        children = _children(parts, listening, reaped)
        return supervisor.run(children, on_ready=lambda: _greet(parts), on_reaped=reaped.tell)
    finally:
        if parts.cluster:
            parts.cluster.stop()


def _refuse_examples(parts: Parts) -> None:
    """A demo may show an example's name and address; in production they would be published as the operator's."""
    found = [] if parts.demo else placeholders(parts.policy)
    if found:
        lines = "\n".join(f"{parts.policy.source}:{each.line}: {each.path} is an example." for each in found)
        raise app.PolicyUnfit(lines, hint="Write your own in their place, and remove placeholder = true.")


async def prepare(parts: Parts) -> None:
    """Roles, tables, functions; then the policy in force. Before any traffic."""
    await migrate(parts.admin, {role: parts.password(role) for role in access.LOGIN_ROLES})
    keeper = parts.database(access.KEEPER)
    try:
        await _record_policy(parts, keeper)
        async with keeper.begin() as c:
            await credit.set_first(c, app.DEMO_CREDIT if parts.demo else 0)
        silent, _ = await probes.undeclared(keeper, parts.home)
        if silent:
            raise Undeclared(f"Nobody declared what these hold about people: {', '.join(silent[:10])}.")
        if parts.settings.engine:
            await _offer_engine(parts, keeper)
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


async def _offer_engine(parts: Parts, keeper: Database) -> None:
    async with keeper.begin() as c:
        await offers.put_engine(c, ENGINE)
        if await c.scalar(select(model.c.id).where(model.c.id == llm.MODEL)) is None:
            await offers.put_model(c, ENGINE_OFFER, parts.clock.now())


def _children(parts: Parts, listening: socket.socket, reaped: Reaped) -> list[Child]:
    def child(name: str, start: Callable[[Ready], None], **how: Any) -> Child:
        def begin(ready: Ready) -> None:
            log.set_up(parts.home / "log", name)
            start(ready)

        return Child(name, begin, **how)

    numbers = range(parts.settings.worker_count)
    children = [child(f"worker {n}", lambda ready: worker.run(parts, listening, ready)) for n in numbers]
    children.append(child("keeper", lambda ready: keeper.run(parts, reaped, ready), vital=False))
    if parts.settings.engine:
        engine = app.engine(parts)
        children.append(
            child(
                "engine",
                lambda ready: llm.serve(engine.socket_path, engine.api_key, ready.fileno()),
                wave=1,
                vital=False,
            )
        )
    if parts.cluster:
        children.append(child("postgres", _watch(parts.cluster), wave=2))
    return children


def _watch(cluster: Cluster) -> Callable[[Ready], None]:
    def watch(ready: Ready) -> None:
        ready()
        cluster.watch()

    return watch


def _greet(parts: Parts) -> None:
    if parts.demo:
        asyncio.run(demo.greet(parts))
    else:
        log.say(f"Avow is ready on {parts.settings.base_url}")
