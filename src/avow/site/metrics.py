"""`GET /metrics` for Prometheus, where the operator has set a token: only whoever shows it learns that it is there."""

from __future__ import annotations

import asyncio
import hmac

from litestar import Request, Response, get
from litestar.datastructures import State

from avow.base import metrics
from avow.base.errors import NotFound
from avow.base.metrics import OPENMETRICS, TEXT


@get("/metrics", include_in_schema=False)
async def figures(request: Request[None, None, State], state: State) -> Response[bytes]:
    """The figures of all processes, at most a second old, in the text format that the client reads."""
    given = request.headers.get("authorization", "")
    wanted = state.site.metrics_token
    if not wanted or not hmac.compare_digest(given.encode(), f"Bearer {wanted}".encode()):
        raise NotFound
    sheet = await asyncio.to_thread(state.site.figures)
    openmetrics = metrics.is_openmetrics(request.headers.get("accept", ""))
    body = metrics.text(sheet, openmetrics=openmetrics).encode()
    return Response(body, media_type=OPENMETRICS if openmetrics else TEXT, headers={"cache-control": "no-store"})
