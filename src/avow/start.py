"""`avow up` and `avow serve`: from a home folder to a running process tree, and back.

Every step can be done twice and may be interrupted: a start after kill -9 takes up what the last one left.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sqlalchemy import select

from avow import app, checking, demo, desk, keeper, server, supervisor, worker
from avow.app import Parts
from avow.base import access, log
from avow.base.actor import KEEPER
from avow.base.db import AWAY, Database
from avow.base.errors import AvowError
from avow.base.migrate import migrate
from avow.base.postgres import Cluster
from avow.billing import credit, prices
from avow.engines import llm
from avow.gateway import offers
from avow.gateway.offers import Offer
from avow.gateway.tables import model
from avow.policy import Policy, unpublishable
from avow.privacy import backup, renewal, versions
from avow.privacy.versions import Version, VersionUnknown
from avow.proof import probes
from avow.registers import places
from avow.supervisor import Child, Ready, Reaped
from avow.vault import Vault

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


OUTGROWN = (
    "This is the policy in force, which an older Avow took on; nothing was migrated, so that one still starts. Write what is "
    "missing into your policy file, count its version up, then, with the Avow that ran here last: avow policy plan FILE, and "
    "avow policy apply with the plan's id."
)


class UndeclaredFound(AvowError):
    """Something in the database or in the home is declared nowhere."""

    code = "undeclared"
    hint = (
        "Move files that are not Avow's out of AVOW_HOME (a backup belongs elsewhere), drop columns that no version of Avow "
        "made; in a slice of your own, say what a table or path holds with catalog.table or catalog.store."
    )


def run(parts: Parts) -> int:
    """Start everything, keep it running until Ctrl-C, stop it; returns the exit status."""
    os.umask(0o077)
    _refuse_unfit(parts, parts.policy)
    _refuse_places(parts, parts.policy)
    supervisor.claim(parts.home)
    listening = server.listen(parts.settings.host, parts.settings.port)
    worker.handlers()
    reaped = Reaped()
    if parts.cluster:
        parts.cluster.start()
    try:
        policy = asyncio.run(prepare(parts))
        _refuse_places(parts, policy)
        _refuse_unfit(parts, policy)
        if waiting := [each.part for each in checking.unconfigured(policy, parts.installed)]:
            log.say(
                f"avow: not here, so nothing is published of: {', '.join(waiting)} "
                f"(avow policy check {parts.settings.policy} says why)"
            )
        children = _children(parts, listening, reaped)
        return supervisor.run(children, on_ready=lambda: _greet(parts), on_reaped=reaped.tell)
    finally:
        if parts.cluster:
            parts.cluster.stop()


def _refuse_unfit(parts: Parts, policy: Policy, hint: str | None = None) -> None:
    """Refuse a policy that does not fit what is stored, or is not ready to be published.

    A demo may show an example's name and address, and a text without its date or terms; in production they would be
    published as the operator's. Raises PolicyUnfit.
    """
    found = [] if parts.demo else [each for each in unpublishable(policy) if each.kind == "error"]
    if found:
        raise app.PolicyUnfit("\n".join(map(str, found)))
    app.check(policy, parts.installed, hint)


def _refuse_places(parts: Parts, policy: Policy) -> None:
    """Refuse a part of the platform outside the policy's countries. Raises RegionRefused, or RegionMissing where nobody said
    where anything is: a demo may leave it open, and then publishes nothing of it."""
    places.check(policy, parts.places(policy), must_be_said=not parts.demo)


async def prepare(parts: Parts) -> Policy:
    """Roles, tables, functions; then the policy, of which the one in force is returned. Before any traffic."""
    await backup.take_place(parts.admin)
    await _refuse_outgrown(parts)
    await migrate(parts.admin, {role: parts.password(role) for role in access.LOGIN_ROLES})
    keeper = parts.database(access.KEEPER)
    try:
        await catch_up(parts, keeper)
        policy = await _begin(parts, keeper)
        async with keeper.begin() as c:
            await credit.set_first(c, app.DEMO_CREDIT if parts.demo else 0)
        silent, _ = await probes.undeclared(keeper, parts.home)
        if silent:
            raise UndeclaredFound(f"Nobody declared what these hold about people: {', '.join(silent[:10])}.")
        if parts.settings.engine:
            await _offer_engine(parts, keeper)
        return policy
    finally:
        await keeper.close()


async def _refuse_outgrown(parts: Parts) -> None:
    """Refuse a policy in force that does not name all that this Avow stores, while the database is still the older one's: once it
    is migrated, no Avow could start that takes on another. Raises PolicyUnfit, VersionUnreadable."""
    keeper = parts.database(access.KEEPER)
    try:
        async with keeper.begin() as c:
            policy = (await versions.in_force(c)).policy
    except (VersionUnknown, *AWAY):  # nothing was in force here yet, or its tables are too old to tell
        return
    finally:
        await keeper.close()
    _refuse_unfit(parts, policy, hint=OUTGROWN)


async def catch_up(parts: Parts, keeper: Database) -> None:
    """A database that came back from somewhere is brought up to what was tightened and erased since, as `avow restore` does."""
    vault = Vault(parts.ring, parts.policy, parts.clock)
    anchor = partial(desk.anchor, parts, keeper, vault, KEEPER, "bring up an older database")
    try:
        if await renewal.catch_up(desk.privacy_needs(parts, keeper, vault), anchor):
            log.say("avow: the database was older than the keyring; what was tightened or erased since holds again.")
    finally:
        vault.close()


async def _begin(parts: Parts, keeper: Database) -> Policy:
    """The policy in force; at the first start that of the settings, from then on only what was planned and applied."""
    async with keeper.begin() as c:
        held = await versions.begin(c, parts.policy, parts.policy_source, parts.clock.now())
        said = what_holds(parts.policy, await versions.current(c), await versions.upcoming(c), parts.settings.policy)
    if said:
        log.say(f"avow: {said}")
    return held.policy


def what_holds(policy: Policy, current: Version, upcoming: Sequence[Version], file: str) -> str:
    """What somebody should know who starts with `policy` from `file`, a path or a profile's name: that another version is in
    force, that one is to come, and how to plan theirs if it is newer, else how to name the one that holds. Empty: theirs is
    in force, and stays."""
    comes = [f"version {each.number} comes on {each.effective_at:%Y-%m-%d %H:%M} UTC" for each in upcoming]
    if policy.hash in {each.hash for each in (current, *upcoming)}:
        return f"version {current.number} is in force; {', '.join(comes)}." if comes else ""
    if policy.version > max(each.number for each in (current, *upcoming)):
        how = f"To see what it would change: avow policy plan {file}"
    else:
        how = 'Name its file in avow.toml: policy = "/path/FILE.toml"; avow policy show prints it.'
    until = f", until {comes[0]}" if comes else ""
    return f"{policy.source} is not what is in force: version {current.number} is{until}. {how}"


async def _offer_engine(parts: Parts, keeper: Database) -> None:
    async with keeper.begin() as c:
        await offers.put_engine(c, ENGINE)
        if await c.scalar(select(model.c.id).where(model.c.id == llm.MODEL)) is None:
            await offers.put_model(c, ENGINE_OFFER, parts.clock.now(), prices.Seal.of(parts.ring))


def _children(parts: Parts, listening: socket.socket, reaped: Reaped) -> list[Child]:
    def child(name: str, start: Callable[[Ready], None], **how: Any) -> Child:
        def begin(ready: Ready) -> None:
            log.set_up(parts.home / "log", name)
            start(ready)

        return Child(name, begin, **how)

    numbers = range(parts.settings.worker_count)
    children = [child(name, partial(worker.run, parts, listening, name)) for name in (f"worker {n}" for n in numbers)]
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
