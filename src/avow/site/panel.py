"""The panel of choices: what is asked, in the reader's language, and what stands in the register of cookies.

One declaration, the policy's, makes the panel on every page, the page /cookies and `GET /api/cookies`.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from avow.accounts import callers
from avow.policy import Policy, asking, cookies, terms
from avow.policy.cookies import ADVERTISING, OPTED_OUT
from avow.policy.model import Keep, Part
from avow.policy.periods import en, zh
from avow.policy.words import Word
from avow.site.reader import Reader
from avow.site.registers import pick
from avow.site.words import LOCALES, WORDS, translate


@dataclass(frozen=True, slots=True)
class Entry:
    """One cookie, as people read it; `name` as their browser shows it."""

    name: str
    says: str
    setter: str
    lifetime: str
    example: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of cookies. `asked`: it needs a choice; `on`: that was given and counts; `refused`: a signal refuses it."""

    name: str
    title: str
    says: str
    notice: str
    entries: tuple[Entry, ...]
    asked: bool
    on: bool
    refused: bool

    @property
    def is_advertising(self) -> bool:
        return self.name == ADVERTISING


@dataclass(frozen=True, slots=True)
class Vendor:
    """An outside party that fills advertising, and where it lets people opt out."""

    title: str
    settings: str
    example: bool


def kinds(policy: Policy, reader: Reader) -> list[Kind]:
    """The kinds that the policy allows, the essential ones first."""
    asked, locale = cookies.asked(policy), reader.locale
    return [
        Kind(
            name=kind,
            title=translate(locale, f"cookies_kind_{kind}"),
            says=_sentence(terms.COOKIE_KINDS[kind], locale),
            notice=asking.notices(policy, cookies.consent_of(kind))[locale].text if kind in asked else "",
            entries=tuple(_entry(part, reader) for part in cookies.registered(policy, kind)),
            asked=kind in asked,
            on=kind in reader.allowed.allowed,
            refused=reader.gpc and kind in OPTED_OUT,
        )
        for kind in cookies.kinds(policy)
    ]


def of(policy: Policy, reader: Reader) -> list[Kind] | None:
    """What the panel asks; None: there is nothing to ask, or it was answered."""
    if reader.choice is not None:
        return None
    return [each for each in kinds(policy, reader) if each.asked and not each.refused] or None


def heeded(policy: Policy, reader: Reader) -> bool:
    """Whether the reader's browser says Global Privacy Control and it refuses something here."""
    return reader.gpc and bool(OPTED_OUT & {*cookies.asked(policy)})


def vendors(policy: Policy) -> list[Vendor]:
    """Who fills advertising."""
    return [
        Vendor(
            title=str(cookies.vendor(policy, ad).values["title"]),
            settings=str(ad.values.get("settings", "")),
            example=cookies.is_example(policy, ad),
        )
        for ad in policy.named("ad")
    ]


class AskedKind(msgspec.Struct):
    """A kind that is asked about. `consent` is its name among the consents, `text` what is agreed to, by language; `allowed`:
    it counts now; a signal of the browser refuses it whatever is chosen."""

    kind: str
    consent: str
    title: dict[str, str]
    text: dict[str, str]
    cookies: list[str]
    allowed: bool
    refused_by_signal: bool


class AdVendor(msgspec.Struct):
    """Who fills advertising; `settings` is where the vendor lets people opt out, or empty."""

    title: str
    settings: str


class Panel(msgspec.Struct):
    """The panel for programs. `chosen`: this browser answered what is asked now; `gpc`: it says Global Privacy Control."""

    asked: list[AskedKind]
    vendors: list[AdVendor]
    personal: bool
    chosen: bool
    gpc: bool


def told(policy: Policy, reader: Reader) -> Panel:
    """The same for programs: what is asked with its texts, what this browser chose, and whether a signal is honoured."""
    return Panel(
        asked=[_asked(policy, reader, kind) for kind in cookies.asked(policy)],
        vendors=[AdVendor(each.title, each.settings) for each in vendors(policy)],
        personal=reader.allowed.personal,
        chosen=reader.choice is not None,
        gpc=reader.gpc,
    )


def _asked(policy: Policy, reader: Reader, kind: str) -> AskedKind:
    notices = asking.notices(policy, cookies.consent_of(kind))
    return AskedKind(
        kind=kind,
        consent=cookies.consent_of(kind),
        title={locale: WORDS[f"cookies_kind_{kind}"][place] for place, locale in enumerate(LOCALES)},
        text={locale: notice.text for locale, notice in notices.items()},
        cookies=[cookies.bare(part.name) for part in cookies.registered(policy, kind)],
        allowed=kind in reader.allowed.allowed,
        refused_by_signal=reader.gpc and kind in OPTED_OUT,
    )


def _entry(part: Part, reader: Reader) -> Entry:
    name, locale = cookies.bare(part.name), reader.locale
    is_ours = f"cookie_{name}" in WORDS
    kind = terms.COOKIE_KINDS[part.values["kind"]]
    return Entry(
        name=callers.cookie_name(reader.secure, name) if is_ours else part.name,
        says=translate(locale, f"cookie_{name}") if is_ours else pick(kind, locale),
        setter=translate(locale, "set_by_others" if part.values.get("third_party") else "set_by_us"),
        lifetime=_stays(part.values["lifetime"], locale),
        example=part.placeholder,
    )


def _stays(keep: Keep, locale: str) -> str:
    if keep.kind != "period":
        return translate(locale, "until_closed")
    return zh(keep) if locale == "zh" else en(keep)


def _sentence(word: Word, locale: str) -> str:
    """What a kind is for, as a sentence of its own."""
    return f"{word.zh}。" if locale == "zh" else f"{word.en[0].upper()}{word.en[1:]}."
