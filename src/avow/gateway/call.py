"""The upstream's part of a completion: send the order, read the answer, pass it on, and say how it ended.

Whatever happens here ends in an outcome, never in an exception: money is held, so there must be something to settle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from avow.base.errors import AvowError
from avow.billing.events import Why
from avow.gateway import fleet as fleets
from avow.gateway import forecast, media, upstreams
from avow.gateway.client import Client, Target
from avow.gateway.connection import Exchange, UpstreamGarbage
from avow.gateway.dialects import Joined
from avow.gateway.fleet import Fleet, Route
from avow.gateway.meter import Outcome
from avow.gateway.orders import Order
from avow.gateway.reading import DRAIN_BYTES_MAX, UNFIT, Listener, Pourable, Progress, Reading, translate
from avow.gateway.upstreams import Way

log = structlog.get_logger()

ANSWER_BYTES_MAX = 32 * 1024 * 1024
IMAGE_BYTES_MAX = 16 * 1024 * 1024
"""Of each image of an answer, in Base64."""
EVENTS = b"text/event-stream"


class _Told:
    """The events of an answer that came whole."""

    def __init__(self, events: bytes) -> None:
        self._events = events

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        take(self._events)
        return True


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
        self._reading: Reading | None = None
        self._wrong: Exception | None = None
        self._leaving, self._is_outside = order.routes[0].upstream.leaving, False
        self._drains = False
        self._job = forecast.job_of(order) if len(order.routes) > 1 else None
        self._loop = asyncio.get_running_loop()

    async def run(self) -> Outcome:
        """Call the upstream; `listener` gets what a streaming client is to see. A cancellation ends as `client_left`, and so
        does whatever ends after `drain`."""
        try:
            await self._run()
            if self._drains:
                self.outcome.why = "client_left"
        except AvowError as error:
            self.outcome.error, self.outcome.why = error, "client_left" if self._drains else self._fault(error)
        except asyncio.CancelledError:
            self.outcome.why = "client_left"
        except Exception as error:
            log.error("upstream_call_failed", error=type(error).__name__)
            self.outcome.error, self.outcome.why = AvowError(), "upstream_failed"
        self._let_go(self.outcome.why == "done")
        return self.outcome

    def _fault(self, error: AvowError) -> Why:
        """Whose it is that there is no answer: of a request that cannot be answered as it is, not the upstream's."""
        return "refused" if error.status < 500 and not self.outcome.begun else "upstream_failed"

    def drain(self) -> bool:
        """The client has left: whether the upstream is read to its end nevertheless, for it charges all of it.

        So does an outside party that was asked for one answer: nothing of it comes before it is whole, so nothing else tells
        what a client that leaves at the last moment has to pay. And of one that has a recording: it is billed whole."""
        request = self._order.request
        whole = not request.stream or (request.extent is not None and request.extent.sound_bytes > 0)
        drains = self._leaving == "drain" or (self._leaving == "estimate" and self._is_outside and whole)
        reading = self._reading
        if reading is not None:
            reading.close()
        if drains and self.outcome.reads:
            self._drains = True
            if reading is not None:
                reading.bytes_left = DRAIN_BYTES_MAX
        return self._drains

    def flow(self, exchange: Exchange, ended: Callable[[bool], None]) -> bool:
        """Pass on a stream that has begun without a task, if it is one that passes as it comes. `ended` is called once, with
        whether it came to its end as it should; else `run` has to go on with it."""
        order = self._order
        route = order.routes[0]
        self._take_way(route)
        if exchange.status != 200 or self._way.back is not None or order.request.is_raw or not _is_events(exchange):
            return False
        self._exchange, self.outcome.route = exchange, route
        self._sent()
        reading = self._begin_passing(exchange)
        exchange.flow(reading.take, lambda wrong: ended(self._came_to_its_end(exchange, reading, wrong)))
        return True

    def _came_to_its_end(self, exchange: Exchange, reading: Reading, wrong: Exception | None) -> bool:
        """Whether nothing is left to do of a stream that flows no more."""
        try:
            if wrong is None and not reading.is_over and not exchange.is_under_way and exchange.size:
                reading.take(exchange.peek())
                exchange.discard()
            reading.close()
            is_whole = reading.is_over or exchange.is_complete
        except Exception as error:
            wrong = error
        self._wrong = wrong
        if wrong is not None or not is_whole:
            return False
        try:
            reading.finish()
            self._keep_answer(reading)
        except Exception:  # `run` comes to it too, and says what it is
            return False
        self._let_go(True)
        return True

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
        has_begun = self._begun is not None or self._reading is not None
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
                self._reading = self._wrong = None
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
        if self._reading is not None and self._exchange is not None:
            return await self._pass_on(self._reading, self._exchange)
        way, target = self._take_way(route)
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
            pieces = await self._as_stream(exchange)
            await self._pass_on(self._begin_passing(pieces), pieces)
        elif way.only_streams:
            await self._collect(exchange)
        else:
            await self._fetch(exchange)

    def _take_way(self, route: Route) -> tuple[Way, Target]:
        upstream = route.upstream
        way, target = upstream.ways[self._order.surface.name]
        self._way, self._leaving, self._is_outside = way, upstream.leaving, upstream.processor is not None
        return way, target

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
        except UNFIT:
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
        await self._read_on(self._begin_reading(exchange, assembly, passes=False), exchange)
        self.outcome.answer = self._ours(assembly.body(self.outcome.usage))

    async def _as_stream(self, exchange: Exchange) -> Pourable:
        """The answer itself, or its events where it comes whole: not every model that hears or speaks can do it in pieces, and
        not every server that chats does what it was asked."""
        make = self._way.dialect.in_events
        if make is None or self._order.request.is_raw or _is_events(exchange):
            return exchange
        if self._order.request.extent is None and b"json" not in _kind(exchange):
            return exchange
        body = await exchange.rest(ANSWER_BYTES_MAX)
        try:
            return _Told(await asyncio.to_thread(make, body))
        except UNFIT:
            raise UpstreamGarbage("The upstream's answer is not what was asked for.") from None

    async def _pass_on(self, reading: Reading, exchange: Pourable) -> None:
        """A stream, event by event; of one that flowed, what is left."""
        try:
            if self._wrong is not None:
                raise self._wrong
            if self.outcome.begun:  # it flowed until something came that is to be waited for
                await self._listener.flush()
            await self._read_on(reading, exchange)
        finally:
            self._keep_answer(reading)

    def _keep_answer(self, reading: Reading) -> None:
        """The answer that a stream makes, as far as it came."""
        if reading.assembly is not None and reading.reader.tokens:
            self.outcome.answer = self._ours(self.outcome.answer or reading.assembly.body(self.outcome.usage))

    def _assembly(self) -> Joined:
        assembly = self._way.dialect.assembly
        assert assembly is not None, "this surface has no streams"
        return assembly()

    def _ours(self, answer: bytes) -> bytes:
        """An answer of theirs in the client's dialect."""
        back = self._way.back
        return answer if back is None else translate(back, answer)

    def _begin_passing(self, exchange: Pourable) -> Reading:
        return self._begin_reading(exchange, self._assembly() if self._order.keeps else None, passes=True)

    def _begin_reading(self, exchange: Pourable, assembly: Joined | None, *, passes: bool) -> Reading:
        reading = self._reading = Reading(
            *(self._order, self._way, self.outcome, self._listener, self._progress, assembly),
            passes=passes,
            bills=self._leaving != "unbilled",
        )
        if self._drains:
            reading.bytes_left = DRAIN_BYTES_MAX
        reading.straighten(exchange)
        return reading

    async def _read_on(self, reading: Reading, exchange: Pourable) -> None:
        """Read events until the end; raises an `UpstreamError` when the stream does not end as it should."""
        try:
            while not reading.is_over and not await exchange.pour(reading.take):
                if reading.bytes_left is not None and reading.bytes_left < 0:
                    raise asyncio.CancelledError
                await self._listener.flush()
        finally:
            reading.close()
        reading.finish()


def _kind(exchange: Exchange) -> bytes:
    """An answer's media type. Who does not name it sends what was asked for."""
    return (exchange.header(b"content-type") or EVENTS).lower()


def _is_events(exchange: Exchange) -> bool:
    return _kind(exchange).startswith(EVENTS)
