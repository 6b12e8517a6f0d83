"""A stream on its way to the client through the filters: held back by a window, so that what stands across two events is found.

Each event waits until a window of text that follows it has come, of each text that stands in it; what waits is searched when one
window more has come, so up to two windows are held back. Of several texts side by side (choices, thoughts, calls) one may stop
while others go on: then no more is held than two windows and one for each text. What went last is searched once more together
with what follows it. What is found is changed in the events themselves, or ends the stream; all others pass as they came. So of
what is longer than the window, or had to go before its end came, the begin may have gone; what follows of it does not.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from avow.gateway import written
from avow.gateway.filters import TOKEN_CHARS_MAX, Change, Passage, Search, changed
from avow.gateway.sse import Splitter, data_of

WINDOW_CHARS = 256
CONTEXT_CHARS = 64
"""More of what went than is searched once more, for where a word begins is seen by what stands before it."""
TEXTS_MAX = 16
"""For no more texts side by side than this is more held back."""
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode

Channel = tuple[Any, ...]
Place = tuple[dict[str, Any], str, Channel]
"""An object, the name of the text in it, and the text's channel: texts of one channel follow one another."""


class _Event:
    """An event that waits. `pieces` are its texts: where they stand and their channels."""

    __slots__ = ("body", "changed", "pieces", "raw")

    def __init__(self, raw: bytes, body: dict[str, Any] | None, pieces: list[Place]) -> None:
        self.raw, self.body, self.pieces = raw, body, pieces
        self.changed = False

    def write(self) -> bytes:
        if not self.changed:
            return self.raw
        others = [line for line in self.raw.splitlines() if line and not line.startswith(b"data")]
        return b"".join(line + b"\n" for line in [*others, b"data: " + _encode(self.body)]) + b"\n"


class Guard:
    """One stream. `surface` says in which words its events are."""

    def __init__(self, search: Search, surface: str) -> None:
        self._search, self._places = search, PLACES[surface]
        self._window = WINDOW_CHARS if search.looks_at_answers else TOKEN_CHARS_MAX
        self._waiting: deque[_Event] = deque()
        self._chars, self._due = 0, 2 * self._window
        self._gone_chars = 0
        self._marks: deque[tuple[int, int]] = deque(((0, 0),))
        self._splitter = Splitter()
        self._found: Counter[str] = Counter()
        self._counted: defaultdict[Channel, dict[str, int]] = defaultdict(dict)
        self._said: defaultdict[Channel, str] = defaultdict(str)
        self._within_json: dict[Channel, bool] = {}

    def feed(self, data: bytes) -> bytes:
        """The events that may go on now. Raises ContentBlocked."""
        for raw in self._splitter.feed(data):
            event = self._read(raw)
            self._waiting.append(event)
            self._chars += sum(len(place[name]) for place, name, _ in event.pieces)
        return b"" if self._chars < self._due else self._release(self._window)

    def delivered(self, tokens: int | None = None) -> int:
        """How many tokens went on; `tokens` says how many there are in all that came so far. Events that wait are counted when
        they go, by their share of the text."""
        marks = self._marks
        if tokens is not None:
            came = self._gone_chars + self._chars
            if marks[-1][0] == came:
                marks.pop()
            marks.append((came, tokens))
        while len(marks) > 1 and marks[1][0] <= self._gone_chars:
            marks.popleft()
        if len(marks) == 1:
            return marks[0][1]
        (chars, counted), (later_chars, later) = marks[0], marks[1]
        return counted + (later - counted) * (self._gone_chars - chars) // (later_chars - chars)

    def close(self) -> bytes:
        """The events that are left. Raises ContentBlocked."""
        return self._release(0)

    def last(self, tail: bytes) -> bytes:
        """The event that ends the stream, which holds the whole answer in some dialects. Raises ContentBlocked."""
        return b"".join(self._read(raw).write() for raw in Splitter().feed(tail))

    def _read(self, raw: bytes) -> _Event:
        content = data_of(raw)
        try:
            body = None if content is None else _decode(content)
        except msgspec.MsgspecError:
            body = None
        if body is None:
            return _Event(raw, None, [])
        event, found = _Event(raw, body, []), Counter[str]()
        places = list(self._places(body))
        texts = [_taken(place, name) for place, name, _ in places]
        made = written.mapped(body, lambda text: changed(text, self._search.told(Passage(text), found)))
        event.body, event.changed = made, made != body
        for (place, name, channel), text in zip(self._places(made), texts, strict=True):
            if text is not None:
                place[name] = text
                event.pieces.append((place, name, channel))
        return event

    def _release(self, window: int) -> bytes:
        texts: dict[Channel, str] = {}
        for place, name, channel in self._pieces(len(self._waiting)):
            texts[channel] = texts.get(channel, "") + place[name]
        changes = {channel: self._look(channel, text) for channel, text in texts.items()}
        count = self._countable(texts, changes, window)
        for channel, gone in self._rewrite(count, texts, changes).items():
            self._forget(channel, texts[channel][:gone])
        released = [self._waiting.popleft() for _ in range(count)]
        came = self._gone_chars + self._chars
        self._chars = sum(len(place[name]) for place, name, _ in self._pieces(len(self._waiting)))
        self._gone_chars = came - self._chars
        self._due = self._chars + self._window
        return b"".join(event.write() for event in released)

    def _look(self, channel: Channel, text: str) -> list[Change]:
        """What to change in what waits of a channel."""
        said = self._said[channel]
        within = self._within_json.setdefault(channel, written.is_json(text))
        passage = Passage(said + text, max(0, len(said) - self._window), within)
        found = self._search.told(passage, self._found, self._counted[channel])
        # What ended in the text that went was changed there; of what only began in it, the rest is.
        return [
            Change(max(0, each.start - len(said)), each.end - len(said), each.instead)
            for each in found
            if each.end > len(said)
        ]

    def _forget(self, channel: Channel, gone: str) -> None:
        """Of what went keep its end."""
        said = self._said[channel] + gone
        kept = self._window + CONTEXT_CHARS
        self._said[channel] = said[-kept:]
        counted, less = self._counted[channel], max(0, len(said) - kept)
        counted.update({name: upto - less for name, upto in counted.items()})

    def _pieces(self, count: int) -> Iterator[Place]:
        for event in list(self._waiting)[:count]:
            yield from event.pieces

    def _countable(self, texts: Mapping[Channel, str], changes: Mapping[Channel, list[Change]], window: int) -> int:
        """How many events may go: behind the last of them stands a window of each text in them, or as much of all texts as is
        held at most; and it ends within no finding."""
        held_max = window * (2 + min(len(texts), TEXTS_MAX))
        ends, left, good, is_short = dict.fromkeys(texts, 0), self._chars, 0, False
        for number, event in enumerate(self._waiting, 1):
            for place, name, channel in event.pieces:
                ends[channel] += len(place[name])
                left -= len(place[name])
                is_short = is_short or len(texts[channel]) - ends[channel] < window
            if is_short and left < held_max:
                break
            within = any(each.start < ends[channel] < each.end for channel in ends for each in changes[channel])
            good = good if within else number
        return good

    def _rewrite(
        self, count: int, texts: Mapping[Channel, str], changes: Mapping[Channel, list[Change]]
    ) -> dict[Channel, int]:
        """Write the changes into the first `count` events: what stands instead goes where a finding begins. Returns how much
        text of each channel stood in them."""
        starts = dict.fromkeys(texts, 0)
        for event in list(self._waiting)[:count]:
            for place, name, channel in event.pieces:
                start = starts[channel]
                end = starts[channel] = start + len(place[name])
                made = _cut(texts[channel], start, end, changes[channel])
                if made != place[name]:
                    place[name], event.changed = made, True
        return starts


def _taken(place: dict[str, Any], name: str) -> str | None:
    """The text at a place, which is empty then: it is searched with what comes before and after it."""
    text = place.get(name)
    if not isinstance(text, str):
        return None
    place[name] = ""
    return text


def _cut(text: str, start: int, end: int, changes: list[Change]) -> str:
    made, at = "", start
    for each in changes:
        if each.end <= start or each.start >= end:
            continue
        made += text[at : max(each.start, at)] + (each.instead if each.start >= start else "")
        at = min(each.end, end)
    return made + text[at:end]


def _chat(body: dict[str, Any]) -> Iterator[Place]:
    for choice in _objects(body.get("choices")):
        delta, index = choice.get("delta"), choice.get("index")
        if not isinstance(delta, dict):
            continue
        for name in ("content", "reasoning_content", "reasoning", "refusal"):
            yield delta, name, (index, name)
        for number, call in enumerate(_objects(delta.get("tool_calls"))):
            for kind, name in (("function", "arguments"), ("custom", "input")):
                if isinstance(call.get(kind), dict):
                    yield call[kind], name, (index, kind, call.get("index", number))
        if isinstance(delta.get("function_call"), dict):
            yield delta["function_call"], "arguments", (index, "function_call")
        for number, thought in enumerate(_objects(delta.get("reasoning_details"))):
            for name in ("text", "summary"):
                yield thought, name, (index, "thought", name, thought.get("index", number))


def _completions(body: dict[str, Any]) -> Iterator[Place]:
    for choice in _objects(body.get("choices")):
        yield choice, "text", (choice.get("index"),)


def _messages(body: dict[str, Any]) -> Iterator[Place]:
    delta = body.get("delta")
    if body.get("type") == "content_block_delta" and isinstance(delta, dict):
        for name in ("text", "thinking", "partial_json"):
            yield delta, name, (body.get("index"), name)


def _responses(body: dict[str, Any]) -> Iterator[Place]:
    yield body, "delta", (body.get("type"), body.get("item_id"), body.get("content_index"))


def _transcriptions(body: dict[str, Any]) -> Iterator[Place]:
    yield body, "delta", (body.get("type"),)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    yield from (each for each in (value if isinstance(value, list) else ()) if isinstance(each, dict))


PLACES: Mapping[str, Callable[[dict[str, Any]], Iterator[Place]]] = {
    "chat": _chat,
    "completions": _completions,
    "messages": _messages,
    "responses": _responses,
    "transcriptions": _transcriptions,
}
