"""Routes of the public pages. Each answers without a cookie, and none writes anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import MediaType, Response, get
from litestar.datastructures import State
from litestar.params import HeaderParameter, QueryParameter

from avow.policy import Policy, placeholders, published, to_json
from avow.proof import receipts
from avow.proof.evidence import Evidence
from avow.site.words import LOCALES, translate

_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _CSP,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "vary": "accept-language",
}


@dataclass(frozen=True)
class Site:
    """What the pages show: the policy in force, and how to ask for its evidence and for the parts that must answer."""

    name: str
    base_url: str
    model: str
    in_force: Callable[[], Policy]
    installed: frozenset[str]
    receipt_key: bytes
    evidence: Callable[[], Awaitable[Sequence[Evidence]]]
    parts: Callable[[], Awaitable[dict[str, bool]]]

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.in_force()


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("avow.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _text(name: str) -> str:
    """A style sheet or a script, as it stands beside the templates."""
    loader = _templates().loader
    assert loader is not None
    return loader.get_source(_templates(), name)[0]


def _locale(asked: str | None, accepted: str) -> str:
    if asked in LOCALES:
        return str(asked)
    first = accepted.partition(",")[0].strip().lower()
    return "zh" if first.startswith("zh") else "en"


def show(site: Site, template: str, asked: str | None, accepted: str, **values: Any) -> Response[str]:
    """A page of this site in the locale that was asked for, or that the browser prefers."""
    locale = _locale(asked, accepted)
    html = (
        _templates()
        .get_template(template)
        .render(
            name=site.name,
            base_url=site.base_url,
            model=site.model,
            policy_hash=site.policy.hash,
            locale=locale,
            other="en" if locale == "zh" else "zh",
            query=f"?locale={asked}" if asked in LOCALES else "",
            examples=bool(placeholders(site.policy)),
            css=_text("page.css"),
            t=partial(translate, locale),
            **values,
        )
    )
    return Response(html, media_type=MediaType.HTML, headers=_HEADERS)


def worst(verdicts: Sequence[str]) -> str:
    """One verdict for a sentence with several probes: failed before unproved before attested before proved."""
    for verdict in ("failed", "unproved", "attested"):
        if verdict in verdicts:
            return verdict
    return "proved" if verdicts else "unproved"


Locale = Annotated[str | None, QueryParameter(name="locale", max_length=8)]
Accepted = Annotated[str, HeaderParameter(name="accept-language", max_length=1000)]


@get("/", include_in_schema=False)
async def home(state: State, locale: Locale = None, accepted: Accepted = "") -> Response[str]:
    return show(state.site, "home.html", locale, accepted)


@get("/privacy", include_in_schema=False)
async def privacy(state: State, locale: Locale = None, accepted: Accepted = "") -> Response[str]:
    site: Site = state.site
    seen = {row.probe: row for row in await site.evidence()}
    chosen = _locale(locale, accepted)
    clauses = []
    for clause in published(site.policy, site.installed):
        subject = clause.id.partition(".")[2]
        named = [f"{probe}.{subject}" if f"{probe}.{subject}" in seen else probe for probe in clause.probes]
        looked = [seen[name] for name in named if name in seen]
        verdicts = [row.verdict for row in looked] + ["unproved"] * (len(clause.probes) - len(looked))
        clauses.append(
            {
                "id": clause.id,
                "sentence": clause.zh if chosen == "zh" else clause.en,
                "verdict": worst(verdicts),
                "at": min(row.at for row in looked).strftime("%Y-%m-%d %H:%M UTC") if looked else "",
            }
        )
    return show(site, "privacy.html", locale, accepted, clauses=clauses)


@get("/proof", include_in_schema=False)
async def proof(state: State, locale: Locale = None, accepted: Accepted = "") -> Response[str]:
    site: Site = state.site
    chosen = _locale(locale, accepted)
    rows = [
        {
            "probe": row.probe,
            "says": translate(chosen, f"probe_{row.probe.partition('.')[0]}"),
            "verdict": row.verdict,
            "figure": row.figure,
            "at": row.at.strftime("%Y-%m-%d %H:%M UTC"),
        }
        for row in await site.evidence()
    ]
    return show(site, "proof.html", locale, accepted, evidence=rows)


@get("/confirm", include_in_schema=False)
async def confirm(state: State, locale: Locale = None, accepted: Accepted = "") -> Response[str]:
    """Where the message of a sign-up leads: the token stands after the #, which browsers do not send."""
    return _with_script(state.site, "confirm", locale, accepted)


@get("/reset", include_in_schema=False)
async def reset(state: State, locale: Locale = None, accepted: Accepted = "") -> Response[str]:
    """Where a forgotten password is asked for, and where the message about it leads."""
    return _with_script(state.site, "reset", locale, accepted)


def _with_script(site: Site, name: str, locale: str | None, accepted: str) -> Response[str]:
    """A page whose one script is named to the browser by its hash; it may call this site and nothing else."""
    script = _text(f"{name}.js")
    page = show(site, f"{name}.html", locale, accepted, script=script)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page.headers["content-security-policy"] = f"{_CSP}; script-src 'sha256-{digest}'; connect-src 'self'"
    return page


@get("/status", include_in_schema=False)
async def status(state: State, locale: Locale = None, accepted: Accepted = "") -> Response[str]:
    parts = await state.site.parts()
    return show(state.site, "status.html", locale, accepted, parts=list(parts.items()))


@get("/healthz", include_in_schema=False, media_type=MediaType.TEXT)
async def healthz() -> str:
    """Alive: this process answers."""
    return "ok"


@get("/readyz", include_in_schema=False)
async def readyz(state: State) -> Response[dict[str, bool]]:
    """Ready: migrated, policy loaded, ledger answering; 503 and which part is missing otherwise."""
    parts = await state.site.parts()
    return Response(parts, status_code=200 if all(parts.values()) else 503)


@get("/.well-known/avow-policy.json", include_in_schema=False)
async def policy_json(state: State) -> Response[str]:
    site: Site = state.site
    return Response(
        to_json(site.policy, site.installed), media_type=MediaType.JSON, headers={"cache-control": "no-cache"}
    )


@get("/.well-known/avow-receipt-key", include_in_schema=False)
async def receipt_key(state: State) -> dict[str, str]:
    """The public key with which anybody can check a receipt, off line."""
    return receipts.published(state.site.receipt_key)


ROUTES = (home, privacy, proof, confirm, reset, status, healthz, readyz, policy_json, receipt_key)
