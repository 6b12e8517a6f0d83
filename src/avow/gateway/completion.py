"""One request to `/v1`, from its body to the answer that is paid for.

    key → parse → plan → local checks → wallet hold, durable → idempotency key → filters → cache, or upstream → filters again,
    a stream while it runs → into the cache → meter → what filters decided → settle with the kept trace → answer

A task of its own runs it, not the response: a client that leaves stops the upstream and still is settled. The cost is told
only after the settle is durable, so the body of a JSON answer, and the end of a stream, wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Coroutine, Iterator
from functools import partial
from typing import Any, Protocol
from uuid import UUID

import msgspec
import structlog

from avow.accounts.directory import KeyRecord
from avow.base import money
from avow.base.clock import Clock
from avow.base.db import AWAY
from avow.base.errors import AvowError
from avow.base.ids import uuid7
from avow.billing.claims import Claim, Claims
from avow.billing.events import Settle, Settled
from avow.billing.means import Means
from avow.billing.refusals import RateExceeded
from avow.gateway import extents, forms, judging, kept, media, meter, orders, pictures, refusals
from avow.gateway.ask import Ask, Headers, Keys, Reply
from avow.gateway.cache import Cache, Word
from avow.gateway.call import Call
from avow.gateway.client import Client
from avow.gateway.connection import Exchange, UpstreamTimeout
from avow.gateway.decisions import Decisions
from avow.gateway.fleet import Fleet
from avow.gateway.meter import Measured, Outcome
from avow.gateway.orders import Ledger, Order, Wish
from avow.gateway.rules import CONTENT, RuleBook
from avow.gateway.searching import Searching
from avow.gateway.spans import Spans
from avow.gateway.sse import cost_comment
from avow.gateway.straight import Outlet
from avow.gateway.surfaces import Surface
from avow.gateway.watch import Watch
from avow.gateway.wire import Request
from avow.policy import Never
from avow.vault import NotPrepared, Ref, Vault

log = structlog.get_logger()

CALLS_PER_KEY_MAX = 256
STREAM_S_MAX = 1200.0
SWEEP_S = 1.0
CLOSING_S = 0.02
DRAIN_S_MAX = 60.0
DIGEST_BYTES_MAX = 256 * 1024  # a digest of more is not for the loop
SEALED_BYTES = 64 * 1024  # more is searched for card numbers beside the loop


class Ended(msgspec.Struct, frozen=True):
    """An order whose charge is durable, and whether anything of it is kept."""

    order: Order
    outcome: Outcome
    measured: Measured
    settled: Settled
    is_kept: bool


class Handable(Protocol):
    """A completion without a task that can be given one."""

    started_at: float

    def hand_over(self) -> None: ...


class Gateway:
    """What completions need, and those that run. One per worker process, made in its loop."""

    def __init__(
        self,
        rules: RuleBook,
        keys: Keys,
        ledger: Ledger,
        vault: Vault,
        client: Client,
        clock: Clock,
        means: Means,
        claims: Claims,
        *,
        cache: Cache,
        decisions: Decisions,
        calls_per_key_max: int = CALLS_PER_KEY_MAX,
        stream_s_max: float = STREAM_S_MAX,
        fleet: Fleet | None = None,
        spans: Spans | None = None,
    ) -> None:
        self.rules, self.keys, self.ledger, self.vault = rules, keys, ledger, vault
        self.client, self.clock, self.fleet = client, clock, fleet or Fleet(client)
        self._means, self.claims, self.cache = means, claims, cache
        self.decisions, self.spans = decisions, spans
        self._stream_s_max = stream_s_max
        self._calls_per_key_max = calls_per_key_max
        self.loop = asyncio.get_running_loop()
        self._calls: dict[int, int] = {}
        self.watch = Watch()
        self._running: dict[Completion, asyncio.Task[None]] = {}
        self.plain: set[Handable] = set()
        """Those that have no task, yet."""
        self.is_closing = False
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def running(self) -> int:
        """How many requests are under way."""
        return len(self._running) + len(self.plain)

    def start(self, ask: Ask, reply: Reply) -> Completion:
        """Begin a completion in a task of its own; it ends settled, whatever becomes of the caller."""
        completion = Completion(self, ask, reply)
        self.run(completion, completion.run())
        return completion

    def run(self, completion: Completion, work: Coroutine[Any, Any, None]) -> None:
        """Give a completion a task."""
        task = completion.task = self._running[completion] = self.loop.create_task(work)
        task.add_done_callback(completion.forget)
        self.look_after()

    def look_after(self) -> None:
        """See that what is under way does not take too long."""
        if self._sweeper is None:
            self._sweep()

    async def close(self, grace_s: float = 20.0) -> None:
        """Let what runs finish; after `grace_s` stop the upstreams, settle what was delivered and tell the clients."""
        self.is_closing = True
        for plain in list(self.plain):
            plain.hand_over()
        ends_at = self.loop.time() + grace_s
        while self.plain and self.loop.time() < ends_at:  # noqa: ASYNC110 (they wait for the ledger, which has limits)
            await asyncio.sleep(CLOSING_S)
        for _ in range(2):
            if self._running:
                await asyncio.wait(list(self._running.values()), timeout=max(0.0, ends_at - self.loop.time()))
            for completion in list(self._running):
                completion.give_up(refusals.Stopping())
            ends_at = self.loop.time() + grace_s
        self.fleet.close()
        self.client.close()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def admit_large(self, ask_secret: str, address: str | None) -> KeyRecord:
        """Say no before a large body is read: to whom has no key that works, no money, or nothing left of a limit."""
        key = await self.keys.admit(ask_secret, "inference", address)
        now = self.clock.now()
        await self._means.check(key.key_id, now, needs_money=not self.rules.current.prices.gives_away(now))
        return key

    def enter(self, key_id: UUID) -> None:
        """Count a call of a key. Raises `RateExceeded` when too many run at once."""
        running = self._calls.get(key_id.int, 0)
        if running >= self._calls_per_key_max:
            raise RateExceeded("Too many calls of this key are running at once.")
        self._calls[key_id.int] = running + 1

    def exit(self, key_id: UUID) -> None:
        running = self._calls.pop(key_id.int) - 1
        if running:
            self._calls[key_id.int] = running

    @contextlib.contextmanager
    def entered(self, key_id: UUID) -> Iterator[None]:
        """A call of a key, as `enter` counts it, until the context ends."""
        self.enter(key_id)
        try:
            yield
        finally:
            self.exit(key_id)

    def forget(self, completion: Completion) -> None:
        self._running.pop(completion, None)

    def _sweep(self) -> None:
        """What takes too long is given up; a client that reads nothing of its stream has left."""
        loop = asyncio.get_running_loop()
        late = loop.time() - self._stream_s_max
        for completion in [each for each in self._running if each.started_at < late]:
            if completion.begun:
                completion.leave()
            else:
                completion.give_up(UpstreamTimeout())
        for plain in [each for each in self.plain if each.started_at < late]:
            plain.hand_over()
        self._sweeper = loop.call_later(SWEEP_S, self._sweep) if self._running or self.plain else None


class Completion:
    """One request under way."""

    __slots__ = (
        *("_ask", "_at_upstream", "_begun_s", "_cached", "_counted", "_exchange", "_form_digest", "_gateway"),
        *("_given_up", "_key", "_left", "_loop", "_order", "_reply", "_request", "_searching", "_stoppable"),
        *("begun", "started_at", "task"),
    )

    task: asyncio.Task[None] | None
    _request: Request | None
    _order: Order | None
    _exchange: Exchange | None
    """What was sent to the upstream before the task began."""
    _at_upstream: Call | None
    _given_up: AvowError | None
    _begun_s: float | None
    _cached: Word
    _searching: Searching | None

    def __init__(self, gateway: Gateway, ask: Ask, reply: Reply) -> None:
        self._gateway, self._ask, self._reply, self._key = gateway, ask, reply, ask.key
        self._loop = gateway.loop
        self.started_at = self._loop.time()
        self.begun = self._left = self._counted = self._stoppable = False
        self.task = self._request = self._order = self._exchange = self._at_upstream = None
        self._given_up = self._begun_s = self._searching = None
        self._cached, self._form_digest = "off", b""

    def leave(self) -> None:
        """The client has gone: the upstream is stopped at once, or drained where its rule says so, and that is settled."""
        if self._left:
            return
        self._left = True
        if self._at_upstream is not None and self._at_upstream.drain():
            self._loop.call_later(DRAIN_S_MAX, self._stop)
        else:
            self._stop()

    def give_up(self, error: AvowError) -> None:
        """End it from our side: as `leave`, but the client is told `error`."""
        self._given_up = error
        self._stop()

    def _stop(self) -> None:
        if self._stoppable and self.task is not None:
            self.task.cancel()

    def forget(self, _: asyncio.Task[None]) -> None:
        self._gateway.forget(self)

    async def run(self) -> None:
        """Answer, or refuse in the shape of its surface. Raises nothing."""
        await self._told_ending(self._complete())

    async def _told_ending(self, work: Awaitable[None]) -> None:
        try:
            await work
        except AvowError as error:
            await self._refuse(error)
        except AWAY:
            await self._refuse(refusals.NotReady())
        except Exception as error:
            await self._refuse(AvowError(), type(error).__name__)

    async def _complete(self) -> None:
        gateway = self._gateway
        surface = self._ask.surface
        # Who asks before what: nothing is parsed for somebody unknown.
        key = self._key or await gateway.keys.admit(self._ask.secret, "inference", self._ask.address)
        request = self._request or await self._parsed(surface)
        gateway.enter(key.key_id)
        try:
            claim = None
            ours = judging.ours(gateway.rules.current, surface, request)
            texts = judging.texts(request.fields["input"]) if ours else None
            if self._ask.claim is not None:
                claim = await self._claimed(self._ask.claim, key)
            wish = Wish(request, key, len(self._ask.body), self._ask.retention_h, surface)
            place = orders.place_own if ours else orders.place
            self._order = await place(wish, gateway.rules, gateway.ledger, gateway.clock)
            ended = await self._carried_out(claim, texts)
        finally:
            gateway.exit(key.key_id)
        await self._conclude(claim, ended)

    async def _carried_out(self, claim: Claim | None = None, texts: list[str] | None = None) -> Ended:
        """The order from its hold to its durable charge; `texts` are for our own filters."""
        gateway, order = self._gateway, self._order
        assert order is not None
        try:
            if claim is not None:
                await self._take(claim, order)
            if texts is not None:
                outcome = await self._judged(order, texts)
            else:
                refused = await self._searched() if self._at_upstream is None else None
                order = self._order or order  # what is found may be taken out of it
                outcome = refused or await self._obtain(order)
            measured = measure(order, outcome)
            if self._searching is not None and self._searching.hits:
                await gateway.decisions.record(order, self._searching.hits)
            box = await self._seal(order, outcome)
            line = await self._line(order, outcome, measured)
        except BaseException:  # whatever went wrong: a hold that nobody ends is somebody's money
            await gateway.ledger.settle(orders.void(order))
            raise
        settled = await gateway.ledger.settle(
            self._settle(order, outcome, measured, kept.beside_charge(order, box, line))
        )
        return Ended(order, outcome, measured, settled, box is not None)

    async def _conclude(self, claim: Claim | None, ended: Ended) -> None:
        """What is left to do for an order that is paid: count it, and tell the client."""
        self._count(ended)
        if claim is not None:
            await self._end(claim, ended)
        await self._answer(ended)

    async def _parsed(self, surface: Surface) -> Request:
        if not surface.takes_form:
            made = surface.parse(self._ask.body)
            if not made.shows:
                return made
            taken = await asyncio.to_thread(pictures.take, made.fields)
            return msgspec.structs.replace(made, pictures=taken)
        form, self._form_digest = await asyncio.to_thread(self._form)
        return await media.read(surface.parse, form)

    def _form(self) -> tuple[forms.Form, bytes]:
        """The form that was sent and, where it has to be told from others, its digest."""
        form = forms.read(self._ask.body, self._ask.boundary)
        return form, forms.digest(form) if self._ask.claim is not None else b""

    async def _judged(self, order: Order, texts: list[str]) -> Outcome:
        """What our own filters say of texts."""
        filters = self._gateway.rules.current.filters
        if filters is None:
            return Outcome(why="refused", error=refusals.ModelUnknown(param="model"))
        return Outcome(answer=await judging.judged(filters, texts, order.request_id))

    async def _claimed(self, name: bytes, key: KeyRecord) -> Claim:
        """The claim of the client's idempotency key, seen to be free before anything is held."""
        # A client that sends a form again puts something else between its parts.
        body = self._form_digest or self._ask.body
        claims, given = self._gateway.claims, (name, self._ask.surface.path, body)
        whose = key.tenant_id, key.subject_id
        if len(body) > DIGEST_BYTES_MAX:
            claim = await asyncio.to_thread(claims.named, *given, *whose)
        else:
            claim = claims.named(*given, *whose)
        await claims.look(claim, self._gateway.clock.now())
        return claim

    async def _take(self, claim: Claim, order: Order) -> None:
        """Give the key to this request. Raises where another one was quicker, or it cannot be told."""
        ends_at, version = order.money_ends_at, order.plan.policy_version
        await self._gateway.claims.take(claim, order.request_id, order.at, ends_at, version)

    async def _end(self, claim: Claim, ended: Ended) -> None:
        with contextlib.suppress(*AWAY):  # the charge tells the same
            await self._gateway.claims.end(claim, ended.order.request_id, ended.outcome.status, ended.settled.charged)

    async def _searched(self) -> Outcome | None:
        """Have the request searched where the policy has filters; the end of one that must not go on."""
        filters, order = self._gateway.rules.current.filters, self._order
        if filters is None or order is None:
            return None
        if self._left or self._given_up is not None:
            return None
        self._searching, self._stoppable = Searching(filters), True
        try:
            size, rules = len(self._ask.body), self._gateway.rules.current
            self._order = await self._searching.request(order, size, rules, self._gateway.client)
        except AvowError as error:
            return Outcome(why="refused", error=error)
        except asyncio.CancelledError:
            return self._stopped(Outcome(why="client_left"))
        finally:
            self._be_stopped_no_more()
        return None

    async def _obtain(self, order: Order) -> Outcome:
        """The upstream's answer, or the one that the same request got before, which costs nothing."""
        cache = self._gateway.cache
        place = cache.place(order, self._ask.cache)
        if place is None or self._at_upstream is not None:
            return await self._call(order)
        self._cached, answer = await cache.find(place, order)
        if self._cached == "hit":
            return Outcome(why="cached", answer=answer)
        outcome = await self._call(order)
        if self._cached == "miss" and outcome.why == "done":
            await cache.put(place, order, outcome.answer)
        return outcome

    async def _call(self, order: Order) -> Outcome:
        """Only here and while filters search may the task be cancelled, and only by `leave` and `give_up`."""
        outcome = Outcome(why="client_left")
        call = self._at_upstream
        if call is not None or (not self._left and self._given_up is None):
            gateway = self._gateway
            if call is None:
                call = Call(order, gateway.client, gateway.fleet, gateway.ledger.progress, self, self._exchange)
            self._at_upstream, self._stoppable = call, True
            if self._given_up is not None:  # before the first step of this task, when nothing could be stopped
                self._stop()
            outcome = await call.run()
            self._at_upstream = None
            self._be_stopped_no_more()
        outcome = self._stopped(outcome)
        if self._searching is not None:
            return await self._let_out(self._searching, order, outcome)
        return outcome

    def _be_stopped_no_more(self) -> None:
        self._stoppable = False
        while self.task is not None and self.task.cancelling():
            self.task.uncancel()

    def _stopped(self, outcome: Outcome) -> Outcome:
        """Who has left and whom we gave up end alike; only the latter is told."""
        if outcome.why == "client_left" and not self._left:
            outcome.why, outcome.error = "upstream_failed", self._given_up
        return outcome

    async def _let_out(self, searching: Searching, order: Order, outcome: Outcome) -> Outcome:
        """The end of an answer that is searched."""
        if order.request.stream:
            if rest := searching.let_out(outcome):
                self._tell(rest)
            outcome.begun = self.begun
        return await searching.answer(outcome) if outcome.answer and order.request.choices else outcome

    def pass_on(self, data: bytes) -> bool:
        """Give the client a part of its stream, as far as it may go; False: `flush` before the next."""
        if self._searching is not None:
            data = self._searching.passes(data)
        return self._tell(data) if data else True

    def delivered(self, tokens: int) -> int:
        """See `reading.Listener`."""
        return tokens if self._searching is None else self._searching.delivered(tokens)

    def outlet(self) -> Outlet | None:
        """See `reading.Listener`."""
        return self._reply.outlet() if self._searching is None or not self._searching.guards else None

    def _tell(self, data: bytes) -> bool:
        if not self.begun:
            self.begun = True
            self._begun_s = self._loop.time() - self.started_at
            assert self._order is not None
            self._reply.begin(kept.headers(self._order, self._order.keeps), self._order.request.answered_as)
        return self._reply.pass_on(data)

    async def flush(self) -> None:
        """Return when the client has read enough."""
        await self._reply.flush()

    def _is_long(self, said_bytes: int) -> bool:
        """Whether what was asked and answered is sealed beside the loop."""
        return len(self._ask.body) + said_bytes > SEALED_BYTES

    async def _seal(self, order: Order, outcome: Outcome) -> bytes | None:
        """The box of what was asked and answered, or None where nothing is kept."""
        if isinstance(order.kept_until, Never) or not outcome.answer:
            return None
        try:
            said, short = outcome.answer, order.surface.kept
            said = said if short is None else await asyncio.to_thread(short, said)
            seal = partial(self._box, order, said, cut=outcome.why not in ("done", "cached"))
            try:
                return await asyncio.to_thread(seal) if self._is_long(len(said)) else seal()
            except NotPrepared:  # an hour's first box of a person
                await self._gateway.vault.prepare(order.content_owner, CONTENT, order.kept_until)
                return await asyncio.to_thread(seal)
        except Exception as error:  # the answer is paid for, kept or not
            kind = error.code if isinstance(error, AvowError) else type(error).__name__
            log.warning("trace_not_kept", kind=kind)
            return None

    def _box(self, order: Order, said: bytes, *, cut: bool) -> bytes:
        ref = Ref(order.key.tenant_id, "trace", CONTENT, order.request_id, order.content_owner)
        parts = {"request": kept.asked(order), "response": msgspec.Raw(said)}
        stored = order.plan.stored(CONTENT)
        fields = parts if stored.issuperset(parts) else {name: parts[name] for name in stored.intersection(parts)}
        assert not isinstance(order.kept_until, Never)
        return self._gateway.vault.seal(ref, fields, order.kept_until, lambda: cut or kept.is_broken_off(said))

    async def _line(self, order: Order, outcome: Outcome, measured: Measured) -> tuple[Any, ...]:
        """What is written beside the charge of a line of a batch; a failure that costs nothing may be tried again. Raises where
        it cannot be made: nothing is charged then."""
        error, cost = outcome.error, min(measured.amount, order.amount)
        if self._ask.beside is None or (error is not None and not cost):
            return kept.NO_LINE
        answer = self._told(order, outcome) if error is None else order.surface.shape.render(error)
        return await asyncio.to_thread(self._ask.beside, order.request_id, outcome.status, answer, cost)

    def _told(self, order: Order, outcome: Outcome) -> bytes:
        """A whole answer as its client gets it."""
        answer = outcome.answer if self._searching is None else self._searching.told(outcome.answer)
        return media.for_client(answer, order.request)

    def _settle(self, order: Order, outcome: Outcome, measured: Measured, extra: tuple[Any, ...] | None) -> Settle:
        used = measured.used
        latency_ms = int((self._loop.time() - self.started_at) * 1000)
        return Settle(
            order.request_id,
            measured.amount,
            used.input,
            used.cached,
            used.output,
            latency_ms,
            outcome.status,
            outcome.why,
            used.cache_write,
            used.reasoning,
            used.image,
            used.audio,
            measured.estimated,
            extra,
        )

    def _count(self, ended: Ended) -> None:
        order, outcome, measured = ended.order, ended.outcome, ended.measured
        self._counted, took_s = True, self._loop.time() - self.started_at
        if order.request.extent is not None and extents.outlasts(outcome.usage, order.request.extent):
            self._gateway.watch.outlasted(order.model.id)
            log.warning("audio_longer_than_held", kind=order.model.id)
        self._gateway.watch.settled(
            order.surface.name, order.model.id, outcome.status, measured, ended.settled.charged, took_s, self._begun_s
        )
        if self._gateway.spans is not None:
            self._gateway.spans.see(order, outcome, measured, took_s, self._begun_s)

    async def _answer(self, ended: Ended) -> None:
        order, outcome, settled = ended.order, ended.outcome, ended.settled
        if outcome.why == "client_left":
            return
        if outcome.error is not None and not outcome.begun:
            raise outcome.error
        if order.request.is_raw:
            if outcome.error is None:  # else the connection is cut: there is no other way to say it
                await self._reply.end(b"")
        elif outcome.error is not None:
            cost = cost_comment(settled.charged)
            await self._reply.end(order.surface.shape.event(outcome.error) + cost)
        elif order.request.stream:
            self._tell(cost_comment(settled.charged))
            await self._reply.end(outcome.tail)
        else:
            told = self._told(order, outcome)
            await self._reply.whole(200, self._headers(ended), told, order.request.answered_as)

    def _headers(self, ended: Ended) -> Headers:
        """Those of an answer that is told whole."""
        cost = money.text(ended.settled.charged).encode()
        return [*kept.headers(ended.order, ended.is_kept, self._cached), (b"avow-cost", cost)]

    async def _refuse(self, error: AvowError, failure: str = "") -> None:
        """Tell the client why not; `failure` names an exception that should not have been."""
        request_id = self._order.request_id if self._order is not None else uuid7()
        if failure:
            log.error("completion_failed", error=failure)
        if not self._counted:
            self._gateway.watch.uncharged(self._ask.surface.name, error.status)
        if not self.begun:
            await self._reply.whole(
                error.status, refusals.headers(error, request_id), self._ask.surface.shape.render(error)
            )


def measure(order: Order, outcome: Outcome) -> Measured:
    """What an order's client pays."""
    request, said_in = order.request, order.surface.said_in
    return meter.measure(outcome, order.price, request.fields, said_in, order.output_tokens_max, request.extent)
