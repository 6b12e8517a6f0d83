"""The texts of a JSON value: which of its strings are words of somebody, and what they say where they are JSON themselves."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from typing import Any, NamedTuple

FRAME = frozenset(
    (
        *("role", "type", "id", "object", "model", "index", "status", "finish_reason", "stop_reason", "created"),
        *("tool_call_id", "tool_use_id", "call_id", "item_id", "system_fingerprint", "service_tier", "signature"),
        "b64_json",
    )
)
"""Fields that hold no words of anybody where a dialect has them; elsewhere these are names like any other."""
_CARRIERS = frozenset(
    (
        *("messages", "message", "system", "content", "choices", "delta", "tools", "tool_calls"),
        *("response", "output", "item", "part", "summary", "content_block"),
    )
)
"""What these hold is of the dialect too: messages, their blocks, choices and calls. What somebody else says (the input of a call,
a schema, metadata) stands under other names."""
_OF_BODY = _CARRIERS | {"input", "data"}
_ID = re.compile(r"(?=[^A-Za-z]*[A-Za-z])[A-Za-z0-9_./|+=\-]*")

_ESCAPES = (
    r"(?<!\\)\\++u([dD][89abAB][0-9A-Fa-f]{2})\\++u([dD][c-fC-F][0-9A-Fa-f]{2})"
    r"|(?<!\\)\\++(?:u([0-9A-Fa-f]{4})|([/\"%s]))"
)
_ANYWHERE, _IN_JSON = re.compile(_ESCAPES % ""), re.compile(_ESCAPES % "nrtbf")


def mapped(value: Any, change: Callable[[str], str]) -> Any:
    """A body or an event with its texts changed: all but what its dialect writes, so names that somebody chose too."""
    return _framed(value, change, _OF_BODY)


def texts(value: Any) -> list[str]:
    """All texts of a body."""
    found: list[str] = []

    def note(text: str) -> str:
        found.append(text)
        return text

    mapped(value, note)
    return found


def _framed(value: Any, change: Callable[[str], str], carriers: frozenset[str]) -> Any:
    if isinstance(value, list):
        return [_framed(each, change, carriers) for each in value]
    if not isinstance(value, dict):
        return change(value) if isinstance(value, str) else value
    made: dict[str, Any] = {}
    for name, each in value.items():
        if name in carriers:
            made[name] = _framed(each, change, _CARRIERS)
        elif name in FRAME and isinstance(each, str) and _ID.fullmatch(each):
            made[name] = each
        else:
            told = name if name.isascii() and name.isidentifier() else change(name)
            made[_free(told, made)] = _open(each, change)
    return made


def _open(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_open(each, change) for each in value]
    if not isinstance(value, dict):
        return value
    made: dict[str, Any] = {}
    for name, each in value.items():
        made[_free(change(name), made)] = _open(each, change)
    return made


def _free(name: str, taken: dict[str, Any]) -> str:
    """Two names that a filter changed into one stay two."""
    while name in taken:
        name += "_"
    return name


class Plain(NamedTuple):
    """What a text says that is written with JSON's escapes. `plains` and `raws` are where both go on after an escape."""

    text: str
    plains: list[int]
    raws: list[int]

    def raw(self, place: int) -> int:
        """Where a place of `text` stands in what was written."""
        number = bisect_right(self.plains, place) - 1
        return self.raws[number] + place - self.plains[number]

    def place(self, raw: int) -> int:
        """Where a place of what was written stands in `text`; one within an escape behind what it says."""
        number = bisect_right(self.raws, raw) - 1
        place = self.plains[number] + raw - self.raws[number]
        return min([place, *self.plains[number + 1 : number + 2]])


def is_json(text: str) -> bool:
    """Whether a text begins as the arguments of a call do."""
    return text.lstrip()[:1] in ("{", "[")


def plain(text: str, within_json: bool) -> Plain | None:
    r"""A text without its escapes, however often it was escaped; None: there are none. `\n` and the like are read in JSON only,
    for LaTeX and paths have them too."""
    if "\\" not in text:
        return None
    parts, at, size, plains, raws = [""], 0, 0, [0], [0]
    for each in (_IN_JSON if within_json else _ANYWHERE).finditer(text):
        parts += [text[at : each.start()], _char(each)]
        size += each.start() - at + 1
        at = each.end()
        plains.append(size)
        raws.append(at)
    return Plain("".join([*parts, text[at:]]), plains, raws) if at else None


def _char(escape: re.Match[str]) -> str:
    high, low, code, letter = escape.groups()
    if high is not None:
        return (bytes.fromhex(high) + bytes.fromhex(low)).decode("utf-16-be")
    if letter is not None:
        return letter if letter in '/"' else " "
    char = chr(int(code, 16))
    return "\ufffd" if "\ud800" <= char <= "\udfff" else char
