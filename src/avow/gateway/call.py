"""The upstream's part of a completion: send the order, read the answer, pass it on, and say how it ended.

Whatever happens here ends in an outcome, never in an exception: money is held, so there must be something to settle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import msgspec
import structlog

from avow.base.errors import AvowError
from avow.gateway import meter, refusals, upstreams
from avow.gateway.assembly import Assembly
from avow.gateway.client import Client
from avow.gateway.connection import Exchange, UpstreamGarbage, UpstreamLost
from avow.gateway.meter import Outcome
from avow.gateway.orders import Order
from avow.gateway.sse import ChatStream, Usage

log = structlog.get_logger()

ANSWER_BYTES_MAX = 32 * 1024 * 1024

Progress = Callable[[UUID, int, int, int], None]
Pass = Callable[[bytes], Awaitable[None]]


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    usage: Usage | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


class Call:
    """One call. `outcome` is complete once `run` has returned; cancelling the task of `run` stops the upstream."""

    def __init__(self, order: Order, client: Client, progress: Progress, write: Pass) -> None:
        self.outcome = Outcome()
        self._order, self._client = order, client
        self._progress, self._write = progress, write
        self._exchange: Exchange | None = None

    async def run(self) -> Outcome:
        """Call the upstream; `write` gets what a streaming client is to see. A cancellation ends as `client_left`."""
        outcome = self.outcome
        try:
            await self._run()
        except AvowError as error:
            outcome.error, outcome.why = error, "upstream_failed"
        except asyncio.CancelledError:
            outcome.why = "client_left"
        except Exception as error:
            log.error("upstream_call_failed", request_id=str(self._order.request_id), error=type(error).__name__)
            outcome.error, outcome.why = AvowError(), "upstream_failed"
        if self._exchange is not None:
            if outcome.why == "done":
                self._exchange.discard()
            else:
                self._exchange.cancel()
        return outcome

    async def _run(self) -> None:
        order = self._order
        upstream = order.model.upstream
        body = upstreams.message(upstream, order.request, order.model.their_name, order.tokens_max)
        exchange = self._exchange = await self._client.send(upstream.target, body, resend=True)
        if exchange.status != 200:
            log.info(
                "upstream_refused", request_id=str(order.request_id), upstream=upstream.name, status=exchange.status
            )
            raise upstreams.refusal(exchange.status, exchange.header(b"retry-after"))
        if order.request.stream:
            await self._pass_on(exchange)
        elif upstream.only_streams:
            await self._collect(exchange)
        else:
            await self._fetch(exchange)

    async def _fetch(self, exchange: Exchange) -> None:
        """A JSON answer, passed on as it came once it is seen to be one."""
        body = await exchange.rest(ANSWER_BYTES_MAX)
        try:
            answer = _decode_answer(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise UpstreamGarbage("The upstream's answer is not a chat completion.") from None
        self.outcome.answer, self.outcome.usage = body, answer.usage
        if answer.usage is None:
            self.outcome.tokens = meter.estimate_tokens([choice.message.content for choice in answer.choices])

    async def _collect(self, exchange: Exchange) -> None:
        """A JSON answer from an upstream that only streams."""
        assembly = Assembly()
        await self._read(exchange, assembly, passes=False)
        self.outcome.answer = assembly.body(self.outcome.usage)

    async def _pass_on(self, exchange: Exchange) -> None:
        """A stream, event by event."""
        assembly = Assembly() if self._order.keeps else None
        try:
            await self._read(exchange, assembly, passes=True)
        finally:
            if assembly is not None and self.outcome.tokens:
                self.outcome.answer = assembly.body(self.outcome.usage)

    async def _read(self, exchange: Exchange, assembly: Assembly | None, *, passes: bool) -> None:
        """Read events until the end; raises an `UpstreamError` when the stream does not end as it should."""
        order, outcome = self._order, self.outcome
        shows_progress = order.model.upstream.shows_progress
        reader = ChatStream(wants_usage=order.request.wants_usage, takes_progress=shows_progress)
        while not (reader.done or reader.fault) and (piece := await exchange.read()):
            passed, data = reader.feed(piece)
            if assembly is not None:
                for event in data:
                    assembly.add(event)
            if reader.tokens > outcome.tokens:
                self._progress(order.request_id, reader.prompt_tokens or 0, 0, reader.tokens)
            outcome.tokens, outcome.usage, outcome.input_tokens = reader.tokens, reader.usage, reader.prompt_tokens
            if passed and passes:
                outcome.begun = True
                await self._write(passed)
        if reader.rejected and not outcome.begun:
            raise refusals.UpstreamRejected()
        if reader.fault:
            raise UpstreamGarbage("The upstream broke off its answer with an error or something unreadable.")
        if not (reader.done or reader.finished):
            raise UpstreamLost()
