"""Routes of the public pages. Each answers without a cookie.

Two things are written about somebody, and only of who is signed in: their choice of cookies, and that their browser says
Global Privacy Control where that refuses what they have not refused yet (`standing`). Besides, a page sets the optional cookies
that its reader allowed, and counts pages and visits, in sums about nobody, where the reader allowed that.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, Literal

from litestar import MediaType, Response, get
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.params import QueryParameter

from avow.policy import terms, words
from avow.policy.periods import minute
from avow.proof import receipts
from avow.site import cookie_pages, log_pages, policy_pages, proof_pages, sentences
from avow.site.field_words import FIELDS
from avow.site.layout import Site, page, page_with_script
from avow.site.reader import Reading
from avow.site.registers import pick
from avow.site.words import LOCALES, WORDS

__all__ = ["ROUTES", "Site"]

REPORTS_TO = ("support", "dpo", "privacy")
"""To which of the policy's mailboxes a weakness is reported: the first that it names."""
REPORTS_READ_FOR = timedelta(days=180)
NAMED: Final = ("category_", "probe_", "verdict_")
"""How the keys of those words begin that are names of things, and no part of a page."""
_CONSENTS: Final = {**words.PURPOSES, **terms.CONSENTS}
"""A consent has a name of its own, or that of the purpose for which a category is used with it."""


@get("/", include_in_schema=False)
async def home(state: State, reader: Reading) -> Response[str]:
    """What this is, with what the checks found of its policy until now."""
    site: Site = state.site
    shown = await sentences.current(site, reader.policy)
    looked_at = max((each.at for each in shown if each.at), default=None)
    return page(
        *(site, "home.html", reader),
        count=len(shown),
        proved=sum(each.verdict in sentences.HELD for each in shown),
        failed=sum(each.verdict == "failed" for each in shown),
        looked_at=minute(looked_at, reader.locale) if looked_at else "",
    )


@get("/confirm", include_in_schema=False)
async def confirm(state: State, reader: Reading) -> Response[str]:
    """Where the message of a sign-up leads: the token stands after the #, which browsers do not send."""
    return page_with_script(state.site, "confirm", reader)


@get("/reset", include_in_schema=False)
async def reset(state: State, reader: Reading) -> Response[str]:
    """Where a forgotten password is asked for, and where the message about it leads."""
    return page_with_script(state.site, "reset", reader)


@get("/privacy/ask", include_in_schema=False)
async def ask(state: State, reader: Reading) -> Response[str]:
    """Where people without an account ask about their data, and where the message about it leads."""
    return page_with_script(state.site, "ask", reader)


@get("/status", include_in_schema=False)
async def status(state: State, reader: Reading) -> Response[str]:
    parts = await state.site.parts()
    return page(state.site, "status.html", reader, parts=list(parts.items()))


@get("/api/words")
async def read_words(locale: Annotated[Literal["en", "zh"], QueryParameter()] = "en") -> dict[str, str]:
    """What categories, purposes, consents, fields, staff roles, probes and verdicts are called in a language."""
    place = LOCALES.index(locale)
    return {
        **{name: said[place] for name, said in WORDS.items() if name.startswith(NAMED)},
        **{f"field_{name}": said[place] for name, said in FIELDS.items()},
        **{f"purpose_{name}": pick(word, locale) for name, word in words.PURPOSES.items()},
        **{f"consent_{name}": pick(word, locale) for name, word in _CONSENTS.items()},
        **{f"role_{name}": pick(word, locale) for name, word in words.STAFF.items()},
    }


@get("/healthz", include_in_schema=False, media_type=MediaType.TEXT)
async def healthz() -> str:
    """Alive: this process answers."""
    return "ok"


@get("/readyz", include_in_schema=False)
async def readyz(state: State) -> Response[dict[str, bool]]:
    """Ready: migrated, policy loaded, ledger answering; 503 and which part is missing otherwise."""
    parts = await state.site.parts()
    return Response(parts, status_code=200 if all(parts.values()) else 503)


@get("/.well-known/avow-receipt-key", include_in_schema=False)
async def receipt_key(state: State) -> dict[str, str]:
    """The public key with which anybody can check a receipt, off line, and as that of the log (`NAME+ID+KEY`)."""
    return receipts.published(state.site.signer.public_key) | {"log": str(state.site.log.key)}


@get("/.well-known/security.txt", include_in_schema=False, media_type=MediaType.TEXT)
async def security_txt(state: State) -> str:
    """Where to report a weakness (RFC 9116). 404 where the policy names no mailbox."""
    site: Site = state.site
    parts = site.policy.parts
    contacts = [parts[name] for each in REPORTS_TO if (name := f"contact.{each}") in parts]
    if not contacts:
        raise NotFoundException("The policy names no mailbox.")
    until = (site.clock.now() + REPORTS_READ_FOR).strftime("%Y-%m-%dT00:00:00Z")
    lines = (
        f"Contact: mailto:{contacts[0].values['email']}",
        f"Expires: {until}",
        "Preferred-Languages: en, zh",
        f"Canonical: {site.base_url}/.well-known/security.txt",
        f"Policy: {site.base_url}/privacy",
    )
    return "\n".join(lines) + "\n"


ROUTES = (
    *(home, confirm, reset, ask, status, read_words, healthz, readyz, receipt_key, security_txt),
    *(*policy_pages.ROUTES, *proof_pages.ROUTES, *log_pages.ROUTES, *cookie_pages.ROUTES),
)
