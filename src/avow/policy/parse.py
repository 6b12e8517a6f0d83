"""From the text of a policy file to its value, or to everything that is wrong with it."""

import re
import tomllib
from dataclasses import replace
from typing import Any

from avow.policy import contradictions, language, lines, reading, values, words
from avow.policy.build import build
from avow.policy.lines import Path
from avow.policy.model import Account, Category, Keep, Policy, PolicyError, Problem
from avow.policy.report import Report, shown
from avow.policy.sections import SECTIONS

_ROWS = language.COMMON[0]
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
    except ValueError as broken:  # TOMLDecodeError, or what `int` says of a number with too many digits
        raise _not_toml(source, plain, broken) from None
    report = Report(source, where)
    policy = _policy(report, tables)
    if policy is None:
        raise PolicyError(report.ordered())
    return policy


def _readable(text: str | bytes, source: str) -> str:
    try:
        raw = text.encode() if isinstance(text, str) else text
    except UnicodeEncodeError as broken:
        line = broken.object[: broken.start].count("\n") + 1
        raise _unreadable(source, line, "The text holds half of a character.", "Save the file as UTF-8.") from None
    if len(raw) > language.TEXT_BYTES_MAX:
        raise _unreadable(source, 1, "The file is larger than 1 MB.", "A policy of 300 lines has about 15 KB.")
    try:
        plain = raw.decode()
    except UnicodeDecodeError as broken:
        line = raw[: broken.start].count(b"\n") + 1
        raise _unreadable(source, line, "The file is not UTF-8.", "Save the file as UTF-8.") from None
    if "\0" in plain:
        line = plain[: plain.index("\0")].count("\n") + 1
        raise _unreadable(source, line, "The file holds a NUL character.", "Save the file as plain text.")
    return plain.removeprefix("\ufeff")


def _unreadable(source: str, line: int, sentence: str, hint: str) -> PolicyError:
    return PolicyError((Problem(source, line, "", sentence, hint),))


def _not_toml(source: str, text: str, broken: ValueError) -> PolicyError:
    if not isinstance(broken, tomllib.TOMLDecodeError):
        return _unreadable(source, 0, "A number or a time is out of bounds.", "No key takes such a value.")
    said = str(broken)
    found = _SYNTAX_LINE.search(said)
    line = 1 if found is None else int(found[1] or text.count("\n") + 1)
    if "Cannot overwrite" in said or "Cannot declare" in said:
        hint = "Each key and each table may stand in the file once: join the two, or remove one."
        return _unreadable(source, line, "This key or table stands in the file before.", hint)
    sentence = f"The file cannot be read as TOML: {_SYNTAX_LINE.sub('', said)[:200]}."
    return _unreadable(source, line, sentence, "Correct this line; texts need quotes, and lists need brackets.")


def _policy(report: Report, tables: dict[str, Any]) -> Policy | None:
    top = values.read(report, (), tables, language.POLICY, also=("account", "category", "answers", *SECTIONS))
    account = _account(report, tables.get("account"))
    features = frozenset(top.get("features", ()))
    categories = _categories(report, tables.get("category"), features)
    _agree(report, account, categories)
    parts = reading.read(report, tables, features)
    answers = _answers(report, tables.get("answers", {}))
    if account is None or report.problems:
        return None
    policy = build(
        name=top["name"],
        version=top["version"],
        features=features,
        claims=frozenset(top.get("claims", ())),
        account=account,
        categories=categories,
        parts=parts,
        prevailing=top.get("prevailing"),
        answers=answers,
        source=report.source,
    )
    _clauses_known(report, policy, answers)
    contradictions.find(report, policy)
    return None if report.problems else policy


def _answers(report: Report, table: object) -> dict[str, tuple[str, ...]]:
    """The rows that single clauses answer, by clause id."""
    if not isinstance(table, dict):
        report.add(("answers",), "answers is not a table.", 'Write [answers] and below it "use.usage" = ["INF-3.4"].')
        return {}
    found = values.read(report, ("answers",), table, tuple(replace(_ROWS, name=id) for id in table))
    return found


def _clauses_known(report: Report, policy: Policy, answers: dict[str, tuple[str, ...]]) -> None:
    ids = [clause.id for clause in policy.clauses]
    for id in answers:
        if id not in ids:
            report.add_unknown(("answers", id), f"There is no clause {shown(id)}.", id, ids)


def _account(report: Report, table: object) -> Account | None:
    path: Path = ("account",)
    if not isinstance(table, dict):
        report.add(
            path, "The table [account] is missing.", 'The strictest is fields = ["email"], required = ["email"].'
        )
        return None
    found = values.read(report, path, table, (*language.ACCOUNT, *language.COMMON))
    if not {"fields", "required"} <= set(found):
        return None
    account = Account(**found)
    for key in ("fields", "required"):
        if "email" not in found[key]:
            report.add((*path, key), "An account needs an e-mail address.", f'Add "email" to {key}.')
    if account.unconfirmed is not None and account.unconfirmed.kind != "period":
        hint = 'Write a period such as "7 days", or leave it out for no such end.'
        report.add((*path, "unconfirmed"), "The time to confirm an address is a period.", hint)
    for field in account.required:
        if field not in account.fields:
            report.add((*path, "required"), f"{field} is required but not taken.", f'Add "{field}" to account.fields.')
    return account


def _categories(report: Report, tables: object, features: frozenset[str]) -> dict[str, Category]:
    path: Path = ("category",)
    if not isinstance(tables, dict) or not tables:
        report.add(path, "No category of data has a rule.", "Add a table [category.account] and one for each category.")
        return {}
    if "account" not in tables:
        hint = "Add a table [category.account]."
        report.add((*path, "account"), "Sign-up stores account data, and it has no rule.", hint)
    found: dict[str, Category] = {}
    for name, table in tables.items():
        here = (*path, name)
        if name not in words.CATEGORIES:
            report.add_unknown(here, f"The category {shown(name)} is not known.", name, words.CATEGORIES)
        elif not isinstance(table, dict):
            report.add(here, f"The category {name} is not a table.", f"Write its keys below [category.{name}].")
        else:
            _feature_named(report, here, name, table, features)
            category = _category(report, here, name, table)
            if category is not None:
                found[name] = category
    return found


def _feature_named(report: Report, path: Path, name: str, table: dict[str, Any], features: frozenset[str]) -> None:
    feature = words.CATEGORIES[name].feature
    if feature is not None and feature not in features and table.get("keep") != "0":
        report.add(path, f"{name} belongs to the feature {feature}.", f'Add "{feature}" to features.')


def _category(report: Report, path: Path, name: str, table: dict[str, Any]) -> Category | None:
    keys = (*language.CATEGORY, *language.COMMON)
    found = values.read(report, path, table, keys)
    if any(key.name not in found and (key.required or key.name in table) for key in keys):
        return None
    clock, with_account = found.pop("clock", None), found.pop("ends_with_account", False)
    keep = _with_clock(report, path, found.pop("keep"), clock, with_account)
    category = Category(name=name, keep=keep, line=report.line(path), **found)
    _consistent(report, path, category)
    return category


def _with_clock(report: Report, path: Path, keep: Keep, clock: str | None, with_account: bool) -> Keep:
    if (clock is not None or with_account) and keep.kind != "period":
        key = "clock" if clock is not None else "ends_with_account"
        report.add((*path, key), f"Only a period has a {key}.", f"Remove {key}, or give keep a period.")
    return replace(keep, clock=clock or keep.clock, with_account=with_account)


def _consistent(report: Report, path: Path, category: Category) -> None:
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
    if category.opt_out and not keep.may_shorten:
        hint = 'Write keep = "at most 30 days", or leave opt_out out.'
        report.add((*path, "opt_out"), "What people may opt out of needs an upper limit.", hint)
    for field in category.without:
        if field not in category.fields:
            report.add((*path, "without"), f"{field} is not among the fields.", "Name fields that stand in `fields`.")
    _closing_consistent(report, path, category)


def _closing_consistent(report: Report, path: Path, category: Category) -> None:
    grace, within = category.grace, category.gone_within
    for key, period in (("grace", grace), ("gone_within", within)):
        if period is not None and (category.keep.kind != "life" or period.kind == "life"):
            hint = f'Remove {key}, or write keep = "life of the account" and {key} = "30 days".'
            report.add((*path, key), f"Only what is kept for the life of the account has a {key}.", hint)
    if grace is not None and within is not None and (grace.hours_max or 0) > (within.hours_min or 0):
        sentence = "The time of grace is longer than the time within which everything is gone."
        report.add((*path, "grace"), sentence, "Shorten grace, or lengthen gone_within.", "grace_longer_than_deadline")


def _agree(report: Report, account: Account | None, categories: dict[str, Category]) -> None:
    rule = categories.get("account")
    if account is None or rule is None:
        return
    for field in account.fields:
        if field not in rule.fields:
            sentence = f"Sign-up takes {field}, and the category account does not list it."
            report.add(("category", "account", "fields"), sentence, f'Add "{field}" to category.account.fields.')
