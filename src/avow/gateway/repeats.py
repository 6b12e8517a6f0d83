"""What the chunks of a stream repeat: nearly all are, byte for byte, the one before them but for the text that they add."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

LINE_BYTES_MAX = 16 * 1024
"""In longer chunks nothing is looked for."""
TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
"""What a delta says; a chunk that repeats says one of them."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_PLACES = {
    name: re.compile(rb'"%b"[ \t]*:[ \t]*("(?:[^"\\]|\\.)*")' % name.encode())
    for name in ("content", "reasoning_content")
}


class Repeat(NamedTuple):
    """A chunk but for its text: what stands before it, with its opening quote, and behind it, with the closing one. Whatever
    JSON string stands between, the chunk says it, in the text `name` of its only choice, and says nothing else."""

    before: bytes
    after: bytes
    choice: int
    name: str

    def fits(self, line: bytes) -> bool:
        """Whether a chunk may be one of these."""
        return line.startswith(self.before) and line.endswith(self.after)


def repeat_of(line: bytes) -> Repeat | None:
    """What may repeat of a chunk that `ChatStream` has admitted; None where it does more than to add to one text."""
    if len(line) > LINE_BYTES_MAX:
        return None
    chunk = _decode(line)
    name = _said(chunk)
    if name not in _PLACES:
        return None
    choice = chunk["choices"][0]
    delta, index = choice["delta"], choice.get("index")
    # Another text in its place must be all that another chunk has: names may come twice, and strings look like names.
    delta[name] = other = "a" if delta[name] != "a" else "b"
    for found in _PLACES[name].finditer(line):
        before, after = line[: found.start(1) + 1], line[found.end(1) - 1 :]
        if _is(before + other.encode() + after, chunk):
            return Repeat(before, after, index if isinstance(index, int) else 0, name)
    return None


def _said(chunk: dict[str, Any]) -> str:
    """The name of the text that a chunk adds to; none where it tells anything that counts besides."""
    choices = chunk.get("choices") or []
    if len(choices) != 1:
        return ""
    if chunk.get("usage") is not None or chunk.get("error") is not None or chunk.get("prompt_progress") is not None:
        return ""
    choice = choices[0]
    delta = choice.get("delta") or {}
    if choice.get("finish_reason") is not None or choice.get("logprobs"):
        return ""
    if delta.get("tool_calls") or delta.get("function_call"):
        return ""
    said = [name for name in TEXTS if delta.get(name)]
    return said[0] if len(said) == 1 else ""


def _is(line: bytes, chunk: dict[str, Any]) -> bool:
    try:
        return _decode(line) == chunk
    except msgspec.MsgspecError:
        return False
