"""Policy texts for the tests: one that loads, a writer, and random ones."""

import copy
import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from avow.policy import language, practices, terms, words
from avow.policy.contradictions import CONSENT_PURPOSES

Tables = dict[str, Any]

GOOD: Tables = {
    "name": "sample",
    "version": 3,
    "features": ["tls"],
    "claims": ["sealed"],
    "account": {"fields": ["email", "name"], "required": ["email"]},
    "category": {
        "account": {
            "fields": ["email", "name"],
            "purposes": ["service", "notices"],
            "basis": "contract",
            "keep": "life of the account",
            "on_expiry": "delete",
            "on_erasure": "delete",
        },
        "api_content": {
            "fields": ["request", "response"],
            "purposes": ["service", "debugging"],
            "basis": "contract",
            "keep": "at most 30 days",
            "clock": "request",
            "ask": True,
            "staff": ["abuse"],
            "on_expiry": "delete",
            "on_erasure": "delete",
        },
        "usage": {
            "fields": ["model", "tokens"],
            "purposes": ["billing"],
            "basis": "contract",
            "keep": "at most 12 months",
            "on_expiry": "detach",
            "on_erasure": "delete",
        },
        "payment": {
            "fields": ["amount"],
            "purposes": ["legal"],
            "basis": "law",
            "keep": "at least 7 years",
            "on_expiry": "delete",
            "on_erasure": "hold",
        },
        "mail": {
            "fields": ["text"],
            "purposes": ["notices"],
            "basis": "consent",
            "keep": "24 hours",
            "on_expiry": "delete",
            "on_erasure": "delete",
        },
        "security_log": {
            "fields": ["event"],
            "purposes": ["security"],
            "basis": "interest",
            "keep": "0",
            "on_expiry": "delete",
            "on_erasure": "blank",
        },
    },
}


def changed(**values: Any) -> Tables:
    """GOOD with values set by path, `__` between keys; None removes a key."""
    tables = copy.deepcopy(GOOD)
    for path, value in values.items():
        *outer, last = path.split("__")
        table = tables
        for key in outer:
            table = table[key]
        if value is None:
            del table[last]
        else:
            table[last] = value
    return tables


def toml(tables: Mapping[str, Any]) -> str:
    """`tables` as TOML, one header per table."""
    return "\n".join(_table("", tables))


def _table(path: str, table: Mapping[str, Any]) -> list[str]:
    plain = [f"{key} = {_value(value)}" for key, value in table.items() if not isinstance(value, dict)]
    inner = [(f"{path}.{key}".lstrip("."), value) for key, value in table.items() if isinstance(value, dict)]
    return [*plain, *(line for name, value in inner for line in (f"[{name}]", *_table(name, value)))]


def _value(value: object) -> str:
    return json.dumps(value)


def _some(known: Mapping[str, object], least: int = 1) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(list(known)), min_size=least, unique=True)


periods = st.builds(
    lambda bound, amount, unit: f"{bound}{amount} {unit}{'' if amount == 1 else 's'}",
    st.sampled_from(["", "at most ", "at least "]),
    st.integers(1, 100),
    st.sampled_from(["hour", "day", "month", "year"]),
)


@st.composite
def categories(draw: st.DrawFn, name: str) -> Tables:
    """A category's table that loads."""
    table: Tables = {
        "fields": draw(st.lists(st.from_regex(language.FIELD, fullmatch=True), min_size=1, max_size=4, unique=True)),
        "purposes": draw(_some({name: 0 for name in words.PURPOSES if name not in CONSENT_PURPOSES})),
        "basis": draw(st.sampled_from(list(words.BASES))),
        "keep": draw(st.one_of(periods, st.sampled_from(["0", "life of the account"]))),
        "on_expiry": draw(st.sampled_from(list(words.EXPIRY))),
        "on_erasure": draw(st.sampled_from(["delete", "blank", "detach"])),
    }
    is_period = table["keep"] not in ("0", "life of the account")
    if is_period and draw(st.booleans()):
        table["clock"] = draw(st.sampled_from(list(words.CLOCKS)))
    if is_period and table["basis"] == "law":
        table["on_erasure"] = draw(st.sampled_from(list(words.ERASURE)))
    if table["keep"].startswith("at most"):
        table["ask"] = draw(st.booleans())
    if table["keep"].startswith("at most") and draw(st.booleans()):
        table["opt_out"] = True
    if is_period and draw(st.booleans()):
        table["ends_with_account"] = True
    if draw(st.booleans()):
        table |= {"self_service": True, "source": draw(st.sampled_from(list(words.SOURCES)))}
    if draw(st.booleans()):
        table["staff"] = draw(_some(words.STAFF, least=0))
    if name == "account":
        table["fields"] = [*words.ACCOUNT_FIELDS]
    return table


@st.composite
def policies(draw: st.DrawFn) -> Tables:
    """A policy's tables that load."""
    names = ["account", *draw(_some({name: 0 for name in words.CATEGORIES if name != "account"}, least=0))]
    optional = draw(_some({name: 0 for name in words.ACCOUNT_FIELDS if name != "email"}, least=0))
    return {
        "name": draw(st.from_regex(language.NAME, fullmatch=True)),
        "version": draw(st.integers(1, language.VERSION_MAX)),
        "features": [*(name for name in words.FEATURES if name != "tls"), *draw(st.sampled_from([[], ["tls"]]))],
        "claims": draw(_some(words.CLAIMS, least=0)),
        "account": {"fields": ["email", *optional], "required": ["email", *optional[:1]]},
        "category": {name: draw(categories(name)) for name in names},
    }


def _subset(known: Mapping[str, object], least: int = 0) -> st.SearchStrategy[list[str]]:
    return _some(dict.fromkeys(known, 0), least=least)


@st.composite
def _shares(draw: st.DrawFn) -> Tables:
    names = draw(_subset({"legal": 0, "corporate": 0, "protection": 0, "interest": 0}))
    return {name: {} for name in ["provider", *names]}


@st.composite
def _ages(draw: st.DrawFn) -> Tables:
    table: Tables = {"minimum": draw(st.integers(13, 18)), "on_minor": draw(st.sampled_from(list(terms.MINORS)))}
    if draw(st.booleans()):
        countries = st.dictionaries(st.sampled_from(["US", "DE", "FR"]), st.integers(13, 18), min_size=1)
        table["by_country"] = draw(countries)
    return table


@st.composite
def _practices(draw: st.DrawFn) -> Tables:
    names = draw(_subset({"improvement": 0, "moderation": 0, "personalise": 0, "training": 0}))
    rules = {name: [rule for rule in practices.PRACTICES[name].levels if rule != "consent"] for name in names}
    return {name: {"rule": draw(st.sampled_from(rules[name]))} for name in names}


@st.composite
def _rights(draw: st.DrawFn) -> Tables:
    places = st.sampled_from(["EU", "DE", "US", "US-CA"])
    short = st.sampled_from(["15 days", "1 month", "30 days", "45 days", "3 months"])
    deadline = {"default": draw(short), **draw(st.dictionaries(places, short))}
    return {"contact": "privacy", "scope": draw(st.sampled_from(list(terms.SCOPES))), "deadline": deadline}


def _processor(keep: str, trains: bool, categories: list[str]) -> Tables:
    table: Tables = {"title": "Example", "roles": ["hosting"], "categories": categories, "region": "DE"}
    return table | {"contract": "dpa", "keep": keep, "trains": trains}


@st.composite
def parts(draw: st.DrawFn) -> Tables:
    """Tables of the wider language that load with one another."""
    notice = st.fixed_dictionaries({"channels": _subset(terms.CHANNELS, 1), "any": st.booleans()})
    security = st.fixed_dictionaries({"transit": st.sampled_from(["every hop", "TLS 1.3", "TLS"])})
    modes = st.sampled_from(["only", "service", "listed"])
    regions = st.fixed_dictionaries(
        {"mode": modes, "countries": _subset({"FR": 0, "US": 0}).map(lambda some: [*some, "DE"])}
    )
    backups = st.sampled_from([("7 days", "7 days"), ("7 days", "30 days"), ("30 days", "1 year")])
    optional: dict[str, st.SearchStrategy[Any]] = {
        "age": _ages(),
        "practice": _practices(),
        "sharing": st.fixed_dictionaries({"never": _subset({"sale": 0, "rent": 0, "trade": 0, "marketing": 0}, 1)}),
        "regions": regions,
        "notice": st.dictionaries(st.sampled_from(list(terms.NOTICES)), notice, max_size=3),
        "acceptance": st.fixed_dictionaries({"how": st.sampled_from(list(terms.ACCEPTANCES)), "terms": st.booleans()}),
        "isolation": st.fixed_dictionaries({"enterprise": st.sampled_from(["separate", "shared"])}),
        "security": security.map(lambda some: {name: {"rule": rule} for name, rule in some.items()}),
        "backup": backups.map(lambda pair: {"keep": pair[0], "after_deletion": pair[1], "keys_destroyed": True}),
        "cookie": st.dictionaries(
            st.sampled_from(["session", "seen"]),
            st.fixed_dictionaries(
                {"kind": st.just("essential"), "lifetime": st.sampled_from(["0", "30 days", "1 year"])}
            ),
        ),
        "organisation": _subset({"soc2": 0, "audits": 0}).map(
            lambda names: {name: {"evidence": name} for name in names}
        ),
        "locale": st.sampled_from(["2026-03", "2026-04-02"]).map(
            lambda date: {"en": {"date": date}, "zh": {"date": "2026-03"}}
        ),
    }
    found: Tables = {"contact": {"privacy": {"email": "privacy@example.org"}}, "cookies": {"essential": {}}}
    found |= {
        "share": draw(_shares()),
        "right": {name: {} for name in draw(_subset(terms.RIGHTS))},
        "rights": draw(_rights()),
    }
    found["processor"] = {"one": _processor("0", False, draw(st.sampled_from([["account"]])))}
    for name in draw(_subset(optional)):
        found[name] = draw(optional[name])
    return found


@st.composite
def wide_policies(draw: st.DrawFn) -> Tables:
    """A policy's tables with the wider language that load."""
    tables = draw(policies())
    return tables | draw(parts()) | {"features": [*words.FEATURES]}
