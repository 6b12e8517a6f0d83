"""One completion, from the request to the answer that is paid for.

    parse → key → plan → local checks → wallet hold, durable → upstream → meter → settle with the kept trace → answer

A task of its own runs it, not the response: a client that leaves stops the upstream and still is settled. The cost is told
only after the settle is durable, so the body of a JSON answer, and the end of a stream, wait for it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import msgspec
import structlog

from avow.base import money
from avow.base.clock import Clock
from avow.base.errors import AvowError
from avow.base.ids import uuid7
from avow.billing import prices
from avow.billing.events import Open, Opened, Settle, Settled
from avow.billing.ledger import BalanceShort
from avow.billing.prices import Price
from avow.gateway import meter, refusals, upstreams, wire
from avow.gateway.assembly import Assembly
from avow.gateway.client import Client
from avow.gateway.connection import Exchange, UpstreamError, UpstreamGarbage, UpstreamLost
from avow.gateway.meter import Measured, Outcome
from avow.gateway.rules import CONTENT, MONEY, USAGE, KeyRecord, Model, RuleBook
from avow.gateway.sse import DONE, ChatStream, Usage, cost_comment
from avow.gateway.wire import ChatRequest
from avow.policy import NEVER, Never, Plan
from avow.vault.box import Ref
from avow.vault.vault import Vault

log = structlog.get_logger()

ANSWER_BYTES_MAX = 32 * 1024 * 1024
CALLS_PER_KEY_MAX = 256
RULES_TRIES_MAX = 3
# A hold outlives the longest call, so that a live request is never looked into by the recovery.
HOLD_S = 1800.0
STREAM_S_MAX = 1200.0

Headers = Sequence[tuple[bytes, bytes]]


class Keys(Protocol):
    """API keys by their secret."""

    async def find(self, secret: str) -> KeyRecord | None: ...


class Ledger(Protocol):
    """Money: see `billing.ledger.Batcher`."""

    async def open(self, event: Open) -> Opened: ...

    async def settle(self, event: Settle) -> Settled: ...

    def progress(self, request_id: UUID, input_tokens: int, cached_tokens: int, output_tokens: int) -> None: ...


class Reply(Protocol):
    """The way back to the client. Each call returns at once when the client has gone."""

    async def whole(self, status: int, headers: Headers, body: bytes) -> None: ...

    async def begin(self, headers: Headers) -> None: ...

    async def chunk(self, data: bytes) -> None: ...

    async def end(self, data: bytes) -> None: ...


@dataclass(frozen=True, slots=True)
class Ask:
    """What came: the key's text, the body as sent, and the hours that the client lets us keep it (None: no wish)."""

    secret: str = field(repr=False)
    body: bytes = field(repr=False)
    retention_h: int | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """A request that was admitted: on whose account, to which model, for how much at most, and what is kept of it."""

    request_id: UUID
    request: ChatRequest
    key: KeyRecord
    plan: Plan
    model: Model
    price: Price
    at: datetime
    tokens_max: int
    amount: int
    trace_ends_at: datetime | Never | None

    @property
    def keeps(self) -> bool:
        return self.trace_ends_at is not NEVER


class Gateway:
    """What completions need, and the ones that run. One per worker process, made in its loop."""

    def __init__(
        self,
        rules: RuleBook,
        keys: Keys,
        ledger: Ledger,
        vault: Vault,
        client: Client,
        clock: Clock,
        *,
        calls_per_key_max: int = CALLS_PER_KEY_MAX,
        stream_s_max: float = STREAM_S_MAX,
    ) -> None:
        self.rules, self.keys, self.ledger, self.vault = rules, keys, ledger, vault
        self.client, self.clock = client, clock
        self.calls_per_key_max, self.stream_s_max = calls_per_key_max, stream_s_max
        self.calls: Counter[UUID] = Counter()
        self._running: dict[Completion, asyncio.Task[None]] = {}

    def start(self, ask: Ask, reply: Reply) -> Completion:
        """Begin a completion in a task of its own; it ends settled, whatever becomes of the caller."""
        completion = Completion(self, ask, reply)
        task = asyncio.get_running_loop().create_task(completion.run())
        completion.task = self._running[completion] = task
        task.add_done_callback(lambda _: self._running.pop(completion))
        return completion

    async def close(self, grace_s: float = 20.0) -> None:
        """Let what runs finish; after `grace_s` stop the upstreams and settle what was delivered."""
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=grace_s)
        for completion in list(self._running):
            completion.leave()
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=grace_s)
        self.client.close()


class Completion:
    """One request under way."""

    def __init__(self, gateway: Gateway, ask: Ask, reply: Reply) -> None:
        self.request_id = uuid7()
        self.task: asyncio.Task[None] | None = None
        self._gateway, self._ask, self._reply = gateway, ask, reply
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()
        self._exchange: Exchange | None = None
        self._at_upstream = self._left = False

    def leave(self) -> None:
        """The client has gone: the upstream is stopped at once; what was delivered until now is settled."""
        self._left = True
        if self._at_upstream and self.task is not None:
            self.task.cancel()

    async def run(self) -> None:
        """Answer, or refuse in OpenAI's shape. Raises nothing."""
        try:
            await self._complete()
        except AvowError as error:
            await self.refuse(error)
        except Exception as error:
            log.error("completion_failed", request_id=str(self.request_id), error=type(error).__name__)
            await self.refuse(AvowError())

    async def refuse(self, error: AvowError) -> None:
        headers = [(name.encode(), value.encode()) for name, value in error.headers.items()]
        identity = (b"avow-request-id", str(self.request_id).encode())
        await self._reply.whole(error.status, [identity, *headers], refusals.render(error))

    async def _complete(self) -> None:
        gateway = self._gateway
        request = wire.parse(self._ask.body)
        key = await gateway.keys.find(self._ask.secret)
        if key is None:
            raise refusals.KeyRefused()
        if gateway.calls[key.key_id] >= gateway.calls_per_key_max:
            raise refusals.RateExceeded("Too many calls of this key are running at once.")
        gateway.calls[key.key_id] += 1
        try:
            order = await self._reserve(request, key)
            outcome = Outcome(why="client_left") if self._left else await self._call(order)
            measured = meter.measure(outcome, order.price, request.fields)
            kept = self._trace(order, outcome)
            settled = await gateway.ledger.settle(self._settle(order, outcome, measured, kept))
        finally:
            gateway.calls[key.key_id] -= 1
            if not gateway.calls[key.key_id]:
                del gateway.calls[key.key_id]
        await self._answer(order, outcome, settled, kept is not None)

    # the reservation

    async def _reserve(self, request: ChatRequest, key: KeyRecord) -> Order:
        """An order whose hold is durable and whose plan is of the epoch in force."""
        tokens_max = request.max_tokens
        rules = self._gateway.rules.current
        for _ in range(RULES_TRIES_MAX):
            order = self._order(request, key, tokens_max)
            try:
                opened = await self._gateway.ledger.open(self._open(order))
            except BalanceShort as short:
                if tokens_max is not None:
                    raise
                # The client left the length to us: as much as the balance affords.
                tokens_max = self._affordable(order, short)
                continue
            if opened.policy_epoch <= order.plan.epoch:
                return order
            await self._void(order)
            rules = await self._gateway.rules.renew(opened.policy_epoch)
            self.request_id = uuid7()
        raise refusals.LedgerSilent(f"The rules changed while the request was judged (epoch {rules.epoch}).")

    def _order(self, request: ChatRequest, key: KeyRecord, tokens_max: int | None) -> Order:
        """The local checks: is there such a model with a price, and may its upstream see this content?"""
        rules = self._gateway.rules.current
        plan = rules.plan(key)
        model = rules.models.get(request.model)
        if model is None:
            raise refusals.ModelUnknown(param="model")
        if model.upstream.processor is not None and not plan.may_see(model.upstream.processor):
            raise refusals.PolicyForbids(param="model")
        at = self._gateway.clock.now()
        price = rules.prices.of(model.id, at)
        tokens = min(tokens_max or model.output_tokens_max, model.output_tokens_max)
        amount = prices.upper(price, meter.upper_input_tokens(self._ask.body), tokens * request.choices)
        ends_at = plan.end(CONTENT, at, self._ask.retention_h)
        return Order(self.request_id, request, key, plan, model, price, at, tokens, amount, ends_at)

    def _affordable(self, order: Order, short: BalanceShort) -> int:
        bound = meter.upper_input_tokens(self._ask.body)
        total = prices.output_tokens_affordable(order.price, bound, short.affordable)
        tokens = order.tokens_max if total is None else total // order.request.choices
        if tokens < 1 or tokens >= order.tokens_max:
            raise short
        return tokens

    def _open(self, order: Order) -> Open:
        return Open(
            request_id=order.request_id,
            key_id=order.key.key_id,
            amount=order.amount,
            price_id=order.price.id,
            model=order.model.id,
            at=order.at,
            expires_at=order.at + timedelta(seconds=HOLD_S),
            money_ends_at=_end(order.plan, MONEY, order.at),
            usage_ends_at=_end(order.plan, USAGE, order.at),
            policy_version=order.plan.policy_version,
        )

    async def _void(self, order: Order) -> None:
        await self._gateway.ledger.settle(Settle(order.request_id, 0, 0, 0, 0, 0, 503, "void"))

    # the upstream

    async def _call(self, order: Order) -> Outcome:
        """The upstream's part. Whatever happens in it ends in an outcome, for the hold must be settled."""
        outcome = Outcome()
        stalled = self._loop.call_later(self._gateway.stream_s_max, self.leave)
        self._at_upstream = True
        try:
            if order.keeps and not isinstance(order.trace_ends_at, Never):
                await self._gateway.vault.prepare(order.key.subject_id, CONTENT, order.trace_ends_at)
            await self._send(order)
            if order.request.stream:
                await self._pass_on(order, outcome)
            elif order.model.upstream.only_streams:
                await self._collect(order, outcome)
            else:
                await self._fetch(outcome)
        except AvowError as error:
            outcome.error, outcome.why = error, "upstream_failed"
        except asyncio.CancelledError:
            if not self._left:
                raise
            outcome.why = "client_left"
        except Exception as error:
            log.error("upstream_call_failed", request_id=str(order.request_id), error=type(error).__name__)
            outcome.error, outcome.why = AvowError(), "upstream_failed"
        finally:
            self._at_upstream = False
            stalled.cancel()
            self._release(outcome)
        return outcome

    async def _send(self, order: Order) -> None:
        upstream = order.model.upstream
        body = upstreams.message(upstream, order.request, order.model.their_name, order.tokens_max)
        exchange = self._exchange = await self._gateway.client.send(upstream.target, body, resend=True)
        if exchange.status != 200:
            exchange.cancel()
            log.info("upstream_refused", request_id=str(order.request_id), upstream=upstream.name, status=exchange.status)
            raise upstreams.refusal(exchange.status, exchange.header(b"retry-after"))

    def _release(self, outcome: Outcome) -> None:
        if self._exchange is not None:
            if outcome.why == "done":
                self._exchange.discard()
            else:
                self._exchange.cancel()

    async def _fetch(self, outcome: Outcome) -> None:
        """A JSON answer, passed on as it came once it is seen to be one."""
        assert self._exchange is not None
        body = await self._exchange.rest(ANSWER_BYTES_MAX)
        try:
            answer = _decode_answer(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise UpstreamGarbage("The upstream's answer is not a chat completion.") from None
        outcome.answer, outcome.usage = body, answer.usage
        outcome.tokens = meter.estimate_tokens([choice.message.content for choice in answer.choices])

    async def _collect(self, order: Order, outcome: Outcome) -> None:
        """A JSON answer from an upstream that only streams."""
        assembly = Assembly()
        await self._read(order, outcome, assembly, passes=False)
        outcome.answer = assembly.body(_usage_fields(outcome.usage))

    async def _pass_on(self, order: Order, outcome: Outcome) -> None:
        """A stream, event by event."""
        assembly = Assembly() if order.keeps else None
        try:
            await self._read(order, outcome, assembly, passes=True)
        finally:
            if assembly is not None and outcome.tokens:
                outcome.answer = assembly.body(_usage_fields(outcome.usage))

    async def _read(self, order: Order, outcome: Outcome, assembly: Assembly | None, *, passes: bool) -> None:
        """Read events until the end; raises an `UpstreamError` when the stream does not end as it should."""
        assert self._exchange is not None
        upstream = order.model.upstream
        reader = ChatStream(wants_usage=order.request.wants_usage, takes_progress=upstream.shows_progress)
        while not (reader.done or reader.fault) and (piece := await self._exchange.read()):
            passed, data = reader.feed(piece)
            if assembly is not None:
                for event in data:
                    assembly.add(event)
            if passed and passes:
                await self._write(order, outcome, passed)
            if reader.tokens > outcome.tokens:
                self._gateway.ledger.progress(order.request_id, reader.prompt_tokens or 0, 0, reader.tokens)
            outcome.tokens, outcome.usage = reader.tokens, reader.usage
            outcome.input_tokens = reader.prompt_tokens
        if reader.rejected and not outcome.begun:
            raise refusals.UpstreamRejected()
        if reader.fault:
            raise UpstreamGarbage("The upstream broke off its answer with an error or something unreadable.")
        if not (reader.done or reader.finished):
            raise UpstreamLost()

    async def _write(self, order: Order, outcome: Outcome, passed: bytes) -> None:
        if not outcome.begun:
            outcome.begun = True
            await self._reply.begin(_headers(order, order.keeps))
        await self._reply.chunk(passed)

    # the end

    def _trace(self, order: Order, outcome: Outcome) -> bytes | None:
        """The sealed box of what was asked and answered, or None where nothing is kept."""
        ends_at = order.trace_ends_at
        if isinstance(ends_at, Never) or not outcome.answer:
            return None
        ref = Ref(order.key.tenant_id, "trace", CONTENT, order.request_id, order.key.subject_id)
        fields = {"request": order.request.fields, "response": msgspec.Raw(outcome.answer)}
        try:
            return self._gateway.vault.seal(ref, fields, ends_at)
        except AvowError as error:
            log.warning("trace_not_kept", request_id=str(order.request_id), code=error.code)
            return None

    def _settle(self, order: Order, outcome: Outcome, measured: Measured, kept: bytes | None) -> Settle:
        return Settle(
            request_id=order.request_id,
            amount=measured.amount,
            input_tokens=measured.input_tokens,
            cached_tokens=measured.cached_tokens,
            output_tokens=measured.output_tokens,
            latency_ms=int((self._loop.time() - self._started_at) * 1000),
            status=outcome.status,
            why=outcome.why,
            extra=None if kept is None else (order.trace_ends_at, kept),
        )

    async def _answer(self, order: Order, outcome: Outcome, settled: Settled, kept: bool) -> None:
        if outcome.why == "client_left":
            return
        if outcome.error is not None and not outcome.begun:
            raise outcome.error
        cost = cost_comment(settled.charged)
        if outcome.error is not None:
            await self._reply.end(b"data: " + refusals.render(outcome.error) + b"\n\n" + cost)
        elif order.request.stream:
            if not outcome.begun:
                await self._reply.begin(_headers(order, kept))
            await self._reply.end(cost + DONE)
        else:
            headers = [*_headers(order, kept), (b"avow-cost", money.text(settled.charged).encode())]
            await self._reply.whole(200, headers, outcome.answer)


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    usage: Usage | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


def _usage_fields(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _end(plan: Plan, category: str, at: datetime) -> datetime | None:
    """The end of a fact that the ledger must write: what the policy never keeps ends as it begins."""
    ends_at = plan.end(category, at)
    return at if isinstance(ends_at, Never) else ends_at


def _headers(order: Order, kept: bool) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"avow-request-id", str(order.request_id).encode()),
        (b"avow-policy", order.plan.policy_hash.encode()),
        (b"avow-stored", b"trace" if kept else b"none"),
    ]
    if kept and isinstance(order.trace_ends_at, datetime):
        headers.append((b"avow-expires-at", order.trace_ends_at.isoformat(timespec="seconds").encode()))
    return headers


__all__ = ["Ask", "Completion", "Gateway", "Keys", "Ledger", "Reply", "UpstreamError"]
