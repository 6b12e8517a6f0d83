"""Patterns that an operator writes, as RE2 reads them: the time that they take grows with the text and nothing else.

No pattern can stall a request: RE2 has no look-around and no back-references, and each pattern may use so much memory only.
"""

import re
from functools import cache
from typing import Any

import re2

MEMORY_BYTES_MAX = 4 * 1024 * 1024
_EDGE = re.compile(r"[0-9A-Za-z_]")


class PatternWrong(ValueError):
    """What is wrong with a pattern, in a sentence that can stand behind `it …`."""


@cache
def compiled(pattern: str) -> Any:
    """A pattern. Raises PatternWrong for one that RE2 does not take, or that matches where nothing stands."""
    options = re2.Options()
    options.max_mem = MEMORY_BYTES_MAX
    options.log_errors = False
    try:
        made = re2.compile(pattern, options)
    except re2.error:
        raise PatternWrong("is no pattern that RE2 takes, or too large") from None
    if made.search("") is not None:
        raise PatternWrong("matches an empty text")
    return made


def of_words(words: tuple[str, ...]) -> str:
    """A pattern that finds each of `words` in small and capital letters, whole where it begins and ends with a Latin letter
    or digit (Chinese is written without spaces)."""
    return "(?i)" + "|".join(
        (r"\b" if _EDGE.match(word) else "") + re2.escape(word) + (r"\b" if _EDGE.match(word[-1]) else "")
        for word in sorted(words, key=len, reverse=True)
    )
