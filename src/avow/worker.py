"""One gateway process: `/v1` as a plain ASGI app, everything else through Litestar."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import asyncpg
import structlog
from litestar import Litestar, Router
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from avow import app, figures, server
from avow.accounts import acts, admission, callers, desk_api, members, members_api, openings_api, permissions, surface
from avow.accounts import api as accounts_api
from avow.app import Parts
from avow.base import access, log
from avow.base.db import AWAY, Database
from avow.base.metrics import Sheet
from avow.base.tables import policy_epoch
from avow.billing import api as billing_api
from avow.billing import claims, limits_api
from avow.billing import desk_api as billing_desk_api
from avow.billing.ledger import Batcher
from avow.billing.means import Means
from avow.gateway import FUNCTIONS, offers, rules, spans
from avow.gateway import api as gateway_api
from avow.gateway import desk_api as gateway_desk_api
from avow.gateway.asgi import V1, Message, Receive, Scope, Send
from avow.gateway.batch_runs import Runs
from avow.gateway.batches import Batches
from avow.gateway.cache import Cache
from avow.gateway.client import Client
from avow.gateway.completion import Gateway
from avow.gateway.decisions import Decisions
from avow.gateway.direct import Connection, Direct, Turn
from avow.gateway.files import Files
from avow.gateway.filing import Filing
from avow.gateway.rules import RuleBook
from avow.gateway.spans import Spans
from avow.gateway.upstreams import Leaving
from avow.openapi import Document
from avow.privacy import api as privacy_api
from avow.privacy import desk_api as privacy_desk_api
from avow.privacy import notices_api, outsiders_api, policy_api, versions
from avow.privacy.versions import Current
from avow.proof import desk_api as proof_desk_api
from avow.proof import evidence
from avow.proof.evidence import Evidence
from avow.proof.receipts import Receipts
from avow.registers import api as disclosures_api
from avow.registers import book as register
from avow.registers import desk_api as registers_api
from avow.registers import documents
from avow.registers.broker import Broker
from avow.site import app_build, errors, metrics, pages, signed_in
from avow.site.reader import find_reader
from avow.supervisor import Ready
from avow.vault import Vault, keys

ANSWER_S_MAX = 2.0
RECONNECT_S = 1.0
RULES_S = 1.0
COLLECT_AFTER = (10_000, 20, 20)
_PUBLIC: Final = (*pages.ROUTES, *signed_in.ROUTES, errors.errors, metrics.figures)


def run(parts: Parts, listening: socket.socket, place: str, ready: Ready) -> None:
    """Serve on the inherited socket until SIGTERM, in a place among the workers."""
    tls = server.tls(Path(parts.settings.tls_cert), Path(parts.settings.tls_key)) if parts.settings.tls else None
    front = Front(parts, place)
    server.serve(cast(Any, front), listening, ready, tls=tls, short=front.take)


class Front:
    """Sends each request where it belongs; owns what a worker opens."""

    def __init__(self, parts: Parts, place: str) -> None:
        self.parts, self.place = parts, place
        self._pages: Counter[int] = Counter()
        self.visits: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["path"].startswith("/v1/"):
            await self.v1(scope, receive, send)
        else:
            await self.platform(_as_get(scope), receive, partial(self._counted, send))

    async def _counted(self, send: Send, message: Message) -> None:
        """Send an answer of the platform on, and count it by its status."""
        if message["type"] == "http.response.start":
            self._pages[message["status"] // 100] += 1
        await send(message)

    def take(self, connection: Connection) -> Turn | None:
        """Requests that need no ASGI."""
        return self.direct.take(connection)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self) -> None:
        parts = self.parts
        self.database = parts.database(access.APP, pool_size=8)
        self.writer = parts.database(access.WRITER, pool_size=1)
        self.vault = Vault(parts.ring, parts.policy, parts.clock)
        self.current = Current(self.vault)
        self.ledger = Batcher(self.writer.raw, parts.clock, parts.home / "run" / "spool", functions=FUNCTIONS)
        self.ledger.start()
        self.accounts = app.accounts(parts, self.database, self.current)
        engine = app.engine(parts) if parts.settings.engine else None
        book = RuleBook(partial(rules.load, self.database, self.vault, engine, self.current.follow))
        await book.start()
        self.gateway = Gateway(
            *(book, self.accounts.directory, self.ledger, self.vault, Client(), parts.clock),
            *(Means(self.database), claims.of(self.database, self.vault.ring)),
            cache=Cache(self.database, self.vault, parts.clock),
            decisions=Decisions(self.database),
            spans=self._spans(),
        )
        files = Files(self.database, self.vault, parts.clock)
        self.v1: Any = V1(self.gateway, Filing(book, files, Batches(files), self.gateway.decisions))
        runs = Runs(self.gateway, files, self.accounts.directory)
        self.direct = Direct(self.gateway)
        self.platform: Any = platform(self)
        self.following = [
            asyncio.create_task(self.accounts.directory.watch()),
            asyncio.create_task(_hear_of_destroyed_keys(self.database, self.vault)),
            asyncio.create_task(_follow_rules(self.database, book)),
            asyncio.create_task(runs.go_on()),
            asyncio.create_task(figures.Telling(parts.home, self.place).go_on(self._tell)),
        ]
        if self.gateway.spans is not None:
            self.following.append(asyncio.create_task(self.gateway.spans.go_on()))
        _collect_rarely()

    def _spans(self) -> Spans | None:
        """What becomes of traces; None: there are none."""
        given, clock, policy = self.parts.settings, self.parts.clock, lambda: self.vault.policy
        if not given.otlp_endpoint:
            return None
        barred = partial(spans.barred, policy, given.otlp_endpoint, given.otlp_processor)
        http = Broker(self.database, self.vault).client("traces", timeout=spans.ANSWER_S_MAX)
        return Spans(given.otlp_endpoint, given.otlp_header, given.otlp_share, clock, http, barred)

    async def _close(self) -> None:
        await self.gateway.close()
        await self.ledger.close()
        for task in self.following:
            task.cancel()
        await asyncio.gather(*self.following, return_exceptions=True)
        with contextlib.suppress(SQLAlchemyError, OSError):
            await self.accounts.directory.write_used()
        self.vault.close()
        if self.accounts.provider is not None:
            await self.accounts.provider.close()
        await self.database.close()
        await self.writer.close()

    def _tell(self, sheet: Sheet) -> None:
        figures.tell_worker(sheet, self.gateway, self.ledger, self.accounts.passwords, self._pages, self.visits)

    async def answering(self) -> dict[str, bool]:
        """Which parts answer: the database with the policy that this process has, and the ledger."""
        found = {"database": False, "policy": False, "ledger": self.ledger.ready}
        try:
            async with asyncio.timeout(ANSWER_S_MAX), self.database.begin() as c:
                in_force = await versions.loaded_hash(c)
        except Exception:  # whatever the database does, readiness has an answer
            return found
        return {**found, "database": True, "policy": in_force == self.vault.policy.hash}

    async def evidence(self, policy_hash: str) -> list[Evidence]:
        async with self.database.begin() as c:
            return await evidence.latest(c, policy_hash, self.parts.clock.now())

    async def documents(self) -> frozenset[str]:
        """The documents that hold now: what rests on them may be published."""
        async with self.database.begin() as c:
            return await documents.valid(c, self.parts.clock.now())

    async def connected(self) -> dict[str, list[Leaving]]:
        """The outside parties at which one of our models runs, by their name in the policy, with what a client pays that
        leaves before the end of an answer."""
        async with self.database.begin() as c:
            return await offers.processors(c)


def _as_get(scope: Scope) -> Scope:
    """HEAD is answered as GET is (RFC 9110 §9.3.2): the server, which knows what was asked, sends no body."""
    return cast(Scope, {**scope, "method": "GET"}) if scope.get("method") == "HEAD" else scope


def _collect_rarely() -> None:
    """What lives as long as the worker is never looked through again, and a request leaves hardly a cycle: with its default the
    collector would cost each request some microseconds, and now and then a pause that all of them wait for."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def _follow_rules(database: Database, book: RuleBook) -> None:
    """Load new rules within a second or so: the ledger tells of them only to requests that the old ones let through."""
    while True:
        await asyncio.sleep(RULES_S)
        try:
            async with database.begin() as c:
                epoch = await c.scalar(select(policy_epoch.c.epoch)) or 0
            await book.renew(epoch)
        except AWAY as wrong:
            structlog.get_logger().warning("rules_not_followed", **log.failure(wrong))


async def _hear_of_destroyed_keys(database: Database, vault: Vault) -> None:
    """Forget destroyed keys as soon as it is told; without a connection, a key is forgotten within seconds in any case."""
    while True:
        try:
            raw = await database.raw()
            lost = asyncio.Event()
            raw.add_termination_listener(lambda _, lost=lost: lost.set())
            await keys.listen(raw, vault.ring)
            vault.ring.clear()
            await lost.wait()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await asyncio.sleep(RECONNECT_S)


def handlers() -> list[HTTPRouteHandler]:
    """The routes of every slice. Raises RouteUndeclared when the table of permissions does not know one."""
    found: list[HTTPRouteHandler] = [
        *(*_PUBLIC, *accounts_api.ROUTES, *openings_api.ROUTES, *billing_api.ROUTES, *limits_api.ROUTES),
        *(*gateway_api.ROUTES, *privacy_api.ROUTES, *privacy_desk_api.ROUTES, *members_api.ROUTES, *desk_api.ROUTES),
        *(*notices_api.ROUTES, *outsiders_api.ROUTES, *policy_api.ROUTES, *registers_api.ROUTES),
        *(*disclosures_api.ROUTES, *billing_desk_api.ROUTES, *gateway_desk_api.ROUTES, *proof_desk_api.ROUTES),
    ]
    permissions.check(admission.routes(found))
    acts.check(admission.routes(found))
    return found


def platform(front: Front) -> Litestar:
    """The platform API and the public pages."""
    parts, needs = front.parts, front.accounts
    site = pages.Site(
        name=app.NAME,
        base_url=parts.settings.base_url,
        model=app.MODEL,
        in_force=lambda: front.vault.policy,
        installed=parts.installed,
        signer=Receipts(parts.ring),
        log=parts.log,
        clock=parts.clock,
        started_at=parts.clock.now(),
        database=front.database,
        evidence=front.evidence,
        parts=front.answering,
        connected=front.connected,
        documents=front.documents,
        places=parts.places(front.vault.policy),
        app=app_build.built(app_build.folders()),
        figures=partial(figures.collect, parts.home),
        metrics_token=parts.settings.metrics_token,
        visits=front.visits,
    )
    desk = _desk(front, site.signer)
    api = [handler for handler in handlers() if handler not in _PUBLIC]
    return Litestar(
        route_handlers=[*_PUBLIC, Router("/", route_handlers=api, response_headers=surface.NO_STORE)],
        guards=[admission.admit],
        dependencies={
            **callers.dependencies(needs),
            "staff": Provide(admission.find_staff),
            "reader": Provide(find_reader),
            "privacy": Provide(lambda: desk, sync_to_thread=False),
            "home": Provide(lambda: parts.home, sync_to_thread=False),
        },
        state=State({"accounts": needs, "site": site}),
        before_request=surface.check,
        exception_handlers=errors.handlers(),
        request_max_body_size=surface.SIZE_MAX,
        openapi_config=OpenAPIConfig(
            "Avow",
            "1",
            path="/api",
            use_handler_docstrings=True,
            render_plugins=[Document(needs.secure)],
        ),
        on_app_init=[_quiet],
        debug=False,
    )


def _desk(front: Front, signer: Receipts) -> privacy_api.Desk:
    """What the routes of privacy need."""
    parts, needs = front.parts, front.accounts
    return privacy_api.Desk(
        database=front.database,
        vault=front.vault,
        clock=parts.clock,
        identity=app.identity(needs),
        leaving=members.check_erasure,
        rectify=app.rectify(needs),
        tell=app.tell(needs),
        admit=app.admit(needs),
        complete=parts.log.complete,
        sign=signer,
        base_url=parts.settings.base_url,
        installed=parts.installed,
        directed=register.directed,
    )


def _quiet(config: AppConfig) -> AppConfig:
    config.logging_config = None
    return config
