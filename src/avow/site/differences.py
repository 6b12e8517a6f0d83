"""Two texts of one sentence, set against each other piece by piece: by words, or by characters where there are none."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal, NamedTuple

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_MARKS_ZH = re.compile(r"[0-9A-Za-z]+|\s+|.", re.DOTALL)
ALIKE_MIN = 0.4
"""Below this share of common pieces the old text stands whole before the new one: patchwork cannot be read."""


class Piece(NamedTuple):
    """A run of text that stayed, is gone, or is new."""

    kind: Literal["same", "old", "new"]
    text: str


def marked(old: str, new: str, locale: str) -> list[Piece]:
    """The pieces of both texts in reading order; what is gone stands before what came in its place."""
    split = _MARKS_ZH if locale == "zh" else _WORDS
    before, after = split.findall(old), split.findall(new)
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    if not old or not new or matcher.ratio() < ALIKE_MIN:
        return [piece for piece in (Piece("old", old), Piece("new", new)) if piece.text]
    found: list[Piece] = []
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind == "equal":
            found.append(Piece("same", "".join(before[a:b])))
            continue
        found += [p for p in (Piece("old", "".join(before[a:b])), Piece("new", "".join(after[c:d]))) if p.text]
    return found
