"""The problems of one policy file, gathered with the line that each is about."""

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches

from avow.policy import language
from avow.policy.lines import Path
from avow.policy.model import Problem


class Report:
    """Collects problems; `where` is the line index of the text that they are about."""

    def __init__(self, source: str, where: Mapping[Path, int]) -> None:
        self.source = source
        self.where = where
        self.problems: list[Problem] = []

    def line(self, path: Path) -> int:
        """The line of `path`, or of the nearest table around it that the text names."""
        while path and path not in self.where:
            path = path[:-1]
        return self.where.get(path, 1)

    def add(self, path: Path, sentence: str, hint: str, name: str = "") -> None:
        """Notes a problem. Those beyond a thousand are dropped: nobody reads on, and a hostile text can hold more."""
        if not self.full():
            self.problems.append(Problem(self.source, self.line(path), dotted(path), sentence, hint, name=name))

    def add_unknown(self, path: Path, sentence: str, name: str, known: Collection[str]) -> None:
        """Notes a word that is not in `known`, with the nearest that is."""
        if not self.full():
            self.add(path, sentence, nearest(name, known))

    def full(self) -> bool:
        """Whether further problems would be dropped."""
        return len(self.problems) >= language.PROBLEMS_MAX

    def ordered(self) -> tuple[Problem, ...]:
        """The problems in the order of their lines."""
        return tuple(sorted(self.problems, key=lambda problem: problem.line))


def dotted(path: Path) -> str:
    """`category.usage.keep`; long or odd keys are shown in part, quoted."""
    return ".".join(shown(key) for key in path)


def shown(word: object) -> str:
    """A key or value as a problem names it: cut to a length, without characters that could disturb a terminal."""
    text = str(word)
    if len(text) > language.KEY_CHARS_SHOWN_MAX:
        text = text[: language.KEY_CHARS_SHOWN_MAX] + "…"
    return text if re.fullmatch(r"[\w-]+", text, re.ASCII) else ascii(text)


def nearest(name: str, known: Collection[str]) -> str:
    """A hint: the known word that `name` is probably meant to be, else all that are known."""
    # Comparing costs time in proportion to the length; a word of a thousand letters is no slip of the finger.
    close = get_close_matches(name, known, 1) if len(name) <= language.KEY_CHARS_SHOWN_MAX else []
    return f"Did you mean {close[0]}?" if close else f"Known are: {', '.join(known)}."
