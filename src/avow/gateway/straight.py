"""The short way of a chunk: from the upstream's read to the client's connection in one step.

A chunk that repeats one before it but for its text needs no reader: what stands around the text was read and judged with the
first one, so it is enough that the text is a JSON string. And a read that is one whole chunk of HTTP is one to the client too,
and passes as it is. Whatever is different, in a byte or in how it came, goes the ordinary way through `reading.Reading`, which
also teaches what repeats. Tokens, and the pieces of the answer that is kept, are handed on when somebody asks how far the
stream has come, and no later than the next checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import msgspec

from avow.gateway.assembly import Assembly
from avow.gateway.connection import Exchange
from avow.gateway.estimate import BYTES_PER_TOKEN
from avow.gateway.meter import Outcome
from avow.gateway.repeats import Repeat, repeat_of
from avow.gateway.sse import EVENT_BYTES_MAX, ChatStream

TRIES = 8
"""How often a stream is searched for what repeats before what was found has to pay for it."""
PAID_BY = 4
"""How many chunks that went the short way pay for one search."""
SIZES_MAX = 32
"""Of how many lengths of chunks it is kept what they begin with."""

_text = msgspec.json.Decoder(str).decode


class Flow(Protocol):
    """Whether the client reads what is written for it."""

    write_paused: bool


class Outlet(NamedTuple):
    """Where whole chunks of HTTP are written for the client, as long as its flow is not paused."""

    write: Callable[[bytes], None]
    flow: Flow


class Straight:
    """The short way of one stream: open from the end of one piece of the ordinary way to the next.

    `checkpoint` is to be called when so many more tokens were delivered that the ledger wants to know of them; it says at how
    many to call it again.
    """

    __slots__ = (
        *("_after", "_after_bytes", "_before", "_event_rest", "_form", "_to_text"),
        *("_least", "_repeat", "_sizes", "_tries"),
        *("_counted", "_due", "_passed", "_room", "_room_before", "_texts"),
        *("_assembly", "_checkpoint", "_exchange", "_flow", "_outcome", "_reader", "_write"),
    )

    def __init__(
        self,
        exchange: Exchange,
        reader: ChatStream,
        assembly: Assembly | None,
        outcome: Outcome,
        outlet: Outlet,
        checkpoint: Callable[[], int],
    ) -> None:
        self._exchange, self._reader, self._assembly, self._outcome = exchange, reader, assembly, outcome
        self._write, self._flow = outlet
        self._checkpoint = checkpoint
        self._repeat: Repeat | None = None
        self._texts: list[str] = []
        self._sizes: dict[int, tuple[bytes, int, int, int]] = {}
        self._form = b"%x%b"
        self._due = self._tries = self._passed = self._counted = self._room = self._room_before = 0

    def open(self, line: bytes, due: int) -> None:
        """A chunk has passed the ordinary way, nothing of the stream is left behind it, and the client reads; the ledger is to
        be told when `due` tokens have come."""
        if self._reader.finish is not None:  # what still comes repeats nothing
            return
        if self._repeat is None or not self._repeat.fits(line):
            self._learn(line)
        if self._repeat is not None:
            self._due = due
            self._make_room()
            self._exchange.straighten(self.take)

    def close(self) -> None:
        """From here on everything goes the ordinary way."""
        self._exchange.straighten(None)
        if self._texts:
            self.hand_on()

    def take(self, data: bytes) -> bytes:
        """Pass on what a read begins with of whole chunks of HTTP with one event each that repeats; what is left of it. Where it
        begins with none, nothing was done."""
        try:
            before, begin, end, size = self._sizes[len(data)]
            room = self._room - size
            if room > 0 and data.startswith(before) and data.endswith(self._after) and not self._flow.write_paused:
                text, write = _text(data[begin:end]), self._write
                write(data)
                self._room = room
                self._texts.append(text)
                return b""
        except Exception:  # noqa: S110  what it is, is seen on the longer way
            pass
        return self._take_some(data)

    def _take_some(self, data: bytes) -> bytes:
        """As `take`, of a read that is not one chunk, or the first of its length."""
        self._count_bytes()
        if self._flow.write_paused or len(data) > self._exchange.bytes_left:
            return data
        texts: list[str] = []
        taken = size = 0
        try:
            while taken < len(data):
                place = data.find(b"\r\n", taken)
                begin = place + self._to_text
                end = data.find(self._after, begin)
                event = end - place + self._event_rest
                if not data.startswith(self._form % (event, self._before), taken) or event > EVENT_BYTES_MAX:
                    self._form = b"%X%b" if data[taken:place].isupper() else b"%x%b"  # some write the size in capitals
                    break
                texts.append(_text(data[begin : end + 1]))
                taken, size = end + self._after_bytes, size + event
            if taken:
                self._write(data[:taken])
        except Exception:  # the ordinary way meets it too, and says what becomes of the stream
            return data
        if taken == len(data) and len(texts) == 1 and len(self._sizes) < SIZES_MAX:
            self._sizes[taken] = data[: begin + 1], begin, end + 1, size - self._least
        self._texts += texts
        self._room -= size - self._least * len(texts)
        if self._room <= 0:
            self._tell()
        return data[taken:]

    def hand_on(self) -> None:
        """Count what went the short way so far, and add it to the answer that is kept."""
        texts, repeat = self._texts, self._repeat
        if not texts or repeat is None:
            return
        self._count_bytes()
        self._texts, self._counted = [], 0
        self._passed += len(texts)
        self._reader.count(texts)
        if self._assembly is not None:
            self._assembly.extend(repeat.choice, repeat.name, texts)
        self._outcome.tokens = self._reader.tokens

    def _tell(self) -> None:
        """There may be enough for a checkpoint: no text has more tokens than one and a fourth of its bytes as sent."""
        self.hand_on()
        tokens = self._outcome.tokens
        if tokens >= self._due:
            self._due = self._checkpoint()
        self._make_room()

    def _make_room(self) -> None:
        """How many bytes of text may come until there is something to tell or the body is as long as it may be, if each chunk
        has as little text as can be, which counts as one token's."""
        bodies = self._exchange.bytes_left * BYTES_PER_TOKEN // (BYTES_PER_TOKEN + self._least)
        self._room = self._room_before = min(BYTES_PER_TOKEN * (self._due - self._outcome.tokens), bodies)

    def _count_bytes(self) -> None:
        """Tell the exchange how much of its body passed it by."""
        chunks = len(self._texts) - self._counted
        if chunks:
            self._exchange.count(self._room_before - self._room + self._least * chunks)
            self._counted, self._room_before = len(self._texts), self._room

    def _learn(self, line: bytes) -> None:
        if self._tries > TRIES + self._passed // PAID_BY or line.find(b"\n") >= 0 or line.find(b"\r") >= 0:
            return
        self._tries += 1
        found = repeat_of(line)
        if found is None:
            return
        self._repeat, self._sizes = found, {}
        self._before, self._after = b"\r\ndata: " + found.before, found.after + b"\n\n\r\n"
        self._to_text, self._after_bytes = len(self._before) - 1, len(self._after)
        # An event begins behind the line end of its size, and ends before that of its chunk.
        self._event_rest = self._after_bytes - 4
        self._least = len(self._before) + len(self._after) - 4 - BYTES_PER_TOKEN
