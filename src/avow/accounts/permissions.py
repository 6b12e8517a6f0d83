"""Who may call what: one table, role by route, and nothing beside it.

Every route of every slice has a line here, or Avow does not start; what a line does not name gets 403, whoever asks. The
roles are what somebody is, not what they claim: `public` is anybody, `key` an API key; `owner`, `admin`, `member` and
`viewer` are people in their organisation, `former` one who has left it and still has their own rights; the others
are staff, who act through the routes of the desk and own nothing there. A row of another organisation is not refused
but not found (404): nobody learns that it is there.

Which staff role may *open* which category is said by the policy (`staff` of the category), and for which purposes by
`policy.words.STAFF_PURPOSES`; the vault asks both.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

from avow.base.errors import AvowError
from avow.policy import words

Roles = frozenset[str]
Role = Literal["owner", "admin", "member", "viewer"]
Standing = Literal["owner", "admin", "member", "viewer", "former"]
"""What a person is in their organisation; `former` once they have left it."""

PUBLIC: Final = frozenset({"public"})
KEY: Final = frozenset({"key"})
STAFF: Final = frozenset(words.STAFF)
MANAGING: Final = frozenset({"owner", "admin"})
WORKING: Final = MANAGING | {"member"}
BELONGING: Final = WORKING | {"viewer"}
SIGNED_IN: Final = BELONGING | {"former"} | STAFF
ALL: Final = PUBLIC | KEY | SIGNED_IN

ROUTES: Final[Mapping[str, Roles]] = {
    # Pages and facts for everybody.
    "GET /": PUBLIC,
    "GET /privacy": PUBLIC,
    "GET /privacy/{number}": PUBLIC,
    "GET /privacy/changes": PUBLIC,
    "GET /privacy/data": PUBLIC,
    "GET /privacy/processors": PUBLIC,
    "GET /privacy/ask": PUBLIC,
    "GET /cookies": PUBLIC,
    "POST /cookies": PUBLIC,
    "GET /api/cookies": PUBLIC,
    "PUT /api/cookies": PUBLIC,
    "GET /terms": PUBLIC,
    "GET /proof": PUBLIC,
    "GET /proof/verify.py": PUBLIC,
    "GET /api/proof/sentences": PUBLIC,
    "GET /api/proof/sentences/{id}": PUBLIC,
    "GET /log/checkpoint": PUBLIC,
    "GET /log/tile/{path}": PUBLIC,
    "GET /log/entries/{place}": PUBLIC,
    "GET /status": PUBLIC,
    # The app's one page and its files; what it shows, it asks for like any other client.
    "GET /app": PUBLIC,
    "GET /app/{path}": PUBLIC,
    "GET /app/assets/{name}": PUBLIC,
    "GET /api/evidence": PUBLIC,
    "GET /api/words": PUBLIC,
    "GET /docs/errors": PUBLIC,
    "GET /confirm": PUBLIC,
    "GET /reset": PUBLIC,
    "GET /healthz": PUBLIC,
    "GET /readyz": PUBLIC,
    # Whoever shows the operator's token; to others there is nothing.
    "GET /metrics": PUBLIC,
    "GET /.well-known/avow-policy.json": PUBLIC,
    "GET /.well-known/avow-receipt-key": PUBLIC,
    "GET /.well-known/security.txt": PUBLIC,
    "GET /.well-known/gpc.json": PUBLIC,
    "GET /api": PUBLIC,
    "GET /api/openapi.json": PUBLIC,
    # Where there is nothing; Litestar serves it beside its OpenAPI document.
    "GET /api/{path}": PUBLIC,
    # Who is not signed in yet, or carries a token instead.
    "GET /api/auth/signup": PUBLIC,
    "POST /api/auth/signup": PUBLIC,
    "POST /api/auth/confirm": PUBLIC,
    "POST /api/auth/login": PUBLIC,
    "POST /api/auth/logout": PUBLIC,
    "POST /api/auth/reset": PUBLIC,
    "POST /api/auth/reset/finish": PUBLIC,
    "POST /api/auth/passkey/begin": PUBLIC,
    "POST /api/auth/passkey": PUBLIC,
    "GET /api/auth/provider": PUBLIC,
    "GET /api/auth/provider/start": PUBLIC,
    "GET /api/auth/provider/callback": PUBLIC,
    "POST /api/keys/leaked": PUBLIC,
    "POST /api/invitations/accept": PUBLIC,
    "GET /api/privacy/receipts/{id}": PUBLIC,
    "GET /api/privacy/receipts/{id}/progress": PUBLIC,
    "POST /api/privacy/outside": PUBLIC,
    "POST /api/privacy/outside/prove": PUBLIC,
    # One's own account and rights, whatever one is.
    "GET /api/me": SIGNED_IN | KEY,
    "PATCH /api/me": SIGNED_IN,
    "GET /api/me/openings": SIGNED_IN,
    "GET /api/me/notices": SIGNED_IN,
    "POST /api/me/notices/{id}/dismiss": SIGNED_IN,
    "GET /api/me/acceptance": SIGNED_IN,
    "POST /api/me/acceptance": SIGNED_IN,
    "GET /api/me/acceptances": SIGNED_IN,
    "POST /api/auth/step-up": SIGNED_IN,
    "POST /api/me/password": SIGNED_IN,
    "GET /api/me/sign-ins": SIGNED_IN,
    "GET /api/me/sessions": SIGNED_IN,
    "DELETE /api/me/sessions": SIGNED_IN,
    "DELETE /api/me/sessions/{session_id}": SIGNED_IN,
    "GET /api/me/second-factor": SIGNED_IN,
    "POST /api/me/second-factor": SIGNED_IN,
    "POST /api/me/second-factor/confirm": SIGNED_IN,
    "POST /api/me/second-factor/recovery-codes": SIGNED_IN,
    "POST /api/me/second-factor/remove": SIGNED_IN,
    "POST /api/me/passkeys/begin": SIGNED_IN,
    "POST /api/me/passkeys": SIGNED_IN,
    "GET /api/me/passkeys": SIGNED_IN,
    "DELETE /api/me/passkeys/{passkey_id}": SIGNED_IN,
    "POST /api/me/identities": SIGNED_IN,
    "GET /api/me/identities": SIGNED_IN,
    "DELETE /api/me/identities/{identity_id}": SIGNED_IN,
    "POST /api/privacy/requests": SIGNED_IN,
    "GET /api/privacy/requests": SIGNED_IN,
    "GET /api/privacy/requests/{id}": SIGNED_IN,
    "GET /api/privacy/requests/{id}/copy": SIGNED_IN,
    "GET /api/privacy/disclosures": SIGNED_IN,
    "GET /api/privacy/data": SIGNED_IN,
    "GET /api/privacy/standing": SIGNED_IN,
    "DELETE /api/privacy/standing/restriction": SIGNED_IN,
    "DELETE /api/privacy/standing/objections/{purpose}": SIGNED_IN,
    "GET /api/privacy/consents": SIGNED_IN,
    "PUT /api/privacy/consents/{name}": SIGNED_IN,
    "DELETE /api/privacy/consents/{name}": SIGNED_IN,
    "GET /api/privacy/consent-records": SIGNED_IN,
    "GET /api/privacy/consent-records/{id}/receipt": SIGNED_IN,
    # Working with the API.
    "POST /api/keys": WORKING,
    "GET /api/keys": BELONGING,
    "PATCH /api/keys/{key_id}": WORKING,
    "GET /api/keys/{key_id}/use": BELONGING,
    "POST /api/keys/{key_id}/rotate": WORKING,
    "DELETE /api/keys/{key_id}": BELONGING,
    "GET /api/wallet": BELONGING | KEY,
    "GET /api/usage": BELONGING | KEY,
    "GET /api/requests": BELONGING | KEY,
    "GET /api/requests/{request_id}": BELONGING | KEY,
    "GET /api/requests/{request_id}/policy": BELONGING | KEY,
    "DELETE /api/requests": BELONGING | KEY,
    "DELETE /api/requests/{request_id}": BELONGING | KEY,
    "GET /api/filter/decisions": BELONGING | KEY,
    "POST /api/filter/decisions/{decision_id}/appeal": BELONGING,
    # The organisation.
    "POST /api/projects": MANAGING,
    "GET /api/projects": BELONGING,
    "PATCH /api/projects/{project_id}": MANAGING,
    "PUT /api/projects/{project_id}/limits": MANAGING,
    "GET /api/limits": BELONGING,
    "PATCH /api/tenant": MANAGING,
    "GET /api/tenant/members": MANAGING,
    "PATCH /api/tenant/members/{member_id}": MANAGING,
    "DELETE /api/tenant/members/{member_id}": MANAGING,
    "POST /api/tenant/leave": BELONGING,
    "POST /api/tenant/invitations": MANAGING,
    "GET /api/tenant/invitations": MANAGING,
    "DELETE /api/tenant/invitations/{invitation_id}": MANAGING,
    # The desk of the operator's staff.
    "POST /api/desk/people": STAFF - {"auditor"},
    "POST /api/desk/open": STAFF,
    "POST /api/desk/openings": frozenset({"auditor"}),
    "POST /api/desk/requests": frozenset({"privacy", "auditor"}),
    "POST /api/desk/requests/open": frozenset({"privacy"}),
    "POST /api/desk/requests/answer": frozenset({"privacy"}),
    "GET /api/desk/limits": frozenset({"operator", "auditor"}),
    "POST /api/desk/limits": frozenset({"operator"}),
    "POST /api/desk/account": frozenset({"support", "billing", "privacy", "operator"}),
    "POST /api/desk/credit": frozenset({"billing", "operator"}),
    "GET /api/desk/upstreams": frozenset({"operator", "security", "auditor"}),
    "PATCH /api/desk/upstreams": frozenset({"operator"}),
    "GET /api/desk/models": frozenset({"operator", "billing", "auditor"}),
    "PATCH /api/desk/models/routes": frozenset({"operator"}),
    "GET /api/desk/prices": frozenset({"operator", "billing", "auditor"}),
    "POST /api/desk/prices": frozenset({"operator"}),
    "GET /api/desk/evidence": frozenset({"operator", "privacy", "auditor"}),
    "POST /api/desk/evidence": frozenset({"operator"}),
    "POST /api/desk/evidence/withdraw": frozenset({"operator"}),
    "GET /api/desk/retention": frozenset({"operator", "privacy", "auditor"}),
    "GET /api/desk/jobs": frozenset({"operator", "security", "auditor"}),
    "POST /api/desk/jobs/retry": frozenset({"operator"}),
    "POST /api/desk/probes": frozenset({"operator"}),
    "GET /api/desk/policy": frozenset({"operator", "privacy", "auditor"}),
    "POST /api/desk/policy/check": frozenset({"operator", "privacy", "auditor"}),
    "POST /api/desk/policy/plans": frozenset({"operator"}),
    "GET /api/desk/policy/plans": frozenset({"operator", "privacy", "auditor"}),
    "GET /api/desk/policy/plans/{id}": frozenset({"operator", "privacy", "auditor"}),
    "POST /api/desk/policy/plans/{id}/approve": frozenset({"operator"}),
    "POST /api/desk/policy/plans/{id}/apply": frozenset({"operator"}),
    "GET /api/desk/register": frozenset({"operator", "privacy", "auditor"}),
    "POST /api/desk/register": frozenset({"operator", "privacy"}),
    "POST /api/desk/register/{name}/approve": frozenset({"operator"}),
    "GET /api/desk/ropa": frozenset({"operator", "privacy", "auditor"}),
    "GET /api/desk/incidents": frozenset({"operator", "privacy", "security", "auditor"}),
    "POST /api/desk/incidents/{id}/close": frozenset({"operator", "privacy", "security"}),
}


class NotPermitted(AvowError):
    """Your role does not allow this."""

    status = 403
    code = "not_permitted"
    hint = "Ask an owner of your organisation for another role; staff roles are given by the operator."


class RouteUndeclared(AvowError):
    """Nothing says who may call a route."""

    code = "route_undeclared"
    hint = "Give each a line in avow/accounts/permissions.py that says which roles may call it."


def check(routes: Iterable[str]) -> None:
    """Refuse to start with a route that has no line. A route reads `METHOD /path/{name}`. Raises RouteUndeclared."""
    silent = sorted(set(routes) - set(ROUTES))
    if silent:
        raise RouteUndeclared(f"Nothing says who may call {', '.join(silent)}.")


def bare(path: str) -> str:
    """A path without the types of its parameters, as the table writes it."""
    return re.sub(r":\w+}", "}", path)


def is_desk(route: str) -> bool:
    """Tell whether a route is for staff only. Raises RouteUndeclared."""
    check([route])
    return ROUTES[route] <= STAFF


def allowed(route: str, role: str) -> bool:
    """Tell whether a role may call a route. Raises RouteUndeclared."""
    check([route])
    return role in ROUTES[route]


def own_to(role: str) -> list[str]:
    """The routes that a role may call and not everybody who is signed in, by name."""
    return sorted(route for route, roles in ROUTES.items() if role in roles and not roles >= SIGNED_IN)


def is_public(route: str) -> bool:
    """Tell whether anybody may call a route. Raises RouteUndeclared."""
    return allowed(route, "public")
