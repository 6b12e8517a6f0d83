"""What all public pages share: what they may ask of the platform, their language, and the frame around them."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, partial
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import MediaType, Response

from avow.base.clock import Clock
from avow.base.db import Database
from avow.base.metrics import Sheet
from avow.policy import Policy, placeholders
from avow.policy.cookies import VISIT
from avow.proof.evidence import Evidence
from avow.proof.log import Log
from avow.proof.receipts import Receipts
from avow.site import ads, panel
from avow.site.app_build import Built
from avow.site.reader import Reader
from avow.site.words import refusals, translate

_HEADERS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "vary": "accept-language, cookie, sec-gpc",
}


COOKIES: Final = "cookies.html"
"""The page with the whole register, whose form is the panel."""


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
    evidence: Callable[[str], Awaitable[Sequence[Evidence]]]
    """What each probe found last under the policy of a hash."""
    parts: Callable[[], Awaitable[dict[str, bool]]]
    connected: Callable[[], Awaitable[Mapping[str, Sequence[str]]]]
    documents: Callable[[], Awaitable[frozenset[str]]]
    places: Sequence[tuple[str, str]]
    """Each part of the platform with its country; empty where nobody said it."""
    app: Built | None
    """The signed-in app; None: it was not built here."""
    figures: Callable[[], Sheet]
    metrics_token: str = field(repr=False)
    visits: Counter[str]
    """`pages` and `visits` of those who let them be counted."""

    @property
    def policy(self) -> Policy:
        """The policy in force. Another one may come while an answer is made: a page is made from its reader's, and what has
        no reader asks once."""
        return self.in_force()

    def count(self, reader: Reader) -> None:
        """Count a page, and the visit that it begins, where the reader allowed that: two sums, and nothing of them."""
        if reader.allows(VISIT):
            self.visits.update(["pages", *(["visits"] if reader.begins_visit else [])])


def page(site: Site, template: str, reader: Reader, status: int = 200, **values: Any) -> Response[str]:
    """A page in the reader's language, with the panel of cookies where they have not chosen; `values` are for its template."""
    policy, locale = reader.policy, reader.locale
    slot = ads.slot(policy, template, reader)
    asks = None if template == COOKIES else panel.of(policy, reader)
    site.count(reader)
    html = (
        _templates()
        .get_template(template)
        .render(
            name=site.name,
            base_url=site.base_url,
            model=site.model,
            policy_hash=policy.hash,
            locale=locale,
            other="en" if locale == "zh" else "zh",
            query=f"?locale={reader.asked}" if reader.asked else "",
            examples=bool(placeholders(policy)),
            css=text("page.css"),
            t=partial(translate, locale),
            panel=asks,
            signal=panel.heeded(policy, reader),
            slot=slot,
            back=reader.path,
            **values,
        )
    )
    headers = _HEADERS | {"content-security-policy": _content_security(asks is not None or template == COOKIES, slot)}
    made = Response(html, status_code=status, media_type=MediaType.HTML, headers=headers)
    for cookie in reader.cookies():
        made.set_cookie(cookie)
    return made


def page_with_script(site: Site, name: str, reader: Reader) -> Response[str]:
    """A page whose one script is named to the browser by its hash; it may call this site and nothing else."""
    script = text(f"{name}.js")
    made = page(site, f"{name}.html", reader, script=script, refusals=refusals(reader.locale))
    made.headers["content-security-policy"] += f"; script-src {_hash(script)}; connect-src 'self'"
    return made


@cache
def text(name: str) -> str:
    """A style sheet or a script, as it stands beside the templates."""
    loader = _templates().loader
    assert loader is not None
    return loader.get_source(_templates(), name)[0]


def _content_security(with_forms: bool, slot: ads.Slot | None) -> str:
    """Nothing but our one style sheet, which is named by its hash like the scripts are; our own form where the panel is, and
    a vendor's page where somebody opted in to its advertising."""
    styles, forms = _hash(text("page.css")), "'self'" if with_forms else "'none'"
    allowed = f"default-src 'none'; style-src {styles}; img-src 'self'; base-uri 'none'; form-action {forms}; "
    frames = f"; frame-src {slot.origin}" if slot is not None and slot.address else ""
    return f"{allowed}frame-ancestors 'none'{frames}"


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
