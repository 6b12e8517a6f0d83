"""Payment card numbers in what people write: found and masked before anything is stored, logged or mailed.

A card number is 13 to 19 digits that end in Luhn's check digit (ISO/IEC 7812-1) and begin as cards of payment networks do,
alone or in groups between spaces, hyphens or dots. Its last four digits stay, so that its owner knows it again. By chance one
other number in ten of that length has the same form and is masked too; ids of ours and telephone numbers that begin with + are
known apart, and so is what stands before the @ of an address. Where a text may have been cut off (`cut`), digits at its very
end may be the beginning of a card number: from 13 on they are masked without a check digit.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from functools import partial
from itertools import accumulate
from typing import Final

DIGITS_MIN, DIGITS_MAX = 13, 19
DIGITS_SHOWN = 4

_SEPARATORS: Final = " -.\u00a0\u2007\u2009\u202f\u2010\u2011\u2012\u2013\u3000\uff0d"
_ANY: Final = "0-9A-Za-z０-９"
_RUN: Final = re.compile(
    rf"""
    (?<! [{_ANY}] ) [0-9a-f]{{8}} (?: - [0-9a-f]{{4}} ){{3}} - [0-9a-f]{{12}} (?! [{_ANY}] )   # a UUID, to step over it
    | \+ [0-9] (?: [ -]? [0-9] ){{0,14}} (?! [ -]? [0-9] )                                     # a telephone number, too
    | (?<! [{_ANY}] ) (?P<run> [0-9０-９] (?: [{re.escape(_SEPARATORS)}]{{0,2}} [0-9０-９] ){{12,}} )
      (?! [{_ANY}] | @ [{_ANY}] )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_GROUP: Final = re.compile("[0-9０-９]+")
_BEGIN: Final = re.compile("[2-6]|8[12]|9")
_TO_DIGITS: Final = dict.fromkeys(map(ord, _SEPARATORS)) | {ord("０") + n: str(n) for n in range(10)}
_VALUES: Final = bytes(each - 48 if 48 <= each <= 57 else 0 for each in range(256))
_DOUBLED: Final = bytes(sum(divmod(2 * each, 10)) if each < 10 else 0 for each in range(256))
_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|(?<![\d.eE+-])\d+(?![\d.eE+-])', re.DOTALL)

# For a quick look: digits become 0, what may stand between them goes, anything else is in the way.
_KINDS: Final = bytes(ord("0") if 48 <= each <= 57 else ord("x") for each in range(256))
_BETWEEN: Final = b" -." + bytes(range(128, 256))
# What may also stand in an escape: digits, and separators that are no ASCII.
_ESCAPED: Final = re.compile(rb"\\u(?:00[23a]|20(?:0[79]|1[0-3]|2f)|3000|ff[01])", re.IGNORECASE)
_RUN_OF_ZEROS: Final = b"0" * DIGITS_MIN
# A quicker look first: every second byte of such a run is a digit or stands between two.
_MAYBE: Final = bytes(ord("0") if 48 <= each <= 57 or each in _BETWEEN else ord("x") for each in range(256))
_HALF_A_RUN: Final = b"0" * (DIGITS_MIN // 2)


def mask(text: str, *, cut: bool = False) -> str:
    """The text with all but the last four digits of each card number as `*`; its length stays."""
    return _RUN.sub(partial(_mask_run, cut), text)


def mask_json(payload: bytes, is_cut: Callable[[], bool] | None = None) -> bytes:
    """JSON with the card numbers in its texts, names and whole numbers masked; whatever else it says stays as it was.

    A whole number that is masked becomes a text. `is_cut` says whether its texts may end in the middle of something; it is asked
    only where there may be a number at all.
    """
    at = payload[::2].translate(_MAYBE).find(_HALF_A_RUN)
    if (
        (at < 0 or payload[max(2 * at - 1, 0) :].translate(_KINDS, _BETWEEN).find(_RUN_OF_ZEROS) < 0)
        # one byte is found many times as quickly as two
        and (payload.find(b"\xef") < 0 or payload.find(b"\xef\xbc") < 0)  # full-width digits
        and (payload.find(b"\\") < 0 or not _ESCAPED.search(payload))
    ):
        return payload
    mask_token = partial(_mask_token, is_cut is not None and is_cut())
    return _TOKEN.sub(mask_token, payload.decode(errors="surrogateescape")).encode(errors="surrogateescape")


def _mask_token(cut: bool, match: re.Match[str]) -> str:
    token = match[0]
    is_text = token.startswith('"')
    text = str(json.loads(token)) if is_text else token  # a number can have more digits than Python would read
    masked = mask(text, cut=cut and is_text)
    return token if masked == text else json.dumps(masked)


def _mask_run(cut: bool, match: re.Match[str]) -> str:
    if match["run"] is None:
        return match[0]
    shown = list(match[0])
    for start, end in _cards(match[0], cut and match.end() == len(match.string)):
        digits = [at for at in range(start, end) if shown[at].isdigit()]
        for at in digits[:-DIGITS_SHOWN]:
            shown[at] = "*"
    return "".join(shown)


def _cards(run: str, cut: bool) -> Iterator[tuple[int, int]]:
    """Where card numbers stand in a run, from the left and the longest first; they begin and end with a group. `cut`: what
    is left at the run's end may be the beginning of one. Takes time in proportion to the run."""
    groups = [group.span() for group in _GROUP.finditer(run)]
    digits = _Digits(run)
    begins = list(accumulate((end - start for start, end in groups), initial=0))
    first = 0
    while first < len(groups):
        begin = begins[first]
        near = bisect_right(begins, begin + DIGITS_MAX) - 1
        last = None
        if _BEGIN.match(digits.text, begin):
            last = next(
                (
                    each - 1
                    for each in range(near, first, -1)
                    if begins[each] - begin >= DIGITS_MIN
                    and digits.end_in_check_digit(begin, begins[each])
                    and _is_grouped(run, groups[first:each])
                ),
                None,
            )
            if last is None and cut and near == len(groups) and DIGITS_MIN <= begins[near] - begin < DIGITS_MAX:
                last = near - 1
        if last is not None:
            yield groups[first][0], groups[last][1]
        first = first + 1 if last is None else last + 1


def _is_grouped(run: str, groups: list[tuple[int, int]]) -> bool:
    """A dot is more often the point of a number: it stands between the groups that cards are printed in."""
    return "." not in run[groups[0][0] : groups[-1][1]] or all(4 <= end - start <= 6 for start, end in groups[:-1])


class _Digits:
    """The digits of a run, and Luhn's sums over them for both places that the check digit may have, summed up from the left."""

    def __init__(self, run: str) -> None:
        self.text = run.translate(_TO_DIGITS)
        plain = self.text.encode().translate(_VALUES)
        doubled = plain.translate(_DOUBLED)
        sums = bytearray(plain), bytearray(doubled)
        sums[0][1::2], sums[1][1::2] = doubled[1::2], plain[1::2]
        self._sums = [list(accumulate(each, initial=0)) for each in sums]

    def end_in_check_digit(self, begin: int, end: int) -> bool:
        sums = self._sums[(end - 1) % 2]
        return (sums[end] - sums[begin]) % 10 == 0
