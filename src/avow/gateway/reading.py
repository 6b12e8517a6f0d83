"""A stream's answer as it is read: each piece is judged, counted, kept, and passed on to the client.

It does not wait: whoever pours the answer gives `take` each piece, and asks what became of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol
from uuid import UUID

import msgspec

from avow.gateway import refusals
from avow.gateway.assembly import Assembly
from avow.gateway.connection import Exchange, UpstreamGarbage, UpstreamLost
from avow.gateway.dialects import Joined, Retold, Translation
from avow.gateway.meter import Outcome
from avow.gateway.orders import Order
from avow.gateway.sse import ChatStream
from avow.gateway.straight import Outlet, Straight
from avow.gateway.upstreams import Way

DRAIN_BYTES_MAX = 4 * 1024 * 1024

Progress = Callable[[UUID, Callable[[], tuple[int, int, int]]], int]
"""See `billing.ledger.Batcher.progress`."""

# What a reader or a translation raises for an answer that is not what it should be.
UNFIT = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError, IndexError)


class Pourable(Protocol):
    """What comes piece by piece; see `connection.Exchange.pour`."""

    async def pour(self, take: Callable[[bytes], bool]) -> bool: ...


class Listener(Protocol):
    """A streaming client: what is passed on, until it must be flushed first. See `ask.Reply`."""

    def pass_on(self, data: bytes) -> bool: ...

    def delivered(self, tokens: int) -> int:
        """How many of the tokens of what was passed on so far the client has: a filter may hold some back."""
        ...

    async def flush(self) -> None: ...

    def outlet(self) -> Outlet | None:
        """Where what passes unchanged may be written past `pass_on` from then on; None: nothing may."""
        ...


class Reading:
    """One answer of an upstream that comes in events. `straight` is its short way, where it has one.

    `bytes_left` is how much is still read of it for nobody (None: for the client); `is_over`: nothing more is to be taken.
    """

    bytes_left: int | None = None
    is_over = False

    def __init__(
        self,
        order: Order,
        way: Way,
        outcome: Outcome,
        listener: Listener,
        progress: Progress,
        assembly: Joined | None,
        *,
        passes: bool,
        bills: bool,
    ) -> None:
        assert way.dialect.stream is not None, "this surface has no streams"
        self._order, self._outcome, self._listener, self._progress = order, outcome, listener, progress
        self.assembly, self._passes, self._bills = assembly, passes, bills
        request = order.request
        retold = self._retold = way.back.stream(request) if way.back is not None and passes else None
        make = way.dialect.raw if request.is_raw and way.dialect.raw is not None else way.dialect.stream
        wants_usage = retold is not None or request.wants_usage
        self.reader = make(wants_usage=wants_usage, takes_progress=way.shows_progress)
        self._tokens_max, self._streams = order.output_tokens_max, request.stream
        self._due = 0
        self.straight: Straight | None = None

    def straighten(self, exchange: Pourable) -> None:
        """Find the short way of a chat's chunks, where nothing has to look at them on the way."""
        reader, assembly = self.reader, self.assembly
        if self._retold is not None or type(reader) is not ChatStream or not isinstance(exchange, Exchange):
            return
        if not self._passes or not isinstance(assembly, Assembly | None):
            return
        outlet = self._listener.outlet()
        if outlet is not None:
            self.straight = Straight(exchange, reader, assembly, self._outcome, outlet, self._checkpoint)

    def take(self, piece: bytes) -> bool:
        """Read on; False: nothing more before the client was flushed, or nothing more at all. Raises `UpstreamGarbage`, and what
        writing raises."""
        straight, reader, outcome = self.straight, self.reader, self._outcome
        if straight is not None:
            straight.close()
        passed, data = reader.feed(piece)
        if self.assembly is not None:
            join(self.assembly, data)
        tokens = reader.tokens
        outcome.usage, outcome.input_tokens = reader.usage, reader.prompt_tokens
        if reader.prompt_tokens and self._bills:
            outcome.reads = True
        if self._retold is not None:
            passed = retell(self._retold, data)
        more = not (reader.done or reader.fault)
        if not more:
            self.is_over = True
        if self.bytes_left is not None:
            return self._drain(len(piece), tokens) and more
        if passed and self._passes:
            outcome.begun = True
            more = self._listener.pass_on(passed) and more
        self._count(self._listener.delivered(tokens) if self._passes else tokens)
        if straight is not None and more and data and reader.is_between:
            straight.open(data[-1], self._due)
        return more

    def _drain(self, size: int, tokens: int) -> bool:
        assert self.bytes_left is not None
        self.bytes_left -= size
        self._count(tokens)
        return self.bytes_left >= 0

    def close(self) -> None:
        """Nothing more goes straight."""
        if self.straight is not None:
            self.straight.close()

    def finish(self) -> None:
        """It has come to its end: note what it ended with. Raises an `UpstreamError` where it did not end as it should."""
        reader, outcome = self.reader, self._outcome
        if reader.rejected and not outcome.begun:
            raise refusals.UpstreamRejected()
        if reader.fault:
            raise UpstreamGarbage("The upstream broke off its answer with an error or something unreadable.")
        if not reader.done and reader.finish is None:
            raise UpstreamLost()
        outcome.tail, outcome.answer, outcome.finish = reader.tail, reader.whole, reader.finish
        if self._retold is not None:
            last, outcome.tail = self._retold.close(outcome.usage)
            if last:
                outcome.begun = True
                self._listener.pass_on(last)

    def seen(self) -> tuple[int, int, int]:
        """How far the stream has come, for the ledger: tokens of input, cached, and of output."""
        if self.straight is not None:
            self.straight.hand_on()
        return self._outcome.input_tokens or 0, 0, min(self._outcome.tokens, self._tokens_max)

    def _count(self, tokens: int) -> None:
        """Tell of what was delivered, so that it is charged whatever happens here."""
        before, self._outcome.tokens = self._outcome.tokens, tokens
        # Of what comes whole nothing is delivered before its end.
        if self._streams and tokens > before and tokens >= self._due:
            self._checkpoint()

    def _checkpoint(self) -> int:
        """Tell the ledger that the stream has come on; at how many tokens it wants to be told again."""
        due = self._progress(self._order.request_id, self.seen) + max(0, self._outcome.tokens - self._tokens_max)
        self._due = due
        return due


def translate(back: Translation, answer: bytes) -> bytes:
    """A whole answer of theirs in the client's dialect. Raises `UpstreamGarbage`."""
    try:
        return back.whole(answer)
    except UNFIT:
        raise UpstreamGarbage("The upstream's answer is not what was asked for.") from None


def join(assembly: Joined, data: list[bytes]) -> None:
    """Add events to the answer that they make. Raises `UpstreamGarbage`."""
    try:
        for event in data:
            assembly.add(event)
    except UNFIT:
        raise UpstreamGarbage("The upstream's answer is not what was asked for.") from None


def retell(retold: Retold, data: list[bytes]) -> bytes:
    """Events of theirs in the client's dialect. Raises `UpstreamGarbage`."""
    try:
        return b"".join(map(retold.feed, data))
    except UNFIT:
        raise UpstreamGarbage("The upstream's answer is not what was asked for.") from None
