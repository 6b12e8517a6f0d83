"""Which line of a TOML text a key stands on. `tomllib` does not say, and a problem without its line is half a problem.

The index reads only the shape of a text: where keys and elements begin, which brackets hold them. It never judges;
what it does not understand it steps over, since `tomllib` refuses the text afterwards. It also bounds the nesting,
which `tomllib` does not do.
"""

import re
from collections.abc import Mapping

Path = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
# A string that is not closed runs to the end of its line, or of the text: so none is ever read twice.
_STRING = re.compile(
    r'"""[^"\\]*(?:(?:\\[\s\S]|"{1,2}(?!"))[^"\\]*)*(?:"{3,5}|\\?\Z)'
    r"|\'\'\'[^']*(?:'{1,2}(?!')[^']*)*(?:'{3,5}|\Z)"
    r'|"[^"\\\n]*(?:\\[^\n][^"\\\n]*)*"?'
    r"|'[^'\n]*'?"
)
_STRING_OR_SCALAR = re.compile(rf"{_STRING.pattern}|[^,\[\]{{}}#\n\"']+")
_REST = re.compile(r"[^\n]*")
_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([btnfr"\\]))')
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


class TooDeep(ValueError):
    """Tables, arrays or dotted keys are nested deeper than the limit; `line` says where."""

    def __init__(self, line: int) -> None:
        super().__init__(f"nested too deep on line {line}")
        self.line = line


def index(text: str, depth_max: int) -> Mapping[Path, int]:
    """The line, counted from 1, of each key, table and array element of `text`; raises only TooDeep.

    Elements of arrays, also of arrays of tables, are numbered from 0. A table has the line where it is first named.
    """
    return _Index(text.replace("\r\n", "\n"), depth_max).read()


class _Index:
    def __init__(self, text: str, depth_max: int) -> None:
        self.text = text
        self.depth_max = depth_max
        self.place = 0
        self.line = 1
        self.lines: dict[Path, int] = {}
        self.tables_in: dict[Path, int] = {}

    def read(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_BETWEEN)
        while self.place < len(self.text):
            if self._peek() == "[":
                table = self._header()
            else:
                self._pair(table, depth=0)
            self._skip(_REST)
            self._skip(_BETWEEN)
        return self.lines

    def _header(self) -> Path:
        many = self.text.startswith("[[", self.place)
        self.place += 2 if many else 1
        keys, line = self._keys(), self.line
        path: Path = ()
        for key in keys[:-1]:
            path = self._note((*path, key), line)
            if path in self.tables_in:
                path = (*path, self.tables_in[path] - 1)
        if not keys:
            return path
        path = self._note((*path, keys[-1]), line)
        if many:
            self.tables_in[path] = self.tables_in.get(path, 0) + 1
            path = self._note((*path, self.tables_in[path] - 1), line)
        return path

    def _pair(self, table: Path, depth: int) -> None:
        line = self.line
        path = table
        for key in self._keys():
            path = self._note((*path, key), line)
        self._skip(_BLANK)
        if self._peek() == "=":
            self.place += 1
            self._skip(_BLANK)
            self._value(path, depth)

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip(_BLANK)
            found = _BARE.match(self.text, self.place) or _STRING.match(self.text, self.place)
            if found is None:
                return keys
            keys.append(_plain(found.group()))
            if len(keys) > self.depth_max:
                raise TooDeep(self.line)
            self._pass(found.end())
            self._skip(_BLANK)
            if self._peek() != ".":
                return keys
            self.place += 1

    def _value(self, path: Path, depth: int) -> None:
        if depth > self.depth_max:
            raise TooDeep(self.line)
        first = self._peek()
        if first == "[":
            self._array(path, depth + 1)
        elif first == "{":
            self._inline(path, depth + 1)
        else:
            self._skip(_STRING_OR_SCALAR)

    def _array(self, path: Path, depth: int) -> None:
        self.place += 1
        number = 0
        while self._inside("]"):
            start = self.place
            self._value(self._note((*path, number), self.line), depth)
            self._comma(start)
            number += 1

    def _inline(self, path: Path, depth: int) -> None:
        self.place += 1
        while self._inside("}"):
            start = self.place
            self._pair(path, depth)
            self._comma(start)

    def _inside(self, close: str) -> bool:
        """Steps over blanks; False, past the bracket, at the closing one or at the end of the text."""
        self._skip(_BETWEEN)
        here = self._peek()
        if here in ("", close):
            self.place += len(here)
            return False
        return True

    def _comma(self, start: int) -> None:
        self._skip(_BETWEEN)
        # Something that is no element has not moved the place: it is stepped over, so that every text comes to its end.
        if self._peek() == "," or self.place == start:
            self._pass(self.place + 1)

    def _note(self, path: Path, line: int) -> Path:
        self.lines.setdefault(path, line)
        return path

    def _peek(self) -> str:
        return self.text[self.place : self.place + 1]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self.text, self.place)
        if found is not None:
            self._pass(found.end())

    def _pass(self, end: int) -> None:
        self.line += self.text.count("\n", self.place, end)
        self.place = end


def _plain(key: str) -> str:
    if key.startswith('"'):
        return _ESCAPE.sub(_character, key.strip('"') if key.startswith('"""') else key[1:-1])
    return key.strip("'") if key.startswith("'") else key


def _character(found: re.Match[str]) -> str:
    code = found[1] or found[2]
    if code is None:
        return _ESCAPED.get(found[3], found[3])
    number = int(code, 16)
    return chr(number) if number < 0x110000 else found[0]
