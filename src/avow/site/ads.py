"""Advertising, where the policy has it: one place on public pages that hold nothing of anybody.

The vendor's page stands in a frame of its own, is told no address it stands on, and gets a flag against personalised
advertising unless the person turned that on. Without an opt-in there is no frame and no request, and the page's
content security policy names nobody but this site. What is an example in the policy is shown as one and calls nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from avow.policy import Policy, cookies
from avow.policy.cookies import ADVERTISING, Choice
from avow.site.reader import Reader

PAGES: Final = frozenset({"home.html", "status.html", "terms.html", "changes.html"})
"""Pages of the operator's own text. None of them has a form, a prompt, an image or a person's data."""


@dataclass(frozen=True, slots=True)
class Slot:
    """`address` is the vendor's page with its flag, empty for an example; `settings` is where the vendor lets people opt out."""

    title: str
    address: str
    settings: str

    @property
    def origin(self) -> str:
        """The vendor's site, as a content security policy names it."""
        parsed = urlsplit(self.address)
        return f"{parsed.scheme}://{parsed.netloc}"


def may_show_ads(page: str, choice: Choice, gpc: bool) -> bool:
    """Whether advertising may stand on a page: of the operator's own text, for who opted in, and without the signal."""
    return page in PAGES and ADVERTISING in choice.allowed and not gpc


def slot(policy: Policy, page: str, reader: Reader) -> Slot | None:
    """What fills the place on a page; None: there is none."""
    if not policy.named("ad") or not may_show_ads(page, reader.allowed, reader.gpc):
        return None
    ad = policy.named("ad")[0]
    flag = "" if reader.allowed.personal else f"?{ad.values['non_personalised']}"
    address = "" if cookies.is_example(policy, ad) else f"{ad.values['frame']}{flag}"
    title = str(cookies.vendor(policy, ad).values["title"])
    return Slot(title, address, str(ad.values.get("settings", "")))
