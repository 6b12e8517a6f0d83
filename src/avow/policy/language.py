"""The keys of the policy language, declared once: the parser, its hints and the reference page read this table."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from avow.policy import words

TEXT_BYTES_MAX = 1_000_000
DEPTH_MAX = 16
PROBLEMS_MAX = 1_000
KEY_CHARS_SHOWN_MAX = 60

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
FIELD = re.compile(r"[a-z][a-z0-9_]{0,62}")
PERIOD = re.compile(r"(?:(at most|at least) )?([1-9][0-9]{0,5}) (hour|day|month|year)(s?)")
AMOUNT_MAX = {"hours": 876_000, "days": 36_500, "months": 1_200, "years": 100}
VERSION_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Key:
    """One key: what it means, what it takes, and the strictest value, which the hint for a missing key proposes.

    `words` are the only values (for a list: elements) taken; without them `shape` says how a text must look.
    """

    name: str
    takes: Literal["text", "integer", "flag", "list", "keep"]
    meaning: str
    strictest: str
    required: bool = True
    words: Collection[str] | None = None
    shape: re.Pattern[str] | None = None
    shape_in_words: str = ""
    clause: Literal["keep", "use", "end"] = "keep"
    """For a key of a category: the clause that publishes it."""


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
    ),
)
"""The keys at the top of the file; beside them stand the tables `[account]` and `[category.NAME]`."""

ACCOUNT = (
    Key(
        "fields",
        "list",
        "What sign-up takes besides the password. Any other field is refused and stored nowhere.",
        '["email"]',
        words=words.ACCOUNT_FIELDS,
    ),
    Key("required", "list", "The fields without which sign-up is refused.", '["email"]', words=words.ACCOUNT_FIELDS),
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
    ),
    Key(
        "purposes",
        "list",
        "What it may be used for. Opening it for anything else is refused; its owner may always read it and take it "
        "along.",
        '["service"]',
        words=words.PURPOSES,
        clause="use",
    ),
    Key(
        "basis",
        "text",
        "The legal ground. With `consent` each purpose needs the consent of the person before it is used.",
        '"consent"',
        words=words.BASES,
        clause="use",
    ),
    Key(
        "keep",
        "keep",
        "How long a fact stays: a period, `life of the account`, or `0` (never stored).",
        '"0"',
    ),
    Key(
        "clock",
        "text",
        "The instant from which the period counts.",
        '"collection"',
        required=False,
        words=words.CLOCKS,
    ),
    Key("on_expiry", "text", "What happens at the end of the period.", '"delete"', words=words.EXPIRY),
    Key(
        "on_erasure",
        "text",
        "What happens when the person asks for erasure.",
        '"delete"',
        words=words.ERASURE,
        clause="end",
    ),
    Key(
        "ask",
        "flag",
        "`true`: nothing is kept unless the tenant asks for it, and then no longer than `keep`.",
        "true",
        required=False,
    ),
    Key(
        "staff",
        "list",
        "Staff roles that may open it, each time with a recorded reason. Nobody if left out.",
        "[]",
        required=False,
        words=words.STAFF,
        clause="use",
    ),
)
