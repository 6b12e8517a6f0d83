"""Routes of cookies and choices: the page /cookies with its form, which needs no script, the same for programs, and what is
said of Global Privacy Control under /.well-known/gpc.json.

A choice is kept in this browser, in an essential cookie that names nobody; of somebody signed in it is a consent on their
record too, with the text that the panel showed them.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from litestar import MediaType, Response, get, post, put
from litestar.datastructures import State
from litestar.params import JSONBody

from avow.accounts import callers
from avow.accounts.needs import Needs
from avow.accounts.sessions import NotSignedIn
from avow.accounts.surface import AnyRequest
from avow.base.errors import BadInput
from avow.policy import Policy, asking, cookies
from avow.policy.cookies import CHOICES, LANGUAGE, OPTED_OUT, PERSONAL, VISIT, Choice
from avow.privacy import consents, versions
from avow.privacy.standings import Whose
from avow.site import panel
from avow.site.layout import COOKIES, Site, page
from avow.site.panel import Panel
from avow.site.reader import Reader, Reading
from avow.site.words import LOCALES

ANSWERS: Final = ("reject", "save", "accept")
_BACK = re.compile(r"/(?:[A-Za-z0-9._~-][A-Za-z0-9._~/-]{0,200})?(?:\?[A-Za-z0-9._~=&-]{0,200})?")
"""A page of this site, by its path and query: never another host, whatever a browser makes of slashes."""


class NewChoice(msgspec.Struct, forbid_unknown_fields=True):
    """What is allowed of what is asked; all else is refused. `personal`: advertising may be suited to this person.

    `locale` is the language in which it was shown.
    """

    allowed: list[str]
    personal: bool = False
    locale: str = "en"


@get("/cookies", include_in_schema=False)
async def cookies_page(request: AnyRequest, state: State, reader: Reading) -> Response[str]:
    """Every cookie of the register, and the choice of those that are not essential."""
    site: Site = state.site
    return page(
        *(site, COOKIES, reader),
        kinds=panel.kinds(reader.policy, reader),
        vendors=panel.vendors(reader.policy),
        asked=any(each.asked and not each.refused for each in panel.kinds(reader.policy, reader)),
        personal=reader.allowed.personal,
        chosen=reader.choice is not None,
        gpc=reader.gpc,
        signed_in=reader.consented is not None,
    )


@post("/cookies", include_in_schema=False, status_code=303)
async def choose(request: AnyRequest, state: State, reader: Reading) -> Response[None]:
    """Take the choice of the form, and lead back to where it was made. Raises BadInput."""
    policy = reader.policy
    given = dict(parse_qsl((await request.body()).decode("ascii", "replace"), keep_blank_values=True))
    answer, locale, back = (given.get(name, "") for name in ("answer", "locale", "back"))
    if answer not in ANSWERS:
        raise BadInput("A choice is to reject, to save or to accept.", param="answer")
    wanted = Choice(frozenset(given) & {*cookies.asked(policy)}, PERSONAL in given)
    choice = {"reject": cookies.NOTHING, "save": wanted, "accept": cookies.everything(policy)}[answer]
    await _record(request, policy, reader, choice, locale if locale in LOCALES else reader.locale)
    headers = {"location": back if _BACK.fullmatch(back) else "/cookies", "cache-control": "no-store"}
    return _kept(Response(None, status_code=303, headers=headers), policy, reader, choice)


@get("/api/cookies")
async def read_choice(state: State, reader: Reading) -> Response[Panel]:
    """What is asked about cookies, with its texts, what this browser chose, and whether its signal is honoured."""
    return Response(panel.told(reader.policy, reader), headers={"cache-control": "no-store"})


@put("/api/cookies", status_code=204)
async def put_choice(request: AnyRequest, data: JSONBody[NewChoice], state: State, reader: Reading) -> Response[None]:
    """Choose which kinds of cookies are allowed, in this browser and, for who is signed in, on their record."""
    policy = reader.policy
    if unknown := sorted({*data.allowed} - {*cookies.asked(policy)}):
        raise BadInput(f"Nobody asks about {unknown[0][:40]!r} here.", param="allowed")
    if data.locale not in LOCALES:
        raise BadInput(f"The languages are {' and '.join(LOCALES)}.", param="locale")
    choice = Choice(frozenset(data.allowed), data.personal)
    await _record(request, policy, reader, choice, data.locale)
    return _kept(Response(None, status_code=204, headers={"cache-control": "no-store"}), policy, reader, choice)


@get("/.well-known/gpc.json", include_in_schema=False, media_type=MediaType.JSON)
async def gpc_json(state: State) -> dict[str, Any]:
    """That Global Privacy Control is honoured, since the policy in force (the GPC specification, §4)."""
    async with state.site.database.begin() as c:
        now = await versions.current(c)
    return {"gpc": True, "lastUpdate": f"{now.effective_at:%Y-%m-%d}"}


ROUTES = (cookies_page, choose, read_choice, put_choice, gpc_json)


def _kept(answer: Response[None], policy: Policy, reader: Reader, choice: Choice) -> Response[None]:
    """An answer after which the browser has the choice, and no optional cookie that it refuses."""
    answer.set_cookie(reader.cookie(cookies.write(policy, choice), CHOICES))
    allowed = cookies.honoured(choice, gpc=reader.gpc).allowed
    for name in (LANGUAGE, VISIT):
        if name in reader.brought and cookies.kind_of(policy, name) not in allowed:
            answer.set_cookie(reader.cookie("", name, 0))
    return answer


async def _record(request: AnyRequest, policy: Policy, reader: Reader, choice: Choice, locale: str) -> None:
    """Put the choice of somebody signed in on their record, kind by kind; what their browser's signal refuses is there."""
    accounts: Needs = request.app.state.accounts
    try:
        found = await callers.find_current(request, accounts)
    except NotSignedIn:
        return
    whose = Whose(found.tenant_id, found.subject_id)
    async with accounts.database.tenant(whose.tenant_id) as c:
        for kind in cookies.asked(policy):
            if reader.gpc and kind in OPTED_OUT:
                continue
            name, given = cookies.consent_of(kind), kind in choice.allowed
            notice, now = asking.notices(policy, name)[locale], accounts.clock.now()
            maker = accounts.consent_receipts
            await consents.say(c, accounts.vault, maker, whose, name, now, given=given, how="panel", notice=notice)
