"""The values of a policy: what `parse` makes and everything else reads. Immutable, without I/O."""

import calendar
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Literal

Unit = Literal["hours", "days", "months", "years"]
Bound = Literal["exactly", "at most", "at least"]
Ending = Literal["delete", "blank", "detach", "hold"]
Basis = Literal["contract", "consent", "interest", "law"]

HOURS_PER_DAY = 24
MONTHS_PER_YEAR = 12
DAYS_PER_MONTH_MIN = 28
# The longest a calendar month or year can be; used only to see that a wish reaches beyond a period.
HOURS_PER_MONTH_MAX = 31 * HOURS_PER_DAY
HOURS_PER_YEAR_MAX = 366 * HOURS_PER_DAY
# The shortest; used to find a period that is surely no longer than a calendar one.
HOURS_PER_MONTH_MIN = 28 * HOURS_PER_DAY
HOURS_PER_YEAR_MIN = 365 * HOURS_PER_DAY


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
    name: str = ""
    """For a contradiction between rules: its name, such as `ads_without_sharing`."""

    def __str__(self) -> str:
        place = ": ".join(part for part in (f"{self.source}:{self.line}", self.path) if part)
        return f"{place}: {self.sentence}\n  hint: {self.hint}"

    def plain(self) -> dict[str, str | int]:
        """What a program reads of it."""
        return {"path": self.path, "line": self.line, "sentence": self.sentence, "hint": self.hint}


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
    with_account: bool = False
    """A period that ends early when the account does."""

    @property
    def ends_with_account(self) -> bool:
        """Whether closing the account ends what is kept so."""
        return self.kind == "life" or self.with_account

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
    def hours_min(self) -> int | None:
        """The fewest hours that the period can last whatever its start; None for the life of the account."""
        if self.kind == "period" and self.unit == "months":
            return self.amount * HOURS_PER_MONTH_MIN
        if self.kind == "period" and self.unit == "years":
            return self.amount * HOURS_PER_YEAR_MIN
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
    day = start.day
    if day > DAYS_PER_MONTH_MIN:
        day = min(day, calendar.monthrange(year, month + 1)[1])
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
    without: tuple[str, ...] = ()
    """Those of `fields` that are never stored, although a store has room for them."""
    source: str | None = None
    owner: str | None = None
    grace: Keep | None = None
    """For the life of the account: how long it stays, frozen, after closing; None or `never`: not at all."""
    gone_within: Keep | None = None
    """For the life of the account: the latest time after closing at which nothing is left."""
    saved: Keep | None = None
    """How long a fact stays that its owner marked to be kept; None: none can be marked."""
    self_service: bool = False
    opt_out: bool = False
    answers: tuple[str, ...] = field(default=(), compare=False)
    operator_choice: bool = False
    placeholder: bool = False
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Account:
    """What sign-up takes besides a password: `fields`, of which `required` must be given; anything else is refused."""

    fields: tuple[str, ...]
    required: tuple[str, ...]
    answers: tuple[str, ...] = field(default=(), compare=False)
    operator_choice: bool = False
    placeholder: bool = False
    unconfirmed: Keep | None = None
    """How long an account stays whose address nobody has confirmed, where that is asked for; None: no such end."""


@dataclass(frozen=True, slots=True)
class Part:
    """One table of the wider language, such as `[processor.mail]`: its `values` by key, as `sections` declares them.

    A text or word is `str`, a list `tuple[str, …]`, a period `Keep`, a date `str` (`2026-03` or `2026-03-17`), ages
    `Mapping[str, int]`, deadlines `Mapping[str, Keep]`. `parts` gives them as typed values.
    """

    section: str
    name: str
    values: Mapping[str, Any] = field(hash=False)
    answers: tuple[str, ...] = field(default=(), compare=False)
    operator_choice: bool = False
    placeholder: bool = False
    chosen: tuple[str, ...] = ()
    """The keys whose values are the operator's own choice, where not all are."""
    line: int = field(default=0, compare=False)

    @property
    def id(self) -> str:
        """`processor.mail`, or `age` for a table without a name."""
        return f"{self.section}.{self.name}" if self.name else self.section


@dataclass(frozen=True, slots=True)
class Clause:
    """One published sentence, what it says as data, and the names of the code that makes and checks it true.

    `feature` is the part without which it is not published. `en` and `zh` say the same.
    """

    id: str
    kind: Literal["sign_up", "keep", "use", "end", "claim", "feature", "part"]
    says: Mapping[str, object] = field(hash=False)
    en: str
    zh: str
    controls: tuple[str, ...]
    probes: tuple[str, ...]
    feature: str | None = None
    answers: tuple[str, ...] = ()
    """Rows of a list of promises that this sentence answers; not published."""
    operator_choice: bool = False
    placeholder: bool = False
    evidence: str | None = None
    """The document that must be valid for the sentence to be published."""


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
    prevailing: str | None = None
    parts: Mapping[str, Part] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """The other tables by id: `operator`, `contact.privacy`, `processor.NAME` …"""
    answers: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False, repr=False)
    """Rows answered by single clauses, by clause id."""

    def named(self, section: str) -> tuple[Part, ...]:
        """The tables `[SECTION.NAME]`, in the order of the file."""
        return tuple(part for part in self.parts.values() if part.section == section)


def digest(text: str) -> str:
    """SHA-256 of `text`, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
