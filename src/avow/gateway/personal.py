"""Personal data that is known by its form: addresses, telephone, card and account numbers, in time proportional to the text.

What has a check digit is checked (cards: ISO/IEC 7812-1, accounts: ISO 13616), so that few other numbers are taken for one.
Names and what somebody tells about themselves have no form; nothing here finds them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

from avow.base import cards
from avow.policy import patterns

PHONE_DIGITS_MIN = 7


class Span(NamedTuple):
    """Where a piece stands in a text, and of what kind it is."""

    start: int
    end: int
    kind: str


class Piece(Protocol):
    """What stands from `start` to `end` of a text."""

    @property
    def start(self) -> int: ...

    @property
    def end(self) -> int: ...


P = TypeVar("P", bound=Piece)


def _is_iban(text: str) -> bool:
    digits = re.sub(r"\W", "", text).upper()
    turned = digits[4:] + digits[:4]
    return len(digits) >= 15 and int("".join(str(int(each, 36)) for each in turned)) % 97 == 1


def _is_ip(text: str) -> bool:
    """Of the new addresses (RFC 4291) those with two groups that have a digit, or all eight, for
    programs have names such as `dec::add`."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    groups = text.split(":")
    return "." in text or len(groups) == 8 or sum(any(map(str.isdigit, each)) for each in groups) >= 2


def _stands_alone(text: str, start: int, end: int) -> bool:
    around = text[max(0, start - 1) : start] + text[end : end + 1]
    return ":" not in text[start:end] or _BORDERING.search(around) is None


def _is_phone(text: str) -> bool:
    return sum(each.isdigit() for each in text) >= PHONE_DIGITS_MIN


_BORDERING = re.compile(r"[0-9A-Za-z:]")
_PATTERNS: Mapping[str, tuple[str, Callable[[str], bool]]] = {
    "email": (r"[A-Za-z0-9._%+\-]{1,64}@[A-Za-z0-9\-]{1,63}(?:\.[A-Za-z0-9\-]{1,63}){1,8}", lambda _: True),
    "iban": (r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", _is_iban),
    "ip": (
        r"(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b|\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b"
        r"|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}",
        _is_ip,
    ),
    # With its country, or behind a zero and in groups, as numbers are written for people.
    "phone": (r"\+[0-9](?:[ \-/.()]{0,2}[0-9]){6,14}\b|\b0[0-9]{1,4}[ \-/.](?:[ \-/.]?[0-9]){4,10}\b", _is_phone),
}
KINDS = ("card", *_PATTERNS)
"""In this order: of two that begin at one place the first is taken."""


def find(text: str, kinds: frozenset[str], begin: int = 0) -> list[Span]:
    """The pieces of `kinds` in a text that begin at `begin` or behind it, from left to right, none within another."""
    return apart([each for kind in KINDS if kind in kinds for each in _of(kind, text, begin)])


def apart(pieces: Iterable[P]) -> list[P]:
    """From left to right, each behind the one before; of those that begin at one place the first of the list."""
    found: list[P] = []
    for each in sorted(pieces, key=lambda piece: piece.start):
        if not found or each.start >= found[-1].end:
            found.append(each)
    return found


def _of(kind: str, text: str, begin: int) -> list[Span]:
    if kind == "card":
        return [each for each in _cards(text) if each.start >= begin]
    pattern, holds = _PATTERNS[kind]
    made: Any = patterns.compiled(pattern)
    found = [Span(each.start(), each.end(), kind) for each in made.finditer(text, begin) if holds(each.group())]
    return [each for each in found if kind != "ip" or _stands_alone(text, each.start, each.end)]


def _cards(text: str) -> list[Span]:
    """Where masking changes something: up to the last digit, which masking leaves."""
    masked = cards.mask(text)
    if masked == text:
        return []
    changed = [place for place, (old, new) in enumerate(zip(text, masked, strict=True)) if old != new]
    found: list[Span] = []
    for place in changed:
        if found and place - found[-1].end <= 3:
            found[-1] = Span(found[-1].start, place + 1, "card")
        else:
            found.append(Span(place, place + 1, "card"))
    return [Span(each.start, _last_digits(text, each.end), "card") for each in found]


def _last_digits(text: str, end: int) -> int:
    left = cards.DIGITS_SHOWN
    while end < len(text) and left:
        left -= text[end].isdigit()
        end += 1
    return end
