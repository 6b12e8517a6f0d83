"""The upstream's part of a completion: send the order, read the answer, pass it on, and say how it ended.

Whatever happens here ends in an outcome, never in an exception: money is held, so there must be something to settle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol
from uuid import UUID

import msgspec
import structlog

from avow.base.errors import AvowError
from avow.gateway import fleet as fleets
from avow.gateway import forecast, media, refusals, upstreams
from avow.gateway.assembly import Assembly
from avow.gateway.client import Client
from avow.gateway.connection import Exchange, UpstreamGarbage, UpstreamLost
from avow.gateway.dialects import Joined, Retold, Translation
from avow.gateway.fleet import Fleet, Route
from avow.gateway.meter import Outcome
from avow.gateway.orders import Order
from avow.gateway.sse import ChatStream, EventStream
from avow.gateway.straight import Outlet, Straight

log = structlog.get_logger()

ANSWER_BYTES_MAX = 32 * 1024 * 1024
IMAGE_BYTES_MAX = 16 * 1024 * 1024
"""Of each image of an answer, in Base64."""
DRAIN_BYTES_MAX = 4 * 1024 * 1024
EVENTS = b"text/event-stream"

Progress = Callable[[UUID, Callable[[], tuple[int, int, int]]], int]
"""See `billing.ledger.Batcher.progress`."""


class Listener(Protocol):
    """A streaming client: what is passed on, until it must be flushed first. See `completion.Reply`."""

    def pass_on(self, data: bytes) -> bool: ...

    def delivered(self, tokens: int) -> int:
        """How many of the tokens of what was passed on so far the client has: a filter may hold some back."""
        ...

    async def flush(self) -> None: ...

    def outlet(self) -> Outlet | None:
        """Where what passes unchanged may be written past `pass_on` from then on; None: nothing may."""
        ...


class Pourable(Protocol):
    """What comes piece by piece; see `connection.Exchange.pour`."""

    async def pour(self, take: Callable[[bytes], bool]) -> bool: ...


class _Told:
    """The events of an answer that came whole."""

    def __init__(self, events: bytes) -> None:
        self._events = events

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        take(self._events)
        return True


# What a reader or a translation raises for an answer that is not what it should be.
_UNFIT = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError, AttributeError, IndexError)


class Call:
    """One call. `outcome` is complete once `run` has returned; cancelling the task of `run` stops the upstream. `begun` is an
    exchange that was begun with the first route."""

    def __init__(
        self,
        order: Order,
        client: Client,
        fleet: Fleet,
        progress: Progress,
        listener: Listener,
        begun: Exchange | None = None,
    ) -> None:
        self.outcome = Outcome()
        self._order, self._client, self._fleet = order, client, fleet
        self._way = order.routes[0].upstream.ways[order.surface.name][0]
        self._progress, self._listener = progress, listener
        self._exchange: Exchange | None = None
        self._begun = begun
        self._straight: Straight | None = None
        self._leaving, self._is_outside = order.routes[0].upstream.leaving, False
        self._bytes_left: int | None = None
        self._tokens_max, self._streams = order.output_tokens_max, order.request.stream
        self._came = 0
        self._job = forecast.job_of(order) if len(order.routes) > 1 else None
        self._loop = asyncio.get_running_loop()

    async def run(self) -> Outcome:
        """Call the upstream; `listener` gets what a streaming client is to see. A cancellation ends as `client_left`, and so
        does whatever ends after `drain`."""
        try:
            await self._run()
            if self._bytes_left is not None:
                self.outcome.why = "client_left"
        except AvowError as error:
            self.outcome.error, self.outcome.why = (
                error,
                "upstream_failed" if self._bytes_left is None else "client_left",
            )
        except asyncio.CancelledError:
            self.outcome.why = "client_left"
        except Exception as error:
            log.error("upstream_call_failed", error=type(error).__name__)
            self.outcome.error, self.outcome.why = AvowError(), "upstream_failed"
        self._let_go(self.outcome.why == "done")
        return self.outcome

    def drain(self) -> bool:
        """The client has left: whether the upstream is read to its end nevertheless, for it charges all of it.

        So does an outside party that was asked for one answer: nothing of it comes before it is whole, so nothing else tells
        what a client that leaves at the last moment has to pay. And of one that has a recording: it is billed whole."""
        request = self._order.request
        whole = not request.stream or (request.extent is not None and request.extent.sound_bytes > 0)
        drains = self._leaving == "drain" or (self._leaving == "estimate" and self._is_outside and whole)
        if self._straight is not None:
            self._straight.close()
        if drains and self.outcome.reads:
            self._bytes_left = DRAIN_BYTES_MAX
        return self._bytes_left is not None

    def _count(self, tokens: int) -> None:
        """Tell of what was delivered, so that it is charged whatever happens here."""
        before, self.outcome.tokens = self.outcome.tokens, tokens
        if tokens > before and self._streams:  # of what comes whole nothing was delivered before its end
            self._checkpoint()

    def _checkpoint(self) -> int:
        """Tell the ledger that the stream has come on; at how many tokens it wants to be told again."""
        return self._progress(self._order.request_id, self._seen) + max(0, self.outcome.tokens - self._tokens_max)

    def _seen(self) -> tuple[int, int, int]:
        """How far the stream has come, for the ledger."""
        if self._straight is not None:
            self._straight.hand_on()
        return self.outcome.input_tokens or 0, 0, min(self.outcome.tokens, self._tokens_max)

    def _let_go(self, whole: bool) -> None:
        if self._exchange is not None:
            if whole:
                self._exchange.discard()
            else:
                self._exchange.cancel()

    async def _run(self) -> None:
        """Try the routes in their order until one answers; what has begun to pass on is never tried again."""
        failure: AvowError | None = None
        tried: list[Route] = []
        order, fleet = self._order, self._fleet
        has_begun = self._begun is not None
        for route in (
            fleet.again(order.routes[0]) if has_begun else fleet.tries(order.routes, order.model.routing, self._job)
        ):
            if failure is not None:
                if not fleets.may_retry(failure, elsewhere=route not in tried):
                    break
                if route in tried:
                    await asyncio.sleep(fleets.backoff_s(len(tried)))
            tried.append(route)
            self.outcome.route = route
            try:
                return await self._try(route)
            except AvowError as error:
                if self.outcome.begun:
                    raise
                failure = error
                self._let_go(False)
                self.outcome = Outcome(route=route)
        assert failure is not None
        raise failure

    async def _try(self, route: Route) -> None:
        health, began_s = self._fleet.of(route.upstream), self._loop.time()
        health.begin()
        well: bool | None = None
        try:
            await self._ask(route)
            well = True
        except AvowError as error:
            well = fleets.verdict(error)
            raise
        finally:
            took_s = self._loop.time() - began_s
            self._fleet.end(route.upstream, well, took_s)
            if well and self._job is not None:
                self._fleet.learn(route, self._job, took_s)

    async def _ask(self, route: Route) -> None:
        order, upstream = self._order, route.upstream
        way, target = upstream.ways[order.surface.name]
        self._way, self._leaving, self._is_outside = way, upstream.leaving, upstream.processor is not None
        exchange, self._begun = self._begun, None
        if exchange is not None:
            self._exchange = exchange
            self._sent()
            await exchange.head()
        else:
            body = upstream.message(way, order.request, route.their_name, order.tokens_max)
            exchange = self._exchange = await self._client.send(target, body, resend=True, sent=self._sent)
        if exchange.status != 200:
            log.info("upstream_refused", upstream=upstream.name, status=exchange.status)
            raise upstreams.refusal(exchange.status, exchange.header(b"retry-after"))
        if order.request.stream:
            await self._pass_on(await self._as_stream(exchange))
        elif way.only_streams:
            await self._collect(exchange)
        else:
            await self._fetch(exchange)

    def _sent(self) -> None:
        """From here on the input is read; an upstream that tells how far it is has read what it told."""
        self.outcome.reads = self._order.surface.bills and not self._way.shows_progress and self._leaving != "unbilled"

    async def _fetch(self, exchange: Exchange) -> None:
        """A JSON answer, passed on as it came once it is seen to be one."""
        body = await exchange.rest(self._bytes_max())
        try:
            if self._way.dialect.wrap is not None and self._order.request.fields.get("response_format") in media.TIMED:
                body = self._way.dialect.wrap(body)
            answer = self._way.dialect.read(body)
        except _UNFIT:
            raise UpstreamGarbage("The upstream's answer is not what was asked for.") from None
        self.outcome.answer, self.outcome.usage = self._ours(body), answer.usage
        if answer.usage is None:
            self.outcome.tokens = answer.tokens

    def _bytes_max(self) -> int:
        """How large an answer may be."""
        extent = self._order.request.extent
        return ANSWER_BYTES_MAX if extent is None else max(ANSWER_BYTES_MAX, extent.images * IMAGE_BYTES_MAX)

    async def _collect(self, exchange: Exchange) -> None:
        """A JSON answer from an upstream that only streams."""
        assembly = self._assembly()
        await self._read(exchange, assembly, passes=False)
        self.outcome.answer = self._ours(assembly.body(self.outcome.usage))

    async def _as_stream(self, exchange: Exchange) -> Pourable:
        """The answer itself, or its events where it comes whole: not every model that hears or speaks can do it in pieces, and
        not every server that chats does what it was asked."""
        make, kind = self._way.dialect.in_events, (exchange.header(b"content-type") or EVENTS).lower()
        if make is None or self._order.request.is_raw or kind.startswith(EVENTS):
            return exchange
        if self._order.request.extent is None and b"json" not in kind:
            return exchange
        body = await exchange.rest(ANSWER_BYTES_MAX)
        try:
            return _Told(await asyncio.to_thread(make, body))
        except _UNFIT:
            raise UpstreamGarbage("The upstream's answer is not what was asked for.") from None

    async def _pass_on(self, exchange: Pourable) -> None:
        """A stream, event by event."""
        assembly = self._assembly() if self._order.keeps else None
        try:
            await self._read(exchange, assembly, passes=True)
        finally:
            if assembly is not None and self._came:
                self.outcome.answer = self._ours(self.outcome.answer or assembly.body(self.outcome.usage))

    def _assembly(self) -> Joined:
        assembly = self._way.dialect.assembly
        assert assembly is not None, "this surface has no streams"
        return assembly()

    def _ours(self, answer: bytes) -> bytes:
        """An answer of theirs in the client's dialect."""
        back = self._way.back
        return answer if back is None else translate(back, answer)

    async def _read(self, exchange: Pourable, assembly: Joined | None, *, passes: bool) -> None:
        """Read events until the end; raises an `UpstreamError` when the stream does not end as it should."""
        order, outcome, way = self._order, self.outcome, self._way
        assert way.dialect.stream is not None, "this surface has no streams"
        retold = way.back.stream(order.request) if way.back is not None and passes else None
        wants_usage = retold is not None or order.request.wants_usage
        make = way.dialect.raw if order.request.is_raw and way.dialect.raw is not None else way.dialect.stream
        reader = make(wants_usage=wants_usage, takes_progress=way.shows_progress)

        straight = self._straight = (
            self._straightened(exchange, reader, assembly) if retold is None and passes else None
        )

        def take(piece: bytes) -> bool:
            if straight is not None:
                straight.close()
            passed, data = reader.feed(piece)
            if assembly is not None:
                join(assembly, data)
            self._came = tokens = reader.tokens
            outcome.usage, outcome.input_tokens = reader.usage, reader.prompt_tokens
            outcome.reads = outcome.reads or (bool(reader.prompt_tokens) and self._leaving != "unbilled")
            if retold is not None:
                passed = retell(retold, data)
            more = not (reader.done or reader.fault)
            if self._bytes_left is not None:
                self._bytes_left -= len(piece)
                self._count(tokens)
                return more and self._bytes_left >= 0
            if passed and passes:
                outcome.begun = True
                more = self._listener.pass_on(passed) and more
            self._count(self._listener.delivered(tokens) if passes else tokens)
            if straight is not None and more and data and reader.is_between:
                straight.open(data[-1])
            return more

        try:
            while not await exchange.pour(take):
                if self._bytes_left is not None and self._bytes_left < 0:
                    raise asyncio.CancelledError
                await self._listener.flush()
                if reader.done or reader.fault:
                    break
        finally:
            if straight is not None:
                straight.close()
        if reader.rejected and not outcome.begun:
            raise refusals.UpstreamRejected()
        if reader.fault:
            raise UpstreamGarbage("The upstream broke off its answer with an error or something unreadable.")
        if not reader.done and reader.finish is None:
            raise UpstreamLost()
        outcome.tail, outcome.answer, outcome.finish = reader.tail, reader.whole, reader.finish
        if retold is not None:
            last, outcome.tail = retold.close(outcome.usage)
            if last:
                outcome.begun = True
                self._listener.pass_on(last)

    def _straightened(self, exchange: Pourable, reader: EventStream, assembly: Joined | None) -> Straight | None:
        """The short way of a chat's chunks, where nothing has to look at them on the way."""
        outlet = self._listener.outlet()
        if outlet is None or type(reader) is not ChatStream or not isinstance(exchange, Exchange):
            return None
        if not isinstance(assembly, Assembly | None):
            return None
        return Straight(exchange, reader, assembly, self.outcome, outlet, self._checkpoint)


def translate(back: Translation, answer: bytes) -> bytes:
    """A whole answer of theirs in the client's dialect. Raises `UpstreamGarbage`."""
    try:
        return back.whole(answer)
    except _UNFIT:
        raise UpstreamGarbage("The upstream's answer is not what was asked for.") from None


def join(assembly: Joined, data: list[bytes]) -> None:
    """Add events to the answer that they make. Raises `UpstreamGarbage`."""
    try:
        for event in data:
            assembly.add(event)
    except _UNFIT:
        raise UpstreamGarbage("The upstream's answer is not what was asked for.") from None


def retell(retold: Retold, data: list[bytes]) -> bytes:
    """Events of theirs in the client's dialect. Raises `UpstreamGarbage`."""
    try:
        return b"".join(map(retold.feed, data))
    except _UNFIT:
        raise UpstreamGarbage("The upstream's answer is not what was asked for.") from None
