"""What the policy pages list, made from the policy and the catalog: the sentences by heading, the data map, the processors.

Values only; the templates say how they look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from avow.policy import Category, Keep, Part, Policy, periods, published, terms, words
from avow.policy.words import Word
from avow.site.field_words import named
from avow.site.policy_words import SECTIONS
from avow.site.words import translate

_OF_KIND: Mapping[str, str] = {
    "sign_up": "account",
    "age": "account",
    "acceptance": "account",
    "practice": "practices",
    "consent": "practices",
    "sharing": "sharing",
    "share": "sharing",
    "processor": "sharing",
    "regions": "sharing",
    "transfer": "sharing",
    "cookies": "cookies",
    "cookie": "cookies",
    "ad": "cookies",
    "claim": "security",
    "feature": "security",
    "security": "security",
    "organisation": "security",
    "isolation": "security",
    "backup": "security",
    "billing": "payment",
    "right": "rights",
    "rights": "rights",
    "contact": "rights",
    "notice": "changes",
    "locale": "changes",
    "prevailing": "changes",
    **dict.fromkeys(("keep", "use", "end", "closing", "saved", "delete", "opt_out", "without"), "data"),
}
_OF_STATEMENT: Mapping[str, str] = {
    "no_absolute_security": "security",
    "guard_keys": "security",
    "may_change": "changes",
    "review": "changes",
    "decline": "changes",
    "cookies_browser": "cookies",
    "gpc": "cookies",
    "cookies_what": "cookies",
    "ads_opt_out": "practices",
    "not_children": "account",
    "account_bound": "data",
    "card_numbers": "payment",
}


@dataclass(frozen=True, slots=True)
class Group:
    """Sentences under one heading: `name` of `policy_words.SECTIONS`; within `data` one `category` each, where one is."""

    name: str
    category: str | None
    clauses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One category of the data map, or one processor: a title, and what is said of it, label by label.

    A value is a text or a list of texts.
    """

    id: str
    title: str
    values: tuple[tuple[str, str | Sequence[str]], ...]
    chosen: bool = False
    example: bool = False


def groups(ids: Iterable[str]) -> list[Group]:
    """The clauses in the order of the page's headings; each stands exactly once."""
    found: dict[tuple[str, str | None], list[str]] = {}
    for id in ids:
        kind, _, name = id.partition(".")
        section = _OF_STATEMENT.get(name, "about") if kind == "statement" else _OF_KIND.get(kind, "about")
        category = name if section == "data" and name in words.CATEGORIES else None
        found.setdefault((section, category), []).append(id)
    order = list(SECTIONS)
    return [Group(*key, tuple(found[key])) for key in sorted(found, key=lambda key: order.index(key[0]))]


def data_map(policy: Policy, installed: frozenset[str], locale: str) -> list[Row]:
    """One row for each category that the policy publishes here."""
    shown = {clause.id for clause in published(policy, installed)}
    return [
        _category(policy, category, installed, locale)
        for category in policy.categories.values()
        if f"keep.{category.name}" in shown
    ]


def places(known: Sequence[tuple[str, str]], locale: str) -> list[Row]:
    """Where each part of the platform stands; one row, or none where nobody said it."""
    said = [
        (f"place_{part}", pick(terms.COUNTRIES[region], locale)) for part, region in known if region in terms.COUNTRIES
    ]
    return [Row("places", translate(locale, "places"), tuple(said))] if said else []


def processors(policy: Policy, connected: Mapping[str, Sequence[str]], locale: str) -> list[Row]:
    """One row for each outside party that the policy names; `connected` are those that get content now, each with what is
    charged to who leaves before an answer's end."""
    return [_processor(part, connected.get(part.name), locale) for part in policy.named("processor")]


def paragraphs(text: str) -> list[tuple[str, str]]:
    """The operator's terms as (`h2` or `p`, text): a line that begins with # is a heading."""
    found = []
    for block in text.strip().split("\n\n"):
        line = " ".join(block.split())
        if line:
            found.append(("h2", line.lstrip("# ")) if line.startswith("#") else ("p", line))
    return found


def pick(word: Word, locale: str) -> str:
    """How a word of the policy language reads in a language, alone: English verbs and nouns keep their small letter."""
    return word.zh if locale == "zh" else word.en.rstrip(",")


def _category(policy: Policy, category: Category, installed: frozenset[str], locale: str) -> Row:
    never = category.keep.kind == "never"
    stored = [name for name in category.fields if name not in category.without]
    said: list[tuple[str, str | Sequence[str]]] = [("fields", named(stored, locale))] if stored else []
    said += [
        ("purposes", [pick(words.PURPOSES[name], locale) for name in category.purposes]),
        ("basis", pick(words.BASES[category.basis], locale)),
        ("keep", _kept(category, locale)),
    ]
    if not never:
        said += [
            ("on_expiry", pick(words.EXPIRY[category.on_expiry], locale)),
            ("on_erasure", _erased(category, locale)),
        ]
    if category.source:
        said.append(("source", translate(locale, f"source_{category.source}")))
    said += [
        ("lies_in", _regions(policy, installed, locale)),
        ("gets_it", _receivers(policy, category.name, installed, locale)),
        (
            "opened_by",
            [pick(words.STAFF[role], locale) for role in category.staff] or translate(locale, "opened_by_none"),
        ),
    ]
    title = translate(locale, f"category_{category.name}")
    return Row(f"data.{category.name}", title, tuple(said), category.operator_choice)


def _kept(category: Category, locale: str) -> str:
    keep = category.keep
    if keep.kind == "never":
        return translate(locale, "keep_never")
    if keep.kind == "life":
        return translate(locale, "keep_life")
    clock = pick(words.CLOCKS[keep.clock], locale)
    said = translate(locale, "keep_from").format(period=_period(keep, locale), clock=clock)
    return translate(locale, "keep_ask").format(period=said) if category.ask else said


def _period(keep: Keep, locale: str) -> str:
    return periods.zh(keep) if locale == "zh" else periods.en(keep)


def _erased(category: Category, locale: str) -> str:
    what = "该数据" if locale == "zh" else "it"
    return pick(words.ERASURE[category.on_erasure], locale).format(what=what)


def _regions(policy: Policy, installed: frozenset[str], locale: str) -> str | list[str]:
    """Where data lies, as far as the policy says it and the part that keeps it so is there."""
    part = policy.parts.get("regions")
    if part is None or "regions" not in installed:
        return translate(locale, "lies_unsaid")
    return [pick(terms.COUNTRIES[country], locale) for country in part.values["countries"]]


def _receivers(policy: Policy, category: str, installed: frozenset[str], locale: str) -> str | list[str]:
    named = policy.named("processor") if "processors" in installed else ()
    example = translate(locale, "verdict_example")
    found = [
        f"{part.values['title']} ({example})" if part.placeholder else str(part.values["title"])
        for part in named
        if category in part.values["categories"]
    ]
    return found or translate(locale, "gets_it_none")


def _processor(part: Part, leaving: Sequence[str] | None, locale: str) -> Row:
    values: Mapping[str, Any] = part.values
    said: list[tuple[str, str | Sequence[str]]] = [
        ("state", translate(locale, "not_connected" if leaving is None else "connected")),
        ("roles", [pick(terms.ROLES[name], locale) for name in values["roles"]]),
        ("gets", [translate(locale, f"category_{name}") for name in values["categories"]]),
        ("region", pick(terms.COUNTRIES[values["region"]], locale)),
        ("keep", _held(values["keep"], locale)),
        ("trains", translate(locale, "yes" if values["trains"] else "no")),
        ("contract", str(values["contract"])),
    ]
    if leaving:
        said.append(("leaving", [translate(locale, f"leaving_{rule}") for rule in leaving]))
    if "vetted" in values:
        spelled = periods.date_zh if locale == "zh" else periods.date_en
        said.append(("vetted", spelled(str(values["vetted"]))))
    if values.get("fields"):
        said.insert(0, ("fields", named(values["fields"], locale)))
    return Row(part.id, str(values["title"]), tuple(said), example=part.placeholder)


def _held(keep: Keep, locale: str) -> str:
    if keep.kind == "period":
        return _period(keep, locale)
    return translate(locale, "keep_never" if keep.kind == "never" else "keep_life")
