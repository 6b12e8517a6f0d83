"""The routes about ways to sign in: another password, a second factor, sessions. `fresh` is somebody signed in who showed
who they are within the last ten minutes (`POST /api/auth/step-up`)."""

from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import Response, delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from avow.accounts import callers, resets, second_factor, sessions, sign_ins
from avow.accounts.callers import Accounts, Current, Fresh, Person
from avow.accounts.second_factor import Proposed, State
from avow.accounts.sessions import ListedSession
from avow.accounts.sign_ins import SignIn
from avow.accounts.surface import AnyRequest

PAGE_MAX: Final = 100


class ResetAsked(msgspec.Struct, forbid_unknown_fields=True):
    """The address of an account whose password is to be set anew."""

    email: str


class Reset(msgspec.Struct, forbid_unknown_fields=True):
    """The token of the message, and the new password."""

    token: str
    password: str


class StepUp(msgspec.Struct, forbid_unknown_fields=True):
    """What shows once more who is there: a code of the second factor, or the password of who has none."""

    password: str = ""
    code: str = ""


class Code(msgspec.Struct, forbid_unknown_fields=True):
    """Six digits that the app shows now."""

    code: str


class Password(msgspec.Struct, forbid_unknown_fields=True):
    """The password of this account; empty where it has none."""

    password: str


class RecoveryCodes(msgspec.Struct):
    """Codes that each work once in the place of the app; never shown again."""

    recovery_codes: list[str]


class NewPassword(msgspec.Struct, forbid_unknown_fields=True):
    """The password that is to be from now on."""

    password: str


class SignInPage(msgspec.Struct):
    """Attempts, newest first; `after` asks for the next page, null: there is none. `kept`: the policy keeps such a record."""

    sign_ins: list[SignIn]
    after: UUID | None
    kept: bool


@post("/api/auth/reset", status_code=202)
async def ask_reset(request: AnyRequest, data: JSONBody[ResetAsked], accounts: Accounts) -> dict[str, str]:
    """Ask for a message with which a password is set anew; the answer is the same whether the address was known."""
    await resets.ask(accounts, data.email, callers.address(request))
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
    return callers.signed_in(accounts, await sessions.step_up(accounts, current, data.password, data.code), current.who)


@post("/api/me/password", status_code=204)
async def change_password(data: JSONBody[NewPassword], fresh: Fresh, current: Current, accounts: Accounts) -> None:
    """Set another password; one's other sessions end. Needs a step-up."""
    await resets.change(accounts, current, data.password)


@get("/api/me/sessions")
async def list_sessions(current: Current, accounts: Accounts) -> list[ListedSession]:
    """One's own sessions, oldest first: times, and from where each began as far as the policy lets that be stored."""
    return await sessions.listed(accounts, current)


@get("/api/me/sign-ins")
async def list_sign_ins(
    person: Person,
    accounts: Accounts,
    after: Annotated[UUID | None, QueryParameter()] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = PAGE_MAX,
) -> SignInPage:
    """Sign-ins to one's own account and attempts that were refused: when, by which way, how it ended, and from where as far
    as the policy lets that be stored."""
    found = await sign_ins.of(accounts, person, after, limit)
    more = found[-1].id if len(found) == limit else None
    return SignInPage(found, more, kept=bool(sign_ins.listed(accounts.policy)))


@delete("/api/me/sessions", status_code=204)
async def end_other_sessions(current: Current, accounts: Accounts) -> None:
    """End all of one's sessions but this one."""
    await sessions.end_others(accounts, current)


@delete("/api/me/sessions/{session_id:uuid}", status_code=204)
async def end_session(session_id: FromPath[UUID], current: Current, accounts: Accounts) -> None:
    """End one of one's own sessions, this one too."""
    await sessions.revoke(accounts, current, session_id)


@get("/api/me/second-factor")
async def read_second_factor(person: Person, accounts: Accounts) -> State:
    """Whether there is a second factor, since when, and how many recovery codes are left."""
    return await second_factor.read(accounts, person)


@post("/api/me/second-factor", status_code=201)
async def propose_second_factor(fresh: Fresh, accounts: Accounts) -> Proposed:
    """Begin with a second factor: the secret for an authenticator app, shown once. Needs a step-up.

    It counts only once a code of it has come back, within ten minutes.
    """
    return await second_factor.propose(accounts, fresh)


@post("/api/me/second-factor/confirm", status_code=200)
async def confirm_second_factor(
    data: JSONBody[Code], fresh: Fresh, current: Current, accounts: Accounts
) -> RecoveryCodes:
    """Show that the app works; from now on it is asked for, and other sessions end. Needs a step-up."""
    return RecoveryCodes(await second_factor.confirm(accounts, current, data.code))


@post("/api/me/second-factor/recovery-codes", status_code=200)
async def renew_recovery_codes(fresh: Fresh, accounts: Accounts) -> RecoveryCodes:
    """Make new recovery codes; the old ones are void. Needs a step-up."""
    return RecoveryCodes(await second_factor.renew_codes(accounts, fresh))


@post("/api/me/second-factor/remove", status_code=204)
async def remove_second_factor(data: JSONBody[Password], fresh: Fresh, accounts: Accounts) -> None:
    """Sign in without a second factor from now on; the password must be long enough to stand alone. Needs a step-up."""
    await second_factor.remove(accounts, fresh, data.password)


ROUTES = (
    ask_reset,
    finish_reset,
    step_up,
    change_password,
    list_sessions,
    list_sign_ins,
    end_other_sessions,
    end_session,
    read_second_factor,
    propose_second_factor,
    confirm_second_factor,
    renew_recovery_codes,
    remove_second_factor,
)
