"""Where a request comes from: another site may not act with a visitor's cookie.

Every browser of the last years says `Sec-Fetch-Site`; the others say `Origin` with a form or a script. The rule is the
one that Go 1.25 ships as CrossOriginProtection: methods that change nothing pass; `same-origin` and `none` pass, any
other `Sec-Fetch-Site` is refused; without it an `Origin` must name the host that was called; without both the caller
is no browser and no cookie was sent without its will. No token has to be carried through forms.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from avow.base.errors import AvowError

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class CrossSite(AvowError):
    """This request comes from another site."""

    status = 403
    code = "cross_site"
    hint = "Send it from a page of this address, or with an API key and without a browser."


def check(method: str, headers: Mapping[str, str]) -> None:
    """Refuse a state-changing request that another site sent; header names are in lower case. Raises CrossSite."""
    if method in SAFE:
        return
    site = headers.get("sec-fetch-site")
    if site is not None:
        if site not in ("same-origin", "none"):
            raise CrossSite
        return
    origin = headers.get("origin")
    if origin is not None and not is_same_host(origin, headers.get("host", "")):
        raise CrossSite


def is_same_host(origin: str, host: str) -> bool:
    """Tell whether an Origin names the host (with its port) that was called; `null` names none."""
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
