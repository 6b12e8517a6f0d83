"""The keys of the policy language, declared once: the parser, its hints and the reference page read this table."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from avow.policy import terms, words

TEXT_BYTES_MAX = 1_000_000
DEPTH_MAX = 16
PROBLEMS_MAX = 1_000
KEY_CHARS_SHOWN_MAX = 60

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
FIELD = re.compile(r"[a-z][a-z0-9_]{0,62}")
ROW = re.compile(r"[A-Z]{2,8}-[0-9]{1,3}(?:\.[0-9]{1,3}){0,2}")
LINE = re.compile(r"[^\x00-\x1f\x7f<>{}]{1,200}")
PROSE = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f<>{}]{1,100000}")
EMAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
SITE = re.compile(r"https://[A-Za-z0-9.-]{1,200}(?:/[A-Za-z0-9._~/-]{0,200})?")
FRAME = re.compile(r"https://[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){1,8}(?::[0-9]{1,5})?/[A-Za-z0-9._~/-]{0,200}")
QUERY = re.compile(r"[A-Za-z0-9_.-]{1,60}=[A-Za-z0-9_.-]{1,60}")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}(?:-[0-9]{2})?")
PATTERN = re.compile(r"[^\x00-\x1f\x7f]{1,500}")
DIGEST = re.compile(r"[0-9a-f]{64}")
JURISDICTION = re.compile(r"default|EU|[A-Z]{2}(?:-[A-Z]{2})?")
PERIOD = re.compile(r"(?:(at most|at least) )?([1-9][0-9]{0,5}) (hour|day|month|year)(s?)")
AMOUNT_MAX = {"hours": 876_000, "days": 36_500, "months": 1_200, "years": 100}
VERSION_MAX = 2**31 - 1


Strict = Literal["free", "fewer", "more", "lower", "higher", "shorter", "earlier", "yes", "no", "given"]
"""Which of two values is the stricter: fewer or more elements, the lower or higher number, the shorter period, the word
that stands earlier in `words`, `true` or `false`, any against none. `free`: none is; the newer version's counts."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: what it means, what it takes, and the strictest value, which the hint for a missing key proposes.

    `words` are the only values (for a list: elements) taken; without them `shape` says how a text must look.
    """

    name: str
    takes: Literal["text", "integer", "flag", "list", "keep", "date", "ages", "periods"]
    meaning: str
    strictest: str
    required: bool = True
    words: Collection[str] | None = None
    shape: re.Pattern[str] | None = None
    shape_in_words: str = ""
    clause: Literal["keep", "use", "end"] = "keep"
    """For a key of a category: the clause that publishes it."""
    strict: Strict = "free"
    ordered: bool = False
    """A list whose order means something, such as the lines of an address."""


POLICY = (
    Key(
        "name",
        "text",
        "The name of the policy.",
        '"default"',
        shape=NAME,
        shape_in_words="Use small letters, digits and hyphens, 63 at most",
    ),
    Key("version", "integer", "Counts up with each published change; every stored fact carries it.", "1"),
    Key(
        "features",
        "list",
        "The parts of Avow that the policy speaks of. The sentences of a part that is not installed are not published.",
        "[]",
        required=False,
        words=words.FEATURES,
    ),
    Key(
        "claims",
        "list",
        "Sentences about the whole platform to publish. Each is checked by the probes named with it.",
        "[]",
        required=False,
        words=words.CLAIMS,
        strict="more",
    ),
    Key(
        "prevailing",
        "text",
        "The language whose text counts where the texts differ.",
        '"en"',
        required=False,
        words=terms.LOCALES,
    ),
)
"""The keys at the top of the file; beside them stand the tables."""

COMMON = (
    Key(
        "answers",
        "list",
        "The rows of a list of promises that this table answers. Not published.",
        "[]",
        required=False,
        shape=ROW,
        shape_in_words="Write a row's id, such as INF-3.4",
    ),
    Key(
        "operator_choice",
        "flag",
        "`true`: the source that this policy follows gives no such value; it is published as the operator's own choice.",
        "false",
        required=False,
    ),
    Key(
        "placeholder",
        "flag",
        "`true`: an example that stands for the operator's own; `avow serve` does not publish it.",
        "false",
        required=False,
    ),
)
"""The keys that every table takes."""

CHOOSES = Key(
    "operator_chooses",
    "list",
    "The keys of this table whose values are the operator's own choice, where only some are.",
    "[]",
    required=False,
    shape=FIELD,
    shape_in_words="Name keys of the table",
)
"""Taken by every table but `[account]` and `[category.NAME]`."""

ACCOUNT = (
    Key(
        "fields",
        "list",
        "What sign-up takes besides the password. Any other field is refused and stored nowhere.",
        '["email"]',
        words=words.ACCOUNT_FIELDS,
        strict="fewer",
    ),
    Key(
        "required",
        "list",
        "The fields without which sign-up is refused.",
        '["email"]',
        words=words.ACCOUNT_FIELDS,
        strict="fewer",
    ),
    Key(
        "unconfirmed",
        "keep",
        "Where an address must be confirmed (`avow serve`): how long an account stays whose address nobody has confirmed; "
        "left out: no such end.",
        '"24 hours"',
        required=False,
        strict="shorter",
    ),
)

CATEGORY = (
    Key(
        "fields",
        "list",
        "Everything that may be stored of this category. A store that holds another field keeps the program from "
        "starting.",
        "[the fields that are stored, and no more]",
        shape=FIELD,
        shape_in_words="Use small letters, digits and underscores, 63 at most; begin with a letter",
        strict="fewer",
    ),
    Key(
        "purposes",
        "list",
        "What it may be used for. Opening it for anything else is refused; its owner may always read it and take it "
        "along.",
        '["service"]',
        words=words.PURPOSES,
        clause="use",
        strict="fewer",
    ),
    Key(
        "basis",
        "text",
        "The legal ground. With `consent` each purpose needs the consent of the person before it is used.",
        '"consent"',
        words=words.BASES,
        clause="use",
        strict="earlier",
    ),
    Key(
        "keep",
        "keep",
        "How long a fact stays: a period, `life of the account`, or `0` (never stored).",
        '"0"',
        strict="shorter",
    ),
    Key(
        "clock",
        "text",
        "The instant from which the period counts.",
        '"collection"',
        required=False,
        words=words.CLOCKS,
    ),
    Key(
        "on_expiry",
        "text",
        "What happens at the end of the period.",
        '"delete"',
        words=words.EXPIRY,
        strict="earlier",
    ),
    Key(
        "on_erasure",
        "text",
        "What happens when the person asks for erasure.",
        '"delete"',
        words=words.ERASURE,
        clause="end",
        strict="earlier",
    ),
    Key(
        "ask",
        "flag",
        "`true`: nothing is kept unless the tenant asks for it, and then no longer than `keep`.",
        "true",
        required=False,
        strict="yes",
    ),
    Key(
        "staff",
        "list",
        "Staff roles that may open it, each time with a recorded reason. Nobody if left out.",
        "[]",
        required=False,
        words=words.STAFF,
        clause="use",
        strict="fewer",
    ),
    Key(
        "without",
        "list",
        "Those of `fields` that are never stored, although the platform has room for them.",
        "[the fields that nobody needs]",
        required=False,
        shape=FIELD,
        shape_in_words="Name fields that stand in `fields`",
        strict="more",
    ),
    Key(
        "source",
        "text",
        "Where it comes from.",
        '"user"',
        required=False,
        words=words.SOURCES,
        clause="use",
    ),
    Key(
        "owner",
        "text",
        "Whose data it is: the person's, or the whole tenant's. Nobody else may read it as their own.",
        '"person"',
        required=False,
        words=words.OWNERS,
        clause="use",
        strict="earlier",
    ),
    Key(
        "grace",
        "keep",
        "For `life of the account`: how long it stays, frozen, after the account is closed. A direct request for "
        "erasure does not wait for it.",
        '"0"',
        required=False,
        strict="shorter",
    ),
    Key(
        "gone_within",
        "keep",
        "For `life of the account`: the latest time after the account is closed at which nothing is left.",
        '"0"',
        required=False,
        strict="shorter",
    ),
    Key(
        "ends_with_account",
        "flag",
        "`true`: the period ends early when the account does.",
        "true",
        required=False,
        strict="yes",
    ),
    Key(
        "saved",
        "keep",
        "How long a fact stays that its owner marked to be kept; left out: none can be marked.",
        '"0"',
        required=False,
        strict="shorter",
    ),
    Key(
        "self_service",
        "flag",
        "`true`: its owner can delete each fact at any time, and at once.",
        "true",
        required=False,
        strict="yes",
    ),
    Key(
        "opt_out",
        "flag",
        '`true`: its owner can have nothing of it stored, for the account or for one request. Needs an "at most" period.',
        "true",
        required=False,
        strict="yes",
    ),
)
