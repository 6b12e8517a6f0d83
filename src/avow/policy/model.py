"""The values of a policy: what `parse` makes and everything else reads. Immutable, without I/O."""

import calendar
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

Unit = Literal["hours", "days", "months", "years"]
Bound = Literal["exactly", "at most", "at least"]
Ending = Literal["delete", "blank", "detach", "hold"]
Basis = Literal["contract", "consent", "interest", "law"]

HOURS_PER_DAY = 24
MONTHS_PER_YEAR = 12
# The longest a calendar month or year can be; used only to see that a wish reaches beyond a period.
HOURS_PER_MONTH_MAX = 31 * HOURS_PER_DAY
HOURS_PER_YEAR_MAX = 366 * HOURS_PER_DAY


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a policy, or between a policy and what is stored.

    `line` counts from 1 in `source`, 0 where no line applies. `path` is the dotted key, such as `category.usage.keep`.
    An `error` stops the program; `not_configured` names a part that the policy speaks of and this installation lacks.
    """

    source: str
    line: int
    path: str
    sentence: str
    hint: str
    kind: Literal["error", "not_configured"] = "error"

    def __str__(self) -> str:
        place = ": ".join(part for part in (f"{self.source}:{self.line}", self.path) if part)
        return f"{place}: {self.sentence}\n  hint: {self.hint}"


class PolicyError(ValueError):
    """The policy cannot be loaded; `problems` lists everything that is wrong with it, in the order of its lines."""

    status = 422
    code = "policy_invalid"
    hint = "Correct the lines named and load the policy again; `avow policy check` lists them all."

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Keep:
    """How long facts of a category are kept.

    A `period` of `amount` units, the `life` of the account, or `never` (not stored at all).
    Hours and days are exact (30 days = 720 h); months and years follow the calendar in UTC, and a day that the
    last month lacks becomes that month's last day (31 January + 1 month = 28 or 29 February).
    `bound` says what lower levels may do: a period that is `at most` may be shortened, the others may not.
    `clock` names the instant from which the period counts; stores write that instant as a fact's `since`.
    """

    kind: Literal["period", "life", "never"]
    amount: int = 0
    unit: Unit = "hours"
    bound: Bound = "exactly"
    clock: str = "collection"

    @property
    def hours(self) -> int | None:
        """Hours kept: 0 for `never`, None where the number is not fixed (the life of the account, months, years)."""
        if self.kind == "never":
            return 0
        if self.kind == "life" or self.unit in ("months", "years"):
            return None
        return self.amount * (HOURS_PER_DAY if self.unit == "days" else 1)

    @property
    def hours_max(self) -> int | None:
        """The most hours that the period can last whatever its start; None for the life of the account."""
        if self.kind == "period" and self.unit == "months":
            return self.amount * HOURS_PER_MONTH_MAX
        if self.kind == "period" and self.unit == "years":
            return self.amount * HOURS_PER_YEAR_MAX
        return self.hours

    @property
    def may_shorten(self) -> bool:
        """Whether a tenant, project, key or request may have facts end sooner."""
        return self.kind == "period" and self.bound == "at most"

    def end(self, since: datetime) -> datetime | None:
        """The UTC instant at which a fact of `since` ends; None = with the account. `never` ends where it begins.

        Raises ValueError for a time without a zone, which could mean two instants.
        """
        start = instant(since)
        if self.kind == "life":
            return None
        hours = self.hours
        if hours is not None:
            return start + timedelta(hours=hours)
        return _months_later(start, self.amount * (MONTHS_PER_YEAR if self.unit == "years" else 1))


def instant(when: datetime) -> datetime:
    """The same instant in UTC, where adding hours adds hours; ValueError for a time without a zone."""
    if when.tzinfo is UTC:
        return when
    if when.utcoffset() is None:
        raise ValueError("a time without a zone names no instant; pass a UTC time")
    return when.astimezone(UTC)


def _months_later(start: datetime, months: int) -> datetime:
    count = start.year * MONTHS_PER_YEAR + start.month - 1 + months
    year, month = divmod(count, MONTHS_PER_YEAR)
    day = min(start.day, calendar.monthrange(year, month + 1)[1])
    return start.replace(year=year, month=month + 1, day=day)


@dataclass(frozen=True, slots=True)
class Category:
    """The rule of one kind of personal data: what it consists of, why it is used, how long it stays, how it ends."""

    name: str
    fields: tuple[str, ...]
    purposes: tuple[str, ...]
    basis: Basis
    keep: Keep
    on_expiry: Ending
    on_erasure: Ending
    ask: bool = False
    """Nothing is kept unless the tenant asks for it."""
    staff: tuple[str, ...] = ()
    """Staff roles that may open it, with a reason; nobody if empty."""
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Account:
    """What sign-up takes besides a password: `fields`, of which `required` must be given; anything else is refused."""

    fields: tuple[str, ...]
    required: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clause:
    """One published sentence, what it says as data, and the names of the code that makes and checks it true.

    `feature` is the part without which it is not published. `en` and `zh` say the same.
    """

    id: str
    kind: Literal["sign_up", "keep", "use", "end", "claim", "feature"]
    says: Mapping[str, object] = field(hash=False)
    en: str
    zh: str
    controls: tuple[str, ...]
    probes: tuple[str, ...]
    feature: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """A loaded policy. `hash` is the SHA-256 (hex) of `canonical`: layout, comments and order do not change it."""

    name: str
    version: int
    features: frozenset[str]
    claims: frozenset[str]
    account: Account
    categories: Mapping[str, Category] = field(hash=False)
    clauses: tuple[Clause, ...] = field(compare=False)
    hash: str
    source: str = field(default="policy.toml", compare=False)


def canonical(
    name: str,
    version: int,
    features: frozenset[str],
    claims: frozenset[str],
    account: Account,
    categories: Mapping[str, Category],
) -> str:
    """The one spelling of a policy's meaning, as JSON; two files that mean the same give the same text."""
    meaning = {
        "language": 1,
        "name": name,
        "version": version,
        "features": sorted(features),
        "claims": sorted(claims),
        "account": {"fields": sorted(account.fields), "required": sorted(account.required)},
        "categories": {category.name: _meaning(category) for category in categories.values()},
    }
    return json.dumps(meaning, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(text: str) -> str:
    """SHA-256 of `text`, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _meaning(category: Category) -> dict[str, object]:
    keep = category.keep
    return {
        "fields": sorted(category.fields),
        "purposes": sorted(category.purposes),
        "basis": category.basis,
        "keep": [keep.kind, keep.amount, keep.unit, keep.bound, keep.clock],
        "on_expiry": category.on_expiry,
        "on_erasure": category.on_erasure,
        "ask": category.ask,
        "staff": sorted(category.staff),
    }
