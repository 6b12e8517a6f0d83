"""One gateway process: `/v1` as a plain ASGI app, everything else through Litestar."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, cast

from litestar import Litestar, Request, Response
from litestar.config.app import AppConfig
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from sqlalchemy import select

from avow import app, server
from avow.app import Parts
from avow.base import access, log
from avow.base.errors import AvowError, BadInput, NotFound
from avow.base.tables import policy_version
from avow.site.pages import Site
from avow.site.pages import routes as site_routes
from avow.supervisor import Ready

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_BYTES_MAX = 1_000_000


def run(parts: Parts, listening: socket.socket, ready: Ready) -> None:
    """Serve on the inherited socket until SIGTERM."""
    tls = server.tls(Path(parts.settings.tls_cert), Path(parts.settings.tls_key)) if parts.settings.tls else None
    server.serve(cast(Any, Front(parts)), listening, ready, tls=tls)


class Front:
    """Sends each request where it belongs; owns what a worker opens."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await self.platform(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self.database = self.parts.database(access.APP)
        self.platform: Any = platform(self.parts, self.database)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.database.close()
        await send({"type": "lifespan.shutdown.complete"})


def platform(parts: Parts, database: Any) -> Litestar:
    """The platform API and the public pages."""

    async def answering() -> dict[str, bool]:
        async def asked() -> bool:
            async with database.begin() as c:
                newest = await c.scalar(
                    select(policy_version.c.hash).order_by(policy_version.c.version.desc()).limit(1)
                )
                return bool(newest == parts.policy.hash)

        try:
            loaded = await asyncio.wait_for(asked(), 2)
        except Exception:  # whatever the database does, readiness has an answer
            return {"database": False, "policy": False, "ledger": False}
        return {"database": True, "policy": loaded, "ledger": True}

    async def evidence() -> list[Any]:
        return []

    site = Site(app.NAME, parts.settings.base_url, app.MODEL, parts.policy, parts.installed, evidence, answering)
    state = State({"site": site, "parts": parts, "clock": parts.clock, "policy": parts.policy, "database": database})
    return Litestar(
        route_handlers=[*site_routes],
        state=state,
        exception_handlers={AvowError: render, HTTPException: render_http, Exception: render_unexpected},
        openapi_config=OpenAPIConfig("Avow", "1", path="/api", render_plugins=[JsonRenderPlugin(path="/openapi.json")]),
        request_max_body_size=BODY_BYTES_MAX,
        on_app_init=[_quiet],
        debug=False,
    )


def _quiet(config: AppConfig) -> AppConfig:
    config.logging_config = None
    return config


def render(_: Request[Any, Any, Any], error: AvowError) -> Response[dict[str, Any]]:
    """An error of ours as RFC 9457 problem details."""
    return Response(
        error.problem(), status_code=error.status, headers=error.headers, media_type="application/problem+json"
    )


def render_http(request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    """An error of the framework, in our form and without echoing what was sent."""
    known: dict[int, AvowError] = {404: NotFound(), 400: BadInput("The request does not fit; see /api/openapi.json.")}
    ours = known.get(error.status_code)
    if ours:
        return render(request, ours)
    body = {"type": "about:blank", "title": type(error).__name__.removesuffix("Exception"), "status": error.status_code}
    return Response(
        body, status_code=error.status_code, headers=error.headers or {}, media_type="application/problem+json"
    )


def render_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """A fault of ours: its class and place go to the log, and neither its text nor its place to the caller."""
    import structlog

    structlog.get_logger().error("fault", route=request.scope.get("path_template", ""), **log.failure(error))
    return render(request, AvowError())
