"""The reference page of the policy language, written from the tables that the parser reads.

To write docs/reference/policy.md anew:
    python -c "from avow.policy.reference import reference; print(reference(), end='')" > docs/reference/policy.md
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from avow.policy import language, practices, statements, terms, words
from avow.policy.language import Key
from avow.policy.sections import SECTIONS, Section
from avow.policy.words import Word

_TAKES = {
    "text": "a text",
    "integer": "a whole number from 1",
    "flag": "`true` or `false`",
    "list": "a list of texts",
    "keep": "a period in quotes",
    "date": "a day or a month in quotes",
    "ages": "a table of ages by country",
    "periods": "a table of periods by place",
}

_OPENING = """# The policy file

One TOML file (UTF-8, at most 1 MB) states what personal data is kept, why, for how long and how it ends.
Avow publishes it as sentences in English and Chinese, enforces it and checks it. A file with any mistake does not
load; the error lists every problem with its line and what to do. Unknown keys are mistakes.
This page is generated from the parser's own tables; a test compares the two.
"""

_PERIODS = """## Periods

| written | means |
|---|---|
| `"0"` | never stored |
| `"life of the account"` | ends with the account |
| `"720 hours"`, `"30 days"` | exactly so many hours; a day is 24 hours |
| `"12 months"`, `"7 years"` | by the calendar, in UTC; a day that the last month lacks is that month's last day |
| `"at most 30 days"` | the same end; a tenant, project, key or request may shorten it |
| `"at least 7 years"` | the same end; published as a minimum |

100 years is the longest. A period without "at most" cannot be shortened, and nobody can lengthen any.

## Levels

Platform (this file) → tenant → project → API key → request header. Each level may only tighten what the one above
allows; what goes further is cut to it and reported. With `ask = true` nothing is kept until the tenant names a number
of hours; 0 hours means that nothing is stored.

## Who may open what

The owner may always read their own data and take it along, and data may always be ended, on time or on request.
Owners and admins of an organisation see the account data of its members, for `service`, and nothing else of them.
For everything else there must be a rule for the category, its `purposes` must list the purpose, a member of staff needs
a role that is listed in `staff` and opens things for that purpose (see the staff roles), and the person must not have had
the use restricted or objected to the purpose; with `basis = "consent"` they must have consented to it. Restriction does
not stop a period from ending.
"""


_BETWEEN_KEYS = """Between keys: `account.required` is part of `account.fields`, which is part of
`category.account.fields`; both name `email`. `on_erasure = "hold"` needs `basis = "law"` and a period.
`ask = true` needs an "at most" period. A category that belongs to a feature needs that feature in `features`.
"""


_CONTRADICTIONS = """## Contradictions

What one table would make another one's sentence false does not load. Each such problem has a name:
`ads_without_sharing`, `ads_without_cookies`, `advertising_nobody_allows`, `consent_not_asked`, `purpose_denied`,
`purpose_without_consent`, `processor_without_sharing`, `processor_outside_regions`, `processor_trains`,
`processor_keeps_longer`, `processor_of_nothing`, `backup_without_end`, `backup_longer_than_promise`,
`grace_longer_than_deadline`, `rights_without_contact`, `rights_without_deadline`, `prevailing_without_text`,
`cookie_without_kind`, `cookie_without_end`, `ad_without_vendor`, `unknown_place`.

## `[answers]`

Rows of a list of promises that a single clause answers, by clause id: `"use.usage" = ["INF-2.5"]`. Not published.
"""

_TERMS: Mapping[str, Mapping[str, Word]] = {
    "Offers": statements.OFFERS,
    "Statements": statements.STATEMENTS,
    "Organisation": statements.ORGANISATION,
    "Contacts": terms.CONTACTS,
    "Topics": terms.TOPICS,
    "Minors": terms.MINORS,
    "Consents": terms.CONSENTS,
    "Cookies": terms.COOKIE_KINDS,
    "Processors' roles": terms.ROLES,
    "Never": terms.NEVER,
    "Shares": terms.SHARES,
    "Transfers": terms.TRANSFERS,
    "Rights": terms.RIGHTS,
    "Scopes": terms.SCOPES,
    "Notices": terms.NOTICES,
    "Channels": terms.CHANNELS,
    "Acceptances": terms.ACCEPTANCES,
    "Ways of paying": terms.BILLING,
    "Stored of a payment": terms.LOCAL_FIELDS,
    "Countries": terms.COUNTRIES,
    "Languages": terms.LOCALES,
}


def reference() -> str:
    """The whole page as Markdown."""
    parts = [
        _OPENING,
        _keys("At the top", language.POLICY),
        _keys("`[account]`", language.ACCOUNT),
        _keys("`[category.NAME]`", language.CATEGORY),
        _BETWEEN_KEYS,
        _keys("In every table", (*language.COMMON, language.CHOOSES)),
        *(_section(name, section) for name, section in SECTIONS.items()),
        _CONTRADICTIONS,
        _PERIODS,
        _words("Categories", words.CATEGORIES),
        _words("Purposes", words.PURPOSES),
        _words("Bases", words.BASES),
        _words("Endings on expiry", words.EXPIRY),
        _words("Endings on erasure", words.ERASURE),
        _words("Clocks", words.CLOCKS),
        _words("Account fields", words.ACCOUNT_FIELDS),
        _words("Staff roles", words.STAFF),
        _purposes_of_staff(),
        _words("Sources", words.SOURCES),
        _words("Owners", words.OWNERS),
        *(_words(title, known) for title, known in _TERMS.items()),
        *(_levels(name, levels) for name, levels in {**practices.PRACTICES, **practices.SECURITY}.items()),
        _parts(),
        _claims("Claims", words.CLAIMS),
        _claims("Features", words.FEATURES),
        _probes(),
    ]
    return "\n".join(parts)


def _keys(title: str, keys: Iterable[Key]) -> str:
    return "\n".join([f"## {title}", "", *(line for key in keys for line in _key(key))])


def _key(key: Key) -> Iterator[str]:
    yield f"### `{key.name}`"
    yield ""
    yield key.meaning
    yield ""
    takes = _TAKES[key.takes]
    if key.words is not None:
        takes += f" out of {', '.join(f'`{word}`' for word in key.words)}"
    yield f"- takes {takes}"
    if key.shape_in_words:
        yield f"- {key.shape_in_words[0].lower()}{key.shape_in_words[1:]}"
    yield f"- {'must be given' if key.required else 'may be left out'}; the strictest is `{key.strictest}`"
    yield ""


def _words(title: str, known: Mapping[str, Word]) -> str:
    rows = [f"| `{name}` | {_plain(word.en)} | {_plain(word.zh)} |" for name, word in known.items()]
    return "\n".join([f"## {title}", "", "| word | in English | in Chinese |", "|---|---|---|", *rows, ""])


def _purposes_of_staff() -> str:
    rows = [f"| `{role}` | {', '.join(f'`{p}`' for p in sorted(of))} |" for role, of in words.STAFF_PURPOSES.items()]
    return "\n".join(["| staff role | opens for |", "|---|---|", *rows, ""])


def _claims(title: str, known: Mapping[str, words.Claim | None]) -> str:
    """Sentences with what stands behind them; a part without one of its own has its row in `_parts`."""
    rows = [
        f"| `{name}` | {claim.en} | {claim.zh} | {', '.join(claim.controls)} | {', '.join(claim.probes)} |"
        for name, claim in known.items()
        if claim is not None
    ]
    head = ["| word | in English | in Chinese | made true by | checked by |", "|---|---|---|---|---|"]
    return "\n".join([f"## {title}", "", *head, *rows, ""])


def _section(name: str, section: Section) -> str:
    header = f"`[{name}]`" if section.names is None else f"`[{name}.NAME]`"
    body = [f"## {header}", "", section.meaning]
    if section.feature is not None:
        body.append(f"Needs the part `{section.feature}`.")
    if isinstance(section.names, re.Pattern):
        body.append("The name is free.")
    elif section.names is not None:
        body.append(f"NAME is one of {', '.join(f'`{word}`' for word in section.names)}.")
    return "\n".join([*body, "", *(line for key in section.keys for line in _key(key))])


def _levels(name: str, levels: terms.Levels) -> str:
    return _words(f"Rules of `{name}`", levels.levels)


def _parts() -> str:
    rows = [
        f"| `{name}` | {says} | {', '.join(f'`{category}`' for category in _categories_of(name))} |"
        for name, says in words.PARTS.items()
    ]
    return "\n".join(["## Parts", "", "| word | what it is | its categories |", "|---|---|---|", *rows, ""])


def _categories_of(feature: str) -> list[str]:
    return [name for name, kind in words.CATEGORIES.items() if kind.feature == feature]


def _probes() -> str:
    every = {**words.PROBES, **{f"part_{part}": looks_at for part, looks_at in words.WATCHED.items()}}
    rows = [f"| `{name}` | {looks_at} |" for name, looks_at in every.items()]
    return "\n".join(["## Probes", "", "| name | looks at |", "|---|---|", *rows, ""])


def _plain(phrase: str) -> str:
    return phrase.replace("{what}", "…").rstrip(",")
