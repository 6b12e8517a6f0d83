"""Cookies: the register that the policy declares, what it lets be asked, and what a visitor chose.

The register is `[cookies.KIND]` and `[cookie.NAME]`; `[ad.NAME]` says which vendors fill advertising. From it follow the
panel of choices, the page /cookies and what the server sets: an essential cookie because it is needed, any other only
after a choice for its kind. A choice is bound by a hash to what was asked, so a new cookie, vendor or kind asks again.
`Sec-GPC: 1` (Global Privacy Control) refuses what measures or advertises, whatever was chosen.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from avow.policy import terms
from avow.policy.canonical import of_keep
from avow.policy.model import Keep, Part, Policy

SESSION, CEREMONY, CHOICES = "avow", "avow-ceremony", "avow-choices"
LANGUAGE, VISIT = "avow-language", "avow-visit"
"""The names of the cookies that the service can set, without the prefix that they have over TLS."""
OURS: Final = (SESSION, CEREMONY, CHOICES, LANGUAGE, VISIT)
HOST: Final = "__Host-"
ESSENTIAL, ADVERTISING = "essential", "advertising"
PERSONAL: Final = "personal"
"""The switch below advertising: suited to the person."""
CONSENTS: Final = {ADVERTISING: "ads"}
OPTED_OUT: Final = frozenset({"analytics", ADVERTISING})
"""Kinds that Global Privacy Control refuses: who measures or advertises shares what is seen of people."""
OPTED_OUT_CONSENTS: Final = frozenset({"analytics", "ads", "sharing"})
OPTED_OUT_PURPOSES: Final = frozenset({"ads", "analytics"})
HASH_CHARS: Final = 16
GPC_HEADER: Final = "sec-gpc"
_WRITTEN = re.compile(r"([0-9a-f]{16})((?:\.[a-z]{1,20}){0,8})")


class Choice(NamedTuple):
    """The kinds of cookies that somebody allowed, and whether advertising may be suited to them."""

    allowed: frozenset[str] = frozenset()
    personal: bool = False


NOTHING: Final = Choice()


def consent_of(kind: str) -> str:
    """The consent that a kind of cookie needs, by its name in `consent.asked`."""
    return CONSENTS.get(kind, kind)


def bare(name: str) -> str:
    """The name of a cookie without the prefix that binds it to its host (RFC 6265bis §4.1.3)."""
    return name.removeprefix(HOST)


def find(policy: Policy, name: str) -> Part | None:
    """The entry of a cookie, with or without its prefix; None: the register does not name it."""
    return next((part for part in policy.named("cookie") if bare(part.name) == bare(name)), None)


def kind_of(policy: Policy, name: str) -> str | None:
    """The kind under which a cookie stands; None: the register does not name it."""
    part = find(policy, name)
    return None if part is None else str(part.values["kind"])


def lifetime(policy: Policy, name: str) -> Keep | None:
    """How long a cookie stays; `never`: until the browser is closed; None: the register does not name it."""
    part = find(policy, name)
    return None if part is None else part.values["lifetime"]


def registered(policy: Policy, kind: str) -> tuple[Part, ...]:
    """The cookies of a kind, in the order of the file."""
    return tuple(part for part in policy.named("cookie") if part.values["kind"] == kind)


def kinds(policy: Policy) -> tuple[str, ...]:
    """The kinds that the policy allows at all, the essential ones first."""
    return tuple(kind for kind in terms.COOKIE_KINDS if f"cookies.{kind}" in policy.parts)


def asked(policy: Policy) -> tuple[str, ...]:
    """The kinds that visitors are asked about: those not essential under which something would be set."""
    return tuple(
        kind
        for kind in kinds(policy)
        if kind != ESSENTIAL and (registered(policy, kind) or (kind == ADVERTISING and policy.named("ad")))
    )


def vendor(policy: Policy, ad: Part) -> Part:
    """The outside party that fills a place for advertising; a policy that names none does not load."""
    return policy.parts[f"processor.{ad.values['vendor']}"]


def is_example(policy: Policy, ad: Part) -> bool:
    """Whether a place for advertising, or who fills it, is only an example, so that nobody is called."""
    return ad.placeholder or vendor(policy, ad).placeholder


def unregistered(policy: Policy) -> Iterator[str]:
    """The essential cookies that the service sets and a register leaves out; none where the policy has no register."""
    if f"cookies.{ESSENTIAL}" not in policy.parts:
        return
    needed = (SESSION, CEREMONY, CHOICES) if asked(policy) else (SESSION, CEREMONY)
    yield from (name for name in needed if kind_of(policy, name) != ESSENTIAL)


def asked_hash(policy: Policy) -> str:
    """What visitors are asked, as 16 hexadecimal digits: every optional cookie with its kind and lifetime, every vendor."""
    vendors = [vendor(policy, part) for part in policy.named("ad")]
    told = {
        "kinds": {kind: [_told(part) for part in registered(policy, kind)] for kind in asked(policy)},
        "ads": [[part.name, *sorted(part.values.items())] for part in policy.named("ad")],
        "vendors": [[part.name, part.values["title"]] for part in vendors],
    }
    spelled = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(spelled.encode()).hexdigest()[:HASH_CHARS]


def _told(part: Part) -> list[object]:
    return [part.name, of_keep(part.values["lifetime"]), bool(part.values.get("third_party"))]


def read(policy: Policy, written: str) -> Choice | None:
    """The choice that a browser brings; None: there is none, it is no choice, or it was about something else."""
    found = _WRITTEN.fullmatch(written)
    if found is None or found[1] != asked_hash(policy):
        return None
    names = frozenset(found[2].split(".")[1:])
    return only(policy, Choice(names - {PERSONAL}, PERSONAL in names))


def write(policy: Policy, choice: Choice) -> str:
    """A choice as the browser keeps it: the hash of what was asked, and the kinds that were allowed."""
    kept = only(policy, choice)
    return ".".join((asked_hash(policy), *sorted(kept.allowed), *((PERSONAL,) if kept.personal else ())))


def only(policy: Policy, choice: Choice) -> Choice:
    """A choice without what nobody asked for."""
    allowed = choice.allowed & frozenset(asked(policy))
    return Choice(allowed, choice.personal and ADVERTISING in allowed)


def everything(policy: Policy) -> Choice:
    """All kinds that are asked for; advertising stays unsuited to the person, which is a switch of its own."""
    return Choice(frozenset(asked(policy)))


def says_gpc(header: str | None) -> bool:
    """Whether a browser says Global Privacy Control in the header `Sec-GPC`; `1` is the only value that there is."""
    return header == "1"


def honoured(choice: Choice, *, gpc: bool) -> Choice:
    """What is left of a choice when the browser says Global Privacy Control."""
    return Choice(choice.allowed - OPTED_OUT) if gpc else choice


def is_opted_out(consent: str) -> bool:
    """Whether a consent (`ads`, `sharing:NAME`, …) is one that Global Privacy Control refuses."""
    return consent.partition(":")[0] in OPTED_OUT_CONSENTS
