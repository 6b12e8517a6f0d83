"""What all public pages share: what they may ask of the platform, their language, and the frame around them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from typing import Annotated, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import MediaType, Response
from litestar.params import HeaderParameter, QueryParameter

from avow.base.clock import Clock
from avow.base.db import Database
from avow.base.metrics import Sheet
from avow.policy import Policy, placeholders
from avow.proof.evidence import Evidence
from avow.proof.log import Log
from avow.proof.receipts import Receipts
from avow.site.app_build import Built
from avow.site.words import LOCALES, refusals, translate

_HEADERS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "vary": "accept-language",
}


@dataclass(frozen=True)
class Site:
    """What the pages show: the policy in force, and how to ask for its evidence and for the parts that must answer.

    `database` speaks as role `avow_app`; the pages only read. `connected` names the parties that get content now,
    `documents` those that stand behind claims now.
    `figures` are those of all processes, for whoever shows `metrics_token`; empty: nobody.
    """

    name: str
    base_url: str
    model: str
    in_force: Callable[[], Policy]
    installed: frozenset[str]
    signer: Receipts
    log: Log
    clock: Clock
    started_at: datetime
    database: Database
    evidence: Callable[[], Awaitable[Sequence[Evidence]]]
    parts: Callable[[], Awaitable[dict[str, bool]]]
    connected: Callable[[], Awaitable[Mapping[str, Sequence[str]]]]
    documents: Callable[[], Awaitable[frozenset[str]]]
    places: Sequence[tuple[str, str]]
    """Each part of the platform with its country; empty where nobody said it."""
    app: Built | None
    """The signed-in app; None: it was not built here."""
    figures: Callable[[], Sheet]
    metrics_token: str = field(repr=False)

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self.in_force()


Locale = Annotated[str | None, QueryParameter(name="locale", max_length=8)]
Accepted = Annotated[str, HeaderParameter(name="accept-language", max_length=1000)]


def locale_of(asked: str | None, accepted: str) -> str:
    """The language of a page: the one asked for, else the first that the browser names."""
    if asked in LOCALES:
        return str(asked)
    first = accepted.partition(",")[0].strip().lower()
    return "zh" if first.startswith("zh") else "en"


def page(
    site: Site, template: str, asked: str | None, accepted: str, status: int = 200, **values: Any
) -> Response[str]:
    """A page in the reader's language; `values` are for its template."""
    locale = locale_of(asked, accepted)
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
            css=text("page.css"),
            t=partial(translate, locale),
            **values,
        )
    )
    headers = _HEADERS | {"content-security-policy": _content_security()}
    return Response(html, status_code=status, media_type=MediaType.HTML, headers=headers)


def page_with_script(site: Site, name: str, asked: str | None, accepted: str) -> Response[str]:
    """A page whose one script is named to the browser by its hash; it may call this site and nothing else."""
    script = text(f"{name}.js")
    said = refusals(locale_of(asked, accepted))
    made = page(site, f"{name}.html", asked, accepted, script=script, refusals=said)
    made.headers["content-security-policy"] = f"{_content_security()}; script-src {_hash(script)}; connect-src 'self'"
    return made


@cache
def text(name: str) -> str:
    """A style sheet or a script, as it stands beside the templates."""
    loader = _templates().loader
    assert loader is not None
    return loader.get_source(_templates(), name)[0]


@cache
def _content_security() -> str:
    """Nothing but our one style sheet, which is named by its hash like the scripts are."""
    return (
        f"default-src 'none'; style-src {_hash(text('page.css'))}; img-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("avow.site"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
