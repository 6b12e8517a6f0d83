"""Rules of filters for the tests, and what a gateway under them leaves behind."""

from __future__ import annotations

import hashlib
import json

from sqlalchemy import select

from avow.gateway import filters, tables
from avow.policy import parse

from . import shown
from .house import HELLO, MODEL, TEXT

PICTURE = shown.png(5, 5)
BAD = "A text that is known to be bad"


def rule(name, finds, stages, action, **how):
    """A filter as it stands in a policy; `how`: by what it finds."""
    written = {"finds": finds, "stages": stages.split(), "action": action, **how}
    lines = (f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in written.items())
    return "\n".join(("", f"[filter.{name}]", *lines, ""))


PRIVATE = rule("private", "personal", "prompt", "redact", personal=["email"])
RULES = "".join(
    [
        rule(
            *("house", "house", "prompt output", "block"),
            words=["zebra crossing", "斑马"],
            patterns=[r"(?i)forbidden\s+fruit"],
        ),
        rule("known", "illicit", "prompt", "block", hashes=[filters.digest(BAD)]),
        rule("pictures", "minors", "image", "block", hashes=[hashlib.sha256(PICTURE).hexdigest()]),
        rule("files", "illicit", "upload", "block", words=["wormwood"]),
        rule(
            *("private", "personal", "prompt", "redact"),
            personal=["email", "phone", "card", "iban", "ip"],
            restores=True,
        ),
        rule("told", "personal", "output", "redact", personal=["email"]),
        rule("mood", "hate", "prompt output", "flag", words=["grumble"]),
    ]
)
ASK = {"model": MODEL, "messages": HELLO}


def policy_of(rules):
    text = TEXT.replace('features = ["tls"', 'features = ["tls", "processors", "filter"')
    never = 'purposes = ["abuse", "security"]\nbasis = "interest"\nkeep = "0"'
    return parse(text.replace(never, never.replace('"0"', '"at most 30 days"')) + rules)


def searching(rules=RULES):
    made = filters.build(policy_of(rules))
    assert made is not None
    return made


FOUND = searching()


def said(text):
    return {**ASK, "messages": [{"role": "user", "content": text}]}


async def decisions(house):
    async with house.databases.keeper.begin() as c:
        return list((await c.execute(select(tables.filter_decision).order_by(tables.filter_decision.c.id))).all())
