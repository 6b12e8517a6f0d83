"""Passwords that are guessed first: common ones, and those put together from few common pieces.

NIST 800-63B-4 §3.1.1.2 asks to refuse passwords that were breached, words of dictionaries and names of the service or its
user. The lists are those of zxcvbn (MIT; 30,000 breached passwords, words and names), read from its package: nothing is
fetched. Its estimator is not used: substituted letters (`4@8({[<`) keep it busy for seconds. Instead a password is cut
from left to right into the longest pieces known, and its different pieces are counted. The work is linear in its length.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from zxcvbn.frequency_lists import FREQUENCY_LISTS

PIECES_MIN: Final = 3
WORD_LENGTH_MIN: Final = 4
WORD_LENGTH_MAX: Final = 24
YEAR_LENGTH: Final = 4
"""As many digits are one piece: a year, a day and month, a PIN."""
WORDS: Final = frozenset(word for word in chain(*FREQUENCY_LISTS.values()) if len(word) >= WORD_LENGTH_MIN)
ROWS: Final = "abcdefghijklmnopqrstuvwxyz 01234567890 qwertyuiop asdfghjkl zxcvbnm qwertzuiop yxcvbnm azertyuiop"
RUNS: Final = frozenset(ROWS[at : at + 2] for at in range(len(ROWS) - 1))
LETTERS: Final = str.maketrans("43105$@7!", "aeiossati")
SEPARATORS: Final = re.compile(r"[\s\-_.,]+")


def is_common(password: str, context: Iterable[str] = ()) -> bool:
    """Tell whether a password is made of fewer than three different pieces that a guesser has.

    `context` are texts about the person and the place (an address, a host name): their words count as known too.
    """
    plain = password.casefold()
    about = frozenset(
        word for each in context for word in re.split(r"\W+|_", each.casefold()) if len(word) >= WORD_LENGTH_MIN
    )
    return any(len(set(pieces(form, about))) < PIECES_MIN for form in (plain, plain.translate(LETTERS)))


def pieces(plain: str, about: frozenset[str] = frozenset()) -> Iterator[str]:
    """Cut a text in lower case into pieces: a known word, a run as of a keyboard, up to four digits, else one character."""
    for part in SEPARATORS.split(plain):
        at = 0
        while at < len(part):
            length = max(word_length(part, at, about), run_length(part, at), digits_length(part, at), 1)
            yield part[at : at + length]
            at += length


def word_length(text: str, at: int, about: frozenset[str]) -> int:
    """The length of the longest known word that begins here; 0: none does."""
    for length in range(min(WORD_LENGTH_MAX, len(text) - at), WORD_LENGTH_MIN - 1, -1):
        if text[at : at + length] in WORDS or text[at : at + length] in about:
            return length
    return 0


def run_length(text: str, at: int) -> int:
    """The length of the run that begins here: one character repeated, or neighbours in the alphabet or on a keyboard."""
    end = at + 1
    while end < len(text) and (
        text[end] == text[end - 1] or text[end - 1 : end + 1] in RUNS or text[end] + text[end - 1] in RUNS
    ):
        end += 1
    return end - at


def digits_length(text: str, at: int) -> int:
    """How many digits stand here, up to four."""
    end = at
    while end < min(len(text), at + YEAR_LENGTH) and text[end].isdigit():
        end += 1
    return end - at
