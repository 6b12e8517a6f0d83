"""A policy as a page of text in one language, and what keeps a policy from being published.

The sentences of both languages stand beside each other in the words of the language, so none can lack its peer; `gaps`
checks that all the same.
"""

import json
from dataclasses import dataclass

from avow.policy import terms
from avow.policy.clauses import published
from avow.policy.model import Clause, Policy, Problem, digest
from avow.policy.periods import date_en, date_zh
from avow.policy.placeholders import placeholders

LOCALES = tuple(terms.LOCALES)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One published sentence with the clause that it comes from."""

    clause: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """The text of a policy in one language.

    `date`: when this text was last changed, as people write it; None: the policy gives none for this language.
    `note`: which language counts, where the policy names one and it is not this. `stale`: languages whose text has
    another date. `text_hash`: SHA-256 (hex) over the language, the date and the sentences.
    """

    locale: str
    date: str | None
    note: str | None
    stale: tuple[str, ...]
    sentences: tuple[Sentence, ...]
    text_hash: str


class LocaleMissing(KeyError):
    """There is no text in this language."""


def render(
    policy: Policy, locale: str, installed: frozenset[str] = frozenset(), evidence: frozenset[str] = frozenset()
) -> Page:
    """The page of `policy` in `locale` where the parts `installed` are and the documents `evidence` are valid.

    Raises LocaleMissing for a language that has no sentences.
    """
    if locale not in LOCALES:
        raise LocaleMissing(f"There is no text in {locale!r}; known are {', '.join(LOCALES)}.")
    sentences = tuple(Sentence(c.id, _text(c, locale)) for c in published(policy, installed, evidence))
    date = _date(policy, locale)
    spelled = None if date is None else date_en(date) if locale == "en" else date_zh(date)
    whole = json.dumps([locale, date, [[s.clause, s.text] for s in sentences]], ensure_ascii=False)
    return Page(locale, spelled, _note(policy, locale), stale(policy), sentences, digest(whole))


def _text(clause: Clause, locale: str) -> str:
    return clause.zh if locale == "zh" else clause.en


def _date(policy: Policy, locale: str) -> str | None:
    part = policy.parts.get(f"locale.{locale}")
    return None if part is None else str(part.values["date"])


def _note(policy: Policy, locale: str) -> str | None:
    if policy.prevailing is None or policy.prevailing == locale:
        return None
    (clause,) = [clause for clause in policy.clauses if clause.id == "prevailing"]
    return _text(clause, locale)


def stale(policy: Policy) -> tuple[str, ...]:
    """The languages whose text is older than the newest; none where all dates agree.

    A date that names only a month agrees with every day of it.
    """
    dates = {part.name: str(part.values["date"]) for part in policy.named("locale")}
    newest = max(dates.values(), default="")
    return tuple(locale for locale, date in dates.items() if not (newest.startswith(date) or date.startswith(newest)))


def gaps(policy: Policy) -> tuple[str, ...]:
    """Clauses that lack a sentence in one of the languages."""
    return tuple(clause.id for clause in policy.clauses if not clause.en.strip() or not clause.zh.strip())


def unpublishable(policy: Policy) -> list[Problem]:
    """Everything that keeps `policy` from being published in earnest (`avow serve`): placeholders, dates, gaps."""
    found = [
        _problem(policy, one.line, one.path, f"{one.path} is an example.", "Write your own, and remove placeholder.")
        for one in placeholders(policy)
    ]
    for locale in LOCALES:
        if _date(policy, locale) is None:
            hint = f'Add [locale.{locale}] with date = "2026-03-17".'
            found.append(_problem(policy, 0, f"locale.{locale}", "The text has no date.", hint))
    for locale in stale(policy):
        path, line = f"locale.{locale}.date", policy.parts[f"locale.{locale}"].line
        hint = "Bring it up to date and give it its own new date."
        found.append(
            Problem(
                policy.source, line, path, "The text is older than the one in another language.", hint, "not_configured"
            )
        )
    found += _without_terms(policy)
    found += [
        _problem(policy, 0, id, "The clause lacks a sentence in one language.", "Write it in both.")
        for id in gaps(policy)
    ]
    return found


def _without_terms(policy: Policy) -> list[Problem]:
    """Languages in which terms would be accepted that nobody can read."""
    part = policy.parts.get("acceptance")
    if (part is None or not part.values.get("terms")) and not policy.named("terms"):
        return []
    return [
        _problem(policy, 0, f"terms.{locale}", "There are terms to accept, and no text of them.", "Add their text.")
        for locale in LOCALES
        if f"terms.{locale}" not in policy.parts
    ]


def _problem(policy: Policy, line: int, path: str, sentence: str, hint: str) -> Problem:
    return Problem(policy.source, line, path, sentence, hint)
