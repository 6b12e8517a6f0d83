"""Who reads a public page: in which language, what their browser brings of our cookies, and what of that counts.

An optional cookie counts only where this browser was asked about exactly what is set now, allowed its kind, and does not
say Global Privacy Control; for somebody signed in, only what they consent to in their account too. The stricter holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from litestar.datastructures import Cookie
from litestar.di import NamedDependency

from avow.accounts import callers
from avow.accounts.needs import Needs
from avow.accounts.sessions import NotSignedIn
from avow.accounts.surface import AnyRequest
from avow.policy import Policy, cookies
from avow.policy.cookies import CHOICES, LANGUAGE, VISIT, Choice
from avow.privacy import standings
from avow.privacy.standings import Whose
from avow.site.words import LOCALES

HEADER_CHARS_MAX: Final = 1000
ANSWERED: Final = "1"
"""What a cookie holds that says no more than that it is there."""


@dataclass(frozen=True, slots=True)
class Reader:
    """`policy` is the one from which all of a page is made; `path` is the page with its query; `asked` the language in it;
    `brought` our cookies by their bare names; `consented` what somebody signed in consents to in their account, None: nobody
    is."""

    policy: Policy
    now: datetime
    path: str
    asked: str | None
    accepted: str
    brought: Mapping[str, str]
    gpc: bool
    secure: bool
    consented: frozenset[str] | None = None

    @property
    def locale(self) -> str:
        """The language of a page: the one asked for, the one remembered, else the first that the browser names."""
        if self.asked is not None:
            return self.asked
        remembered = self.brought.get(LANGUAGE, "")
        if remembered in LOCALES and self.allows(LANGUAGE):
            return remembered
        first = self.accepted.partition(",")[0].strip().lower()
        return "zh" if first.startswith("zh") else "en"

    @property
    def choice(self) -> Choice | None:
        """What this browser chose of what is asked now; None: it has not."""
        return cookies.read(self.policy, self.brought.get(CHOICES, ""))

    @property
    def allowed(self) -> Choice:
        """What of it counts."""
        kept = cookies.honoured(self.choice or cookies.NOTHING, gpc=self.gpc)
        if self.consented is not None:
            held = self.consented
            kept = Choice(frozenset(k for k in kept.allowed if cookies.consent_of(k) in held), kept.personal)
        return cookies.only(self.policy, kept)

    def allows(self, name: str) -> bool:
        """Whether an optional cookie may be set and read."""
        return cookies.kind_of(self.policy, name) in self.allowed.allowed

    @property
    def begins_visit(self) -> bool:
        """Whether this page begins a visit of somebody who lets visits be counted."""
        return self.allows(VISIT) and VISIT not in self.brought

    def cookies(self) -> Iterator[Cookie]:
        """The optional cookies that a page sets, and takes away where they do not count any more."""
        for name in (LANGUAGE, VISIT):
            if name in self.brought and not self.allows(name):
                yield self.cookie("", name, 0)
        if self.asked is not None and self.allows(LANGUAGE) and self.brought.get(LANGUAGE) != self.asked:
            yield self.cookie(self.asked, LANGUAGE)
        if self.begins_visit:
            yield self.cookie(ANSWERED, VISIT)

    def cookie(self, value: str, name: str, age_s: int | None = None) -> Cookie:
        """A cookie that stays as long as the register says; `age_s` 0 takes it away."""
        return callers.registered(self.policy, name, value, age_s, now=self.now, secure=self.secure)


Reading = NamedDependency[Reader]


async def find_reader(request: AnyRequest, accounts: Needs) -> Reader:
    """Who reads a page, for routes that ask for `reader`."""
    policy = accounts.vault.policy
    consented = None
    if cookies.asked(policy) and callers.session_token(accounts, request):
        with suppress(NotSignedIn):
            found = await callers.find_current(request, accounts)
            whose = Whose(found.tenant_id, found.subject_id)
            async with accounts.database.tenant(whose.tenant_id) as c:
                consented = (await standings.held(c, whose, accounts.clock.now())).consented
    return of(request, accounts, policy, consented)


def stranger(request: AnyRequest) -> Reader:
    """The reader of a page that is not there: nothing optional counts for it."""
    accounts: Needs = request.app.state.accounts
    return of(request, accounts, accounts.vault.policy, frozenset(), path="/")


def of(
    request: AnyRequest, accounts: Needs, policy: Policy, consented: frozenset[str] | None, path: str | None = None
) -> Reader:
    """What a request says of its reader."""
    query = request.scope["query_string"].decode("ascii", "replace")
    asked: Any = request.query_params.get("locale")
    return Reader(
        policy=policy,
        now=accounts.clock.now(),
        path=path or f"{request.url.path}?{query}".rstrip("?"),
        asked=asked if asked in LOCALES else None,
        accepted=request.headers.get("accept-language", "")[:HEADER_CHARS_MAX],
        brought=callers.brought(accounts, request),
        gpc=callers.says_gpc(request),
        secure=accounts.secure,
        consented=consented,
    )
