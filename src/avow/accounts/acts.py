"""What is an act: each route that changes something says what it puts on the record, or why nothing. `avow.commands` says it
of each command.

A route without a line here stops the start, as one without a line in `permissions` does; a test calls every route and runs
every command that names an act, and looks for its line on the record. An act is recorded in the transaction that carries
it out, so there is never the one without the other. Openings are recorded by the vault and need no line.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from avow.accounts.needs import Needs
from avow.base.actor import Actor
from avow.base.errors import AvowError, NotFound
from avow.base.recorded import READS, Silent
from avow.vault import Act

NOBODY: Final = Silent("nobody is known yet, and nothing of anybody is changed")
OPENS: Final = Silent("showing who one is opens what it is compared with, and the vault records the opening")
BEGINS: Final = Silent("it only begins; what comes of it is recorded when it is finished")

SAID: Final = Silent("what somebody says about their data stands in standing, with its time, and is only ever added to")
CHOSEN: Final = Silent("of somebody signed in it stands in standing; of others nothing is stored")

ROUTES: Final[Mapping[str, str | Silent]] = {
    "POST /api/auth/signup": "open account",
    "POST /api/auth/confirm": "confirm address",
    "POST /api/auth/login": OPENS,
    "POST /api/auth/logout": Silent("it ends the session that asks, and no other"),
    "POST /api/auth/reset": BEGINS,
    "POST /api/auth/reset/finish": "reset password",
    "POST /api/auth/passkey/begin": NOBODY,
    "POST /api/auth/passkey": OPENS,
    "POST /api/auth/step-up": OPENS,
    "POST /api/keys/leaked": "revoke leaked key",
    "POST /api/invitations/accept": "join",
    "PATCH /api/me": "rectify",
    "POST /api/me/password": "change password",
    "DELETE /api/me/sessions": "end sessions",
    "DELETE /api/me/sessions/{session_id}": "end sessions",
    "POST /api/me/second-factor": BEGINS,
    "POST /api/me/second-factor/confirm": "add second factor",
    "POST /api/me/second-factor/recovery-codes": "renew recovery codes",
    "POST /api/me/second-factor/remove": "remove second factor",
    "POST /api/me/passkeys/begin": BEGINS,
    "POST /api/me/passkeys": "add passkey",
    "DELETE /api/me/passkeys/{passkey_id}": "remove passkey",
    "POST /api/me/identities": BEGINS,
    "GET /api/auth/provider/callback": "link identity",
    "DELETE /api/me/identities/{identity_id}": "unlink identity",
    "POST /api/privacy/requests": Silent("the request is its own record, and is kept longer than this one"),
    "POST /api/privacy/outside": NOBODY,
    "POST /api/privacy/outside/prove": Silent(
        "the request is its own record, and belongs to nobody who has an account"
    ),
    "PUT /api/privacy/consents/{name}": SAID,
    "DELETE /api/privacy/consents/{name}": SAID,
    "POST /cookies": CHOSEN,
    "PUT /api/cookies": CHOSEN,
    "DELETE /api/privacy/standing/objections/{purpose}": SAID,
    "DELETE /api/privacy/standing/restriction": SAID,
    "POST /api/me/acceptance": Silent("an acceptance is its own record, with the version and the time"),
    "POST /api/me/notices/{id}/dismiss": Silent("it hides a notice from the person who has read it; the notice stays"),
    "POST /api/keys": "create key",
    "PATCH /api/keys/{key_id}": "change key",
    "POST /api/keys/{key_id}/rotate": "rotate key",
    "DELETE /api/keys/{key_id}": "revoke key",
    "DELETE /api/requests": "delete content",
    "DELETE /api/requests/{request_id}": "delete content",
    "POST /api/filter/decisions/{decision_id}/appeal": Silent(
        "the complaint that it makes is its own record, and is kept longer than this one"
    ),
    "POST /api/projects": "make project",
    "PATCH /api/projects/{project_id}": "change project",
    "PUT /api/projects/{project_id}/limits": "limit project",
    "PATCH /api/tenant": "ask to keep",
    "PATCH /api/tenant/members/{member_id}": "change role",
    "DELETE /api/tenant/members/{member_id}": "change role",
    "POST /api/tenant/leave": "change role",
    "POST /api/tenant/invitations": "invite",
    "DELETE /api/tenant/invitations/{invitation_id}": "withdraw invitation",
    "POST /api/desk/requests": Silent("it shows ids, kinds and dates, and opens nothing"),
    "POST /api/desk/requests/open": READS,
    "POST /api/desk/requests/answer": "request succeeded",
    "POST /api/desk/limits": "set limit",
    "POST /api/desk/account": "look at account",
    "POST /api/desk/credit": "grant credit",
    "PATCH /api/desk/upstreams": "change upstream",
    "PATCH /api/desk/models/routes": "change route",
    "POST /api/desk/prices": "set price",
    "POST /api/desk/evidence": "add evidence",
    "POST /api/desk/evidence/withdraw": "withdraw evidence",
    "POST /api/desk/jobs/retry": "retry job",
    "POST /api/desk/probes": "run probes",
    "POST /api/desk/policy/check": READS,
    "POST /api/desk/policy/plans": "plan policy",
    "POST /api/desk/policy/plans/{id}/approve": "approve policy",
    "POST /api/desk/policy/plans/{id}/apply": "apply policy",
    "POST /api/desk/incidents/{id}/close": "close incident",
    "POST /api/desk/register": "make register entry",
    "POST /api/desk/register/{name}/approve": "approve register entry",
    "POST /api/desk/people": "find by address",
    "POST /api/desk/open": "look",
    "POST /api/desk/openings": "search record",
}
"""Every route that is no GET, and the GET that changes something. A search of the record without a person in mind, and an
opening that found boxes, stand there as openings do."""


class ActUndeclared(AvowError):
    """Nothing says what a route puts on the record."""

    code = "act_undeclared"
    hint = "Give each a line in avow/accounts/acts.py: the word of its act, or Silent(why)."


def check(routes: Iterable[str]) -> None:
    """Refuse to start with a route that changes something and has no line. Raises ActUndeclared."""
    silent = sorted(route for route in routes if not route.startswith("GET ") and route not in ROUTES)
    if silent:
        raise ActUndeclared(f"Nothing says what goes on the record at {', '.join(silent)}.")


async def note(
    needs: Needs, connection: AsyncConnection, who: Actor, word: str, *, by: Actor | None = None, **more: Any
) -> None:
    """Put what somebody (or another, `by`) did to their account on their record, in the transaction that does it.

    `more` as in `Act`.

    Raises NotFound for an actor that is nobody in particular.
    """
    if who.tenant_id is None or who.subject_id is None:
        raise NotFound
    await needs.vault.record_act(connection, Act(by or who, word, who.tenant_id, who.subject_id, **more))
