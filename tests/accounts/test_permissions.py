"""One table says who may call what; every route of the running product is held against it."""

import re

import pytest
from litestar import get

from avow import worker
from avow.accounts import admission, permissions
from avow.accounts.permissions import ROUTES, RouteUndeclared

PUBLIC_ROUTES = """
GET / · GET /privacy · GET /privacy/{number} · GET /privacy/changes · GET /privacy/data · GET /privacy/processors
GET /log/checkpoint · GET /log/tile/{path} · GET /log/entries/{place}
GET /proof/verify.py · GET /api/proof/sentences · GET /api/proof/sentences/{id}
GET /terms · GET /proof · GET /status · GET /docs/errors · GET /confirm · GET /reset ·
GET /healthz · GET /readyz · GET /metrics · GET /api · GET /api/openapi.json · GET /api/{path}
GET /.well-known/avow-policy.json · GET /.well-known/avow-receipt-key · GET /.well-known/security.txt
GET /api/privacy/receipts/{id} · GET /api/privacy/receipts/{id}/progress · POST /api/auth/reset
POST /api/auth/reset/finish · POST /api/auth/passkey/begin · POST /api/auth/passkey
GET /api/auth/provider · GET /api/auth/provider/start · GET /api/auth/provider/callback · POST /api/keys/leaked
GET /app · GET /app/{path} · GET /app/assets/{name} · GET /api/evidence · GET /api/words
GET /cookies · POST /cookies · GET /api/cookies · PUT /api/cookies · GET /.well-known/gpc.json
GET /privacy/ask · POST /api/privacy/outside · POST /api/privacy/outside/prove
GET /api/auth/signup · POST /api/auth/signup
POST /api/auth/confirm · POST /api/auth/login · POST /api/auth/logout · POST /api/invitations/accept
"""


def test_these_routes_and_no_others_are_public() -> None:
    listed = {route.strip() for route in re.split(r"[·\n]", PUBLIC_ROUTES) if route.strip()}
    assert {route for route in ROUTES if permissions.is_public(route)} == listed


def test_every_line_is_a_route_of_the_product_and_every_route_has_a_line() -> None:
    made_by_litestar = {"GET /api", "GET /api/openapi.json", "GET /api/{path}"}
    assert set(admission.routes(worker.handlers())) | made_by_litestar == set(ROUTES)


def test_a_route_without_a_line_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    @get("/api/forgotten/{id:uuid}")
    async def forgotten() -> None: ...

    with pytest.raises(RouteUndeclared, match=re.escape("GET /api/forgotten/{id}")):
        permissions.check(admission.routes([forgotten]))
    monkeypatch.setattr(worker, "_PUBLIC", (forgotten,))
    with pytest.raises(RouteUndeclared):
        worker.handlers()
