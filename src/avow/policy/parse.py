"""From the text of a policy file to its value, or to everything that is wrong with it."""

import re
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, cast

from avow.policy import clauses, language, lines, words
from avow.policy.language import Key
from avow.policy.model import Account, Bound, Category, Keep, Policy, PolicyError, Problem, Unit, canonical, digest

_SYNTAX_LINE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


def parse(text: str | bytes, source: str = "policy.toml") -> Policy:
    """The policy that `text` (TOML, at most 1 MB, UTF-8) states; `source` is how problems name the file.

    Raises PolicyError with every problem found. A text that is not TOML has one problem, the first that stops reading.
    """
    plain = _readable(text, source)
    try:
        where = lines.index(plain, language.DEPTH_MAX)
        tables = tomllib.loads(plain)
    except lines.TooDeep as deep:
        raise _unreadable(source, deep.line, "Tables or lists are nested too deep.", "No key needs nesting.") from None
    except ValueError as broken:  # also a number too long for `int`, which tomllib passes on as it is
        raise _not_toml(source, plain, str(broken)) from None
    report = Report(source, where)
    policy = _policy(report, tables)
    if policy is None or report.problems:
        raise PolicyError(tuple(sorted(report.problems, key=lambda problem: problem.line)))
    return policy


class Report:
    """Collects problems with the line of the key that they are about."""

    def __init__(self, source: str, where: Mapping[lines.Path, int]) -> None:
        self.source = source
        self.where = where
        self.problems: list[Problem] = []

    def line(self, path: lines.Path) -> int:
        """The line of `path`, or of the nearest table around it that the text names."""
        while path and path not in self.where:
            path = path[:-1]
        return self.where.get(path, 1)

    def add(self, path: lines.Path, sentence: str, hint: str) -> None:
        # A hostile text can hold a hundred thousand wrong keys; nobody reads beyond the first thousand.
        if len(self.problems) < language.PROBLEMS_MAX:
            self.problems.append(Problem(self.source, self.line(path), dotted(path), sentence, hint))

    def full(self) -> bool:
        """Whether further problems would not be listed."""
        return len(self.problems) >= language.PROBLEMS_MAX


def dotted(path: lines.Path) -> str:
    """`category.usage.keep`; long or odd keys are shown in part, quoted."""
    return ".".join(shown(key) for key in path)


def shown(key: object) -> str:
    """A key or value as a problem names it: cut to a length, without characters that could disturb a terminal."""
    text = str(key)
    if len(text) > language.KEY_CHARS_SHOWN_MAX:
        text = text[: language.KEY_CHARS_SHOWN_MAX] + "…"
    return text if re.fullmatch(r"[\w-]+", text, re.ASCII) else ascii(text)


def _readable(text: str | bytes, source: str) -> str:
    size = len(text)
    if size > language.TEXT_BYTES_MAX:
        raise _unreadable(source, 1, "The file is larger than 1 MB.", "A policy of 300 lines has about 15 KB.")
    try:
        plain = text.decode() if isinstance(text, bytes) else text.encode().decode()
    except UnicodeDecodeError as broken:
        line = bytes(broken.object[: broken.start]).count(b"\n") + 1
        raise _unreadable(source, line, "The file is not UTF-8.", "Save the file as UTF-8.") from None
    except UnicodeEncodeError as broken:
        line = str(broken.object)[: broken.start].count("\n") + 1
        raise _unreadable(source, line, "The text holds half of a character.", "Save the file as UTF-8.") from None
    if "\0" in plain:
        line = plain[: plain.index("\0")].count("\n") + 1
        raise _unreadable(source, line, "The file holds a NUL character.", "Save the file as plain text.")
    return plain.removeprefix("\ufeff")


def _unreadable(source: str, line: int, sentence: str, hint: str) -> PolicyError:
    return PolicyError((Problem(source, line, "", sentence, hint),))


def _not_toml(source: str, text: str, said: str) -> PolicyError:
    found = _SYNTAX_LINE.search(said)
    line = 1 if found is None else int(found[1] or text.count("\n") + 1)
    twice = "Cannot overwrite" in said or "Cannot declare" in said
    hint = "Each key and table may stand in the file once." if twice else "Correct this line; it is not TOML."
    return _unreadable(source, line, f"The file cannot be read as TOML: {_SYNTAX_LINE.sub('', said)[:200]}.", hint)


def _policy(report: Report, tables: dict[str, Any]) -> Policy | None:
    top = _keys(report, (), tables, language.POLICY, also=("account", "category"))
    account = _account(report, tables.get("account"))
    features = frozenset(top.get("features", ()))
    categories = _categories(report, tables.get("category"), features)
    _agree(report, account, categories)
    if report.problems or account is None:
        return None
    name, version, claims = top["name"], top["version"], frozenset(top.get("claims", ()))
    return Policy(
        name=name,
        version=version,
        features=features,
        claims=claims,
        account=account,
        categories=MappingProxyType(categories),
        clauses=clauses.of(account, categories, features, claims),
        hash=digest(canonical(name, version, features, claims, account, categories)),
        source=report.source,
    )


def _account(report: Report, table: object) -> Account | None:
    path: lines.Path = ("account",)
    if not isinstance(table, dict):
        report.add(
            path, "The table [account] is missing.", 'The strictest is fields = ["email"], required = ["email"].'
        )
        return None
    values = _keys(report, path, table, language.ACCOUNT)
    if len(values) < len(language.ACCOUNT):
        return None
    account = Account(fields=values["fields"], required=values["required"])
    for key in ("fields", "required"):
        if "email" not in values[key]:
            report.add((*path, key), "An account needs an e-mail address.", f'Add "email" to {key}.')
    for field in account.required:
        if field not in account.fields:
            report.add((*path, "required"), f"{field} is required but not taken.", f'Add "{field}" to account.fields.')
    return account


def _categories(report: Report, tables: object, features: frozenset[str]) -> dict[str, Category]:
    path: lines.Path = ("category",)
    if not isinstance(tables, dict) or not tables:
        report.add(path, "No category of data has a rule.", "Add a table [category.account] and one for each category.")
        return {}
    found: dict[str, Category] = {}
    for name, table in tables.items():
        here = (*path, name)
        if name not in words.CATEGORIES:
            report.add(here, f"The category {shown(name)} is not known.", _nearest(report, name, words.CATEGORIES))
        elif not isinstance(table, dict):
            report.add(here, f"The category {name} is not a table.", f"Write its keys below [category.{name}].")
        else:
            category = _category(report, name, table)
            needs = words.CATEGORIES[name].feature
            if needs is not None and needs not in features:
                report.add(here, f"{name} belongs to the feature {needs}.", f'Add "{needs}" to features.')
            if category is not None:
                found[name] = category
    return found


def _category(report: Report, name: str, table: dict[str, Any]) -> Category | None:
    path: lines.Path = ("category", name)
    before = len(report.problems)
    values = _keys(report, path, table, language.CATEGORY)
    if len(report.problems) > before or report.full():
        return None
    keep = _with_clock(report, path, values)
    category = Category(
        name=name,
        fields=values["fields"],
        purposes=values["purposes"],
        basis=values["basis"],
        keep=keep,
        on_expiry=values["on_expiry"],
        on_erasure=values["on_erasure"],
        ask=values.get("ask", False),
        staff=values.get("staff", ()),
        line=report.line(path),
    )
    _consistent(report, path, category)
    return category


def _with_clock(report: Report, path: lines.Path, values: dict[str, Any]) -> Keep:
    keep = cast(Keep, values["keep"])
    clock = values.get("clock")
    if clock is None:
        return keep
    if keep.kind != "period":
        report.add((*path, "clock"), "Only a period has a clock.", "Remove clock, or give keep a period.")
    return Keep(keep.kind, keep.amount, keep.unit, keep.bound, clock)


def _consistent(report: Report, path: lines.Path, category: Category) -> None:
    """Rules between keys: what a published sentence would contradict in itself."""
    keep = category.keep
    if category.on_erasure == "hold" and category.basis != "law":
        hint = 'If a law requires it, write basis = "law"; the strictest is on_erasure = "delete".'
        report.add((*path, "on_erasure"), "Only the law can keep data against an erasure.", hint)
    if category.on_erasure == "hold" and keep.kind != "period":
        hint = 'Write the period that the law names, such as keep = "7 years".'
        report.add((*path, "on_erasure"), "What is held after an erasure needs a period of its own.", hint)
    if category.ask and not keep.may_shorten:
        hint = 'Write keep = "at most 30 days", or leave ask out.'
        report.add((*path, "ask"), "What a tenant may ask for needs an upper limit.", hint)


def _agree(report: Report, account: Account | None, categories: dict[str, Category]) -> None:
    rule = categories.get("account")
    if account is None or rule is None:
        return
    for field in account.fields:
        if field not in rule.fields:
            sentence = f"Sign-up takes {field}, and the category account does not list it."
            report.add(("category", "account", "fields"), sentence, f'Add "{field}" to category.account.fields.')


def _keys(
    report: Report, path: lines.Path, table: dict[str, Any], known: tuple[Key, ...], also: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The valid values of `table`; each unknown, missing or wrong key becomes a problem."""
    names = [*(key.name for key in known), *also]
    for name in table:
        if name not in names:
            report.add((*path, name), f"The key {shown(name)} is not known.", _nearest(report, name, names))
    values: dict[str, Any] = {}
    for key in known:
        if key.name in table:
            value = _value(report, (*path, key.name), key, table[key.name])
            if value is not None:
                values[key.name] = value
        elif key.required:
            report.add((*path, key.name), _missing(path, key), f"The strictest is {key.name} = {key.strictest}.")
    return values


def _missing(path: lines.Path, key: Key) -> str:
    if path[:1] != ("category",):
        return f"The key {key.name} is missing."
    kind = {"purposes": "use", "basis": "use", "on_erasure": "end"}.get(key.name, "keep")
    return f"The category {path[1]} has no {key.name}, so that the clause {kind}.{path[1]} cannot be published."


def _value(report: Report, path: lines.Path, key: Key, value: object) -> object | None:
    """`value` as the key takes it; None, with a problem added, if it does not."""
    if key.takes == "flag" and isinstance(value, bool):
        return value
    if key.takes == "integer" and isinstance(value, int) and not isinstance(value, bool):
        return _version(report, path, value)
    if key.takes == "keep" and isinstance(value, str):
        return _keep(report, path, value)
    if key.takes == "text" and isinstance(value, str):
        return value if _allowed(report, path, key, value) else None
    if key.takes == "list" and isinstance(value, list):
        return _list(report, path, key, value)
    wants = {"flag": "true or false", "integer": "a whole number", "list": "a list of texts"}.get(key.takes, "a text")
    report.add(path, f"{key.name} takes {wants}.", f"Write {key.name} = {key.strictest}.")
    return None


def _version(report: Report, path: lines.Path, value: int) -> int | None:
    if 1 <= value <= language.VERSION_MAX:
        return value
    report.add(path, "The version is out of range.", f"Count from 1, at most {language.VERSION_MAX}.")
    return None


def _list(report: Report, path: lines.Path, key: Key, value: list[object]) -> tuple[str, ...] | None:
    before = len(report.problems)
    seen: set[str] = set()
    for number, element in enumerate(value):
        here = (*path, number)
        if not isinstance(element, str):
            report.add(here, f"{key.name} takes a list of texts.", "Put each element in quotes.")
        elif element in seen:
            report.add(here, f"{shown(element)} is listed twice.", "Remove one of the two.")
        elif _allowed(report, here, key, element):
            seen.add(element)
    if key.required and not value:
        report.add(path, f"{key.name} is empty.", f"The strictest is {key.name} = {key.strictest}.")
    return cast(tuple[str, ...], tuple(value)) if len(report.problems) == before and not report.full() else None


def _allowed(report: Report, path: lines.Path, key: Key, value: str) -> bool:
    if key.words is not None and value not in key.words:
        hint = _never_on_expiry if (key.name, value) == ("on_expiry", "hold") else _nearest(report, value, key.words)
        report.add(path, f"{key.name} does not know {shown(value)}.", hint)
        return False
    if key.shape is not None and key.shape.fullmatch(value) is None:
        hint = "Use small letters, digits and, in names of fields, underscores; begin with a letter."
        report.add(path, f"{shown(value)} cannot be a value of {key.name}.", hint)
        return False
    return True


_never_on_expiry = (
    "What the law holds is held on erasure; at the end of its period it ends too. Write on_expiry otherwise."
)


def _keep(report: Report, path: lines.Path, value: str) -> Keep | None:
    if value == "0":
        return Keep("never")
    if value == "life of the account":
        return Keep("life")
    found = language.PERIOD.fullmatch(value)
    if found is not None:
        amount, unit = int(found[2]), cast(Unit, found[3] + "s")
        if amount <= language.AMOUNT_MAX[unit]:
            return Keep("period", amount, unit, cast(Bound, found[1] or "exactly"))
    hint = 'Write "0", "life of the account", "30 days", "at most 30 days" or "at least 7 years" (100 years at most).'
    report.add(path, f"{shown(value)} is not a period.", hint)
    return None


def _nearest(report: Report, name: str, known: object) -> str:
    choices = [str(choice) for choice in cast(Any, known)]
    # Comparing costs time in proportion to the length; a key of a thousand letters is no slip of the finger.
    close = [] if report.full() or len(name) > language.KEY_CHARS_SHOWN_MAX else get_close_matches(name, choices, 1)
    return f"Did you mean {close[0]}?" if close else f"Known are: {', '.join(choices)}."
