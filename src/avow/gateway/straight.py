"""The short way of a chunk: from the upstream's read to the client's connection in one step.

A chunk that repeats one before it but for its text needs no reader: what stands around the text was read and judged with the
first one, so it is enough that the text is a JSON string. And a read that is one whole chunk of HTTP is one to the client too,
and passes as it is. Whatever is different, in a byte or in how it came, goes the ordinary way through `call.Call`, which also
teaches what repeats. Tokens, and the pieces of the answer that is kept, are handed on when somebody asks how far the stream
has come, and no later than the next checkpoint.
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
NOTHING = (0, 0)

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
        *("_after", "_before", "_begin", "_behind", "_end", "_form", "_least", "_passed", "_repeat", "_room", "_texts"),
        *("_assembly", "_checkpoint", "_due", "_exchange", "_flow", "_outcome", "_reader", "_tries", "_write"),
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
        self._form = b"%x%b"
        self._due = self._tries = self._passed = 0

    def open(self, line: bytes) -> None:
        """A chunk has passed the ordinary way, nothing of the stream is left behind it, and the client reads."""
        if self._reader.finish is not None:  # what still comes repeats nothing
            return
        if self._repeat is None or not self._repeat.fits(line):
            self._learn(line)
        if self._repeat is not None:
            self._room = BYTES_PER_TOKEN * (self._due - self._outcome.tokens)
            self._exchange.straight = self.take

    def close(self) -> None:
        """From here on everything goes the ordinary way."""
        self._exchange.straight = None
        self.hand_on()

    def take(self, data: bytes) -> tuple[int, int]:
        """Pass on what a read begins with of whole chunks of HTTP with one event each that repeats: how many bytes they are,
        and how many their events. Where it begins with none, nothing was done."""
        place = data.find(b"\r\n")
        size = len(data) - place - 4
        if (
            not data.startswith(self._form % (size, self._before))
            or not data.endswith(self._after)
            or self._flow.write_paused
            or size > EVENT_BYTES_MAX
        ):
            return self._take_some(data)
        try:
            text = _text(data[place + self._begin : 1 - self._end])
            self._write(data)
        except Exception:  # the ordinary way meets it too, and says what becomes of the stream
            return NOTHING
        self._texts.append(text)
        self._room -= size - self._least
        if self._room <= 0:
            self._tell()
        return len(data), size

    def _take_some(self, data: bytes) -> tuple[int, int]:
        """As `take`, of a read that is not one chunk."""
        if self._flow.write_paused:
            return NOTHING
        texts: list[str] = []
        taken = size = 0
        try:
            while taken < len(data):
                place = data.find(b"\r\n", taken)
                begin = place + self._begin
                end = data.find(self._after, begin)
                event = end - place + self._behind
                if not data.startswith(self._form % (event, self._before), taken) or event > EVENT_BYTES_MAX:
                    self._form = b"%X%b" if data[taken:place].isupper() else b"%x%b"  # some write the size in capitals
                    break
                texts.append(_text(data[begin : end + 1]))
                taken, size = end + self._end, size + event
            if taken:
                self._write(data[:taken])
        except Exception:  # as above
            return NOTHING
        self._texts += texts
        self._room -= size - self._least * len(texts)
        if self._room <= 0:
            self._tell()
        return taken, size

    def hand_on(self) -> None:
        """Count what went the short way so far, and add it to the answer that is kept."""
        texts, repeat = self._texts, self._repeat
        if not texts or repeat is None:
            return
        self._texts = []
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
        self._room = BYTES_PER_TOKEN * (self._due - tokens)

    def _learn(self, line: bytes) -> None:
        if self._tries > TRIES + self._passed // PAID_BY or b"\n" in line or b"\r" in line:
            return
        self._tries += 1
        found = repeat_of(line)
        if found is None:
            return
        self._repeat = found
        self._before, self._after = b"\r\ndata: " + found.before, found.after + b"\n\n\r\n"
        self._begin, self._end = len(self._before) - 1, len(self._after)
        # An event begins behind the line end of its size, and ends before that of its chunk.
        self._behind = self._end - 4
        self._least = len(self._before) + len(self._after) - 4 - BYTES_PER_TOKEN
