"""The routes about ways to sign in: another password, sessions. `fresh` is somebody signed in who showed who they are
within the last ten minutes (`POST /api/auth/step-up`)."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody

from avow.accounts import callers, resets, sessions
from avow.accounts.callers import Accounts, Current, Fresh


class ResetAsked(msgspec.Struct, forbid_unknown_fields=True):
    """The address of an account whose password is to be set anew."""

    email: str


class Reset(msgspec.Struct, forbid_unknown_fields=True):
    """The token of the message, and the new password."""

    token: str
    password: str


class StepUp(msgspec.Struct, forbid_unknown_fields=True):
    """What shows once more who is there."""

    password: str


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    """The password that is to be from now on."""

    password: str


@post("/api/auth/reset", status_code=202)
async def ask_reset(data: JSONBody[ResetAsked], accounts: Accounts) -> dict[str, str]:
    """Ask for a message with which a password is set anew; the answer is the same whether the address was known."""
    await resets.ask(accounts, data.email)
    return {"detail": "If this address has an account, a message was sent to it."}


@post("/api/auth/reset/finish", status_code=204)
async def finish_reset(data: JSONBody[Reset], accounts: Accounts) -> None:
    """Set a password anew with the token of the message, once and within one hour; all sessions end.

    Where nobody had confirmed the address it is confirmed now, and all API keys end too.
    """
    await resets.take(accounts, data.token, data.password)


@post("/api/auth/step-up", status_code=200)
async def step_up(data: JSONBody[StepUp], current: Current, accounts: Accounts) -> Response[dict[str, UUID | None]]:
    """Show once more who is there; for ten minutes the session then does what a stolen cookie must not."""
    return callers.signed_in(accounts, await sessions.step_up(accounts, current, data.password), current.who)


@post("/api/me/password", status_code=204)
async def change_password(data: JSONBody[NewPassword], fresh: Fresh, current: Current, accounts: Accounts) -> None:
    """Set another password; one's other sessions end. Needs a step-up."""
    await resets.change(accounts, current, data.password)


@get("/api/me/sessions")
async def list_sessions(current: Current, accounts: Accounts) -> list[dict[str, Any]]:
    """One's own sessions, oldest first: times only, for no network address and no device is kept."""
    return [each._asdict() for each in await sessions.listed(accounts, current)]


@delete("/api/me/sessions", status_code=204)
async def end_other_sessions(current: Current, accounts: Accounts) -> None:
    """End all of one's sessions but this one."""
    await sessions.end_others(accounts, current)


@delete("/api/me/sessions/{session_id:uuid}", status_code=204)
async def end_session(session_id: FromPath[UUID], current: Current, accounts: Accounts) -> None:
    """End one of one's own sessions, this one too."""
    await sessions.revoke(accounts, current, session_id)


ROUTES = (ask_reset, finish_reset, step_up, change_password, list_sessions, end_other_sessions, end_session)
