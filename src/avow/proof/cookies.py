"""Probes that visit the public pages as a browser does, before a choice of cookies, after one, and with a signal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from http.cookies import Morsel, SimpleCookie
from typing import TYPE_CHECKING, Final

import httpx

from avow.policy import Policy, cookies
from avow.policy.cookies import ESSENTIAL, OPTED_OUT
from avow.policy.model import Part
from avow.proof.evidence import Finding

if TYPE_CHECKING:
    from avow.proof.probes import Customer, Ground

TEXTS: Final = ("/", "/terms", "/status", "/privacy/changes")
"""Pages of the operator's own text: the only ones on which advertising may stand."""
PAGES: Final = (
    *TEXTS,
    *("/privacy", "/privacy/data", "/privacy/processors", "/privacy/ask", "/proof", "/cookies"),
    *("/confirm", "/reset", "/docs/errors", "/app"),
)
SAME_ORIGIN: Final = {"sec-fetch-site": "same-origin"}
GPC: Final = {"sec-gpc": "1"}
LOCALE: Final = {"locale": "en"}
LOADED: Final = re.compile(
    r"<(?:iframe|img|script|link|source|video|audio|object|embed)\b[^>]*?(?:src|href|data)=\"([^\"]+)"
)
FRAME: Final = re.compile(r'<iframe\b[^>]*?src="([^"]+)"')
SIGNAL: Final = 'class="signal"'
SLOT: Final = 'class="ad"'
AGE_S_MORE: Final = 60
"""How much an age may be above that of the register: it is counted from another moment."""


async def part_cookies(on: Ground) -> Finding:
    """Public pages set nothing before a choice and load nothing of others; signing in sets what the register calls essential.
    After a choice only the kinds that it allows are set, each for as long as the register says, and none that measures or
    advertises while the browser says Global Privacy Control."""
    wrong = list[str]()
    who = await on.canaries.newcomer()
    async with on.http() as http:
        http.headers.update(SAME_ORIGIN)
        for page in PAGES:
            wrong += _before_choice(page, await http.get(page, params=LOCALE))
        wrong += await _register_shown(on.policy, http)
        seen = await _sign_in(http, who)
        wrong += _unfit(on, seen, {ESSENTIAL})
        if (await http.get("/.well-known/gpc.json")).json().get("gpc") is not True:
            wrong.append("nothing says that Global Privacy Control is honoured")
    asked = cookies.asked(on.policy)
    if asked:
        wrong += await _chosen(on)
    if wrong:
        return Finding("failed", "; ".join(wrong[:3]))
    kinds = f", {len(asked)} kinds only once allowed" if asked else ""
    return Finding("proved", f"{len(PAGES)} pages set nothing; signing in sets {len(seen)} essential cookies{kinds}")


async def part_ads(on: Ground) -> Finding:
    """No page names another host before an opt-in or under Global Privacy Control; after it only the operator's own texts do,
    with the flag against personalised advertising unless the person chose otherwise; the vendors stand in the register."""
    wrong, slots = list[str](), [part for part in on.policy.named("ad") if not cookies.is_example(on.policy, part)]
    async with on.http() as http:
        http.headers.update(SAME_ORIGIN)
        strange = [page for page in PAGES if SLOT in (await http.get(page, params=LOCALE)).text]
        await _answer(http, answer="accept")
        for page in PAGES:
            answer = await http.get(page, params=LOCALE)
            if (SLOT in answer.text) != (page in TEXTS and bool(on.policy.named("ad"))):
                strange.append(page)
            wrong += [f"{page} loads {each}" for each in LOADED.findall(answer.text) if _is_foreign(each, page, slots)]
        plain = FRAME.findall((await http.get("/", params=LOCALE)).text)
        strange += [page for page in PAGES if SLOT in (await http.get(page, params=LOCALE, headers=GPC)).text]
        await _answer(http, answer="save", advertising="on", personal="on")
        suited = FRAME.findall((await http.get("/", params=LOCALE)).text)
        register = (await http.get("/cookies", params=LOCALE)).text
    for part in slots[:1]:
        frame, flag = part.values["frame"], part.values["non_personalised"]
        if (plain, suited) != ([f"{frame}?{flag}"], [frame]):
            wrong.append("the flag against personalised advertising is not as chosen")
    wrong += [f"advertising, or none, on {page}" for page in strange]
    wrong += [f"{name} is not on the page of cookies" for name in _vendors(on.policy) if name not in register]
    if wrong:
        return Finding("failed", "; ".join(wrong[:3]))
    where = f"on {len(TEXTS)} pages once allowed" if on.policy.named("ad") else "no vendor is configured"
    return Finding("proved", f"none on {len(PAGES)} pages before an opt-in and under the signal; {where}")


async def _chosen(on: Ground) -> list[str]:
    """What is wrong after everything was accepted, under the signal, and after everything was rejected again."""
    policy, wrong, asked = on.policy, list[str](), {*cookies.asked(on.policy)}
    async with on.http() as http:
        http.headers.update(SAME_ORIGIN)
        given = _set(await _answer(http, answer="accept"))
        wrong += _unfit(on, given, {ESSENTIAL})
        page = await http.get("/", params=LOCALE)
        wrong += _unfit(on, _set(page), asked)
        if SIGNAL in page.text:
            wrong.append("a signal is shown that nobody sent")
        under = await http.get("/", params=LOCALE, headers=GPC)
        wrong += _unfit(on, _set(under), asked - OPTED_OUT)
        if (SIGNAL in under.text) != bool(asked & OPTED_OUT):
            wrong.append("it is not shown whether the signal is honoured")
        await http.get("/", params=LOCALE)
        ended = _set(await _answer(http, answer="reject"))
        left = {cookies.kind_of(policy, each) for each in dict(http.cookies)} - {ESSENTIAL}
        wrong += [f"{kind} cookies stay after a refusal" for kind in sorted(map(str, left))]
        wrong += _unfit(on, ended, {ESSENTIAL})
        after = await http.get("/", params=LOCALE)
        wrong += _before_choice("/ after a refusal", after)
    return wrong


def _before_choice(page: str, answer: httpx.Response) -> Iterator[str]:
    if not answer.is_success and not (page == "/app" and answer.status_code == 503):
        yield f"{page} answered {answer.status_code}"
    yield from (f"{page} sets {name}" for name in _set(answer))
    yield from (f"{page} loads {each}" for each in LOADED.findall(answer.text) if _is_foreign(each, page, []))


async def _register_shown(policy: Policy, http: httpx.AsyncClient) -> list[str]:
    text = (await http.get("/cookies", params=LOCALE)).text
    missing = [part.name for part in policy.named("cookie") if cookies.bare(part.name) not in text]
    return [f"{name} is not on the page of cookies" for name in missing]


async def _sign_in(http: httpx.AsyncClient, who: Customer) -> dict[str, Morsel[str]]:
    """The cookies of signing in with a password, and of beginning it with a passkey where that is possible."""
    entered = await http.post("/api/auth/login", json={"email": who.email, "password": who.password})
    entered.raise_for_status()
    return _set(entered) | _set(await http.post("/api/auth/passkey/begin"))


async def _answer(http: httpx.AsyncClient, **fields: str) -> httpx.Response:
    return await http.post("/cookies", data={"back": "/", "locale": "en", **fields})


def _set(answer: httpx.Response) -> dict[str, Morsel[str]]:
    """The cookies that an answer sets; not those that it takes away."""
    found = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        found.load(line)
    return {name: each for name, each in found.items() if each["max-age"] != "0"}


def _unfit(on: Ground, seen: dict[str, Morsel[str]], kinds: set[str]) -> Iterator[str]:
    """What of these cookies the register does not name under one of these kinds, or names with another age."""
    for name, each in seen.items():
        keep = cookies.lifetime(on.policy, name)
        if cookies.kind_of(on.policy, name) not in kinds or keep is None:
            yield f"{name} is set and not registered as {' or '.join(sorted(kinds))}"
        elif keep.kind == "never" and (each["max-age"] or each["expires"]):
            yield f"{name} outlives its session"
        elif keep.kind != "never":
            now = on.clock.now()
            end = keep.end(now)
            if end is None or not each["max-age"] or int(each["max-age"]) > (end - now).total_seconds() + AGE_S_MORE:
                yield f"{name} stays longer than the register says"


def _is_foreign(address: str, page: str, slots: Sequence[Part]) -> bool:
    """Whether something that a page loads lies elsewhere; on a text of the operator a vendor's page may stand."""
    if not re.match(r"(?:[a-z][a-z0-9+.-]*:)?//", address):
        return False
    allowed = [part.values["frame"] for part in slots] if page in TEXTS else []
    return address.partition("?")[0] not in allowed


def _vendors(policy: Policy) -> list[str]:
    """The names of those who fill advertising, and where each lets people opt out."""
    found = list[str]()
    for part in policy.named("ad"):
        found.append(str(cookies.vendor(policy, part).values["title"]))
        found += [part.values["settings"]] if "settings" in part.values else []
    return found
