"""A completion without a task, as long as it is plain: each step is called by what it waited for.

    key → parse → plan → local checks → wallet hold, durable → upstream → meter → settle with the kept trace → answer

Where the answer is a stream, it flows to the client between the upstream and the meter, and its cost and end are the answer.
These are the steps of `completion`, and its functions. What is not plain takes the usual way, in a task: what needs more than
these steps, and what is refused, from the beginning; what turns out so later, with its hold and what was sent already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from avow.billing.events import Opened, Settled
from avow.billing.refusals import MoneyShort, TokensShort
from avow.gateway import kept, orders
from avow.gateway.ask import Headers, Reply
from avow.gateway.call import Call
from avow.gateway.completion import Completion, Ended, measure
from avow.gateway.connection import Exchange
from avow.gateway.fleet import Health
from avow.gateway.meter import Measured, Outcome
from avow.gateway.orders import Order, Wish
from avow.gateway.sse import cost_comment
from avow.policy import Never


class QuickReply(Reply, Protocol):
    """A reply that can also be told or ended at once, unless a slow reader holds it up."""

    @property
    def is_held_up(self) -> bool: ...

    def tell(self, status: int, headers: Headers, body: bytes) -> None: ...

    def finish(self, data: bytes) -> None:
        """As `end`, at once."""
        ...

    def over(self) -> None:
        """Nothing more will be told."""
        ...


class Plain(Completion):
    """One request, without a task for as long as it is plain. `begin` it once."""

    __slots__ = ("_asked_s", "_found", "_health")

    _reply: QuickReply
    _order: Order
    _health: Health
    _asked_s: float
    _found: tuple[Outcome, Measured, bool]

    def begin(self) -> None:
        """Answer it; returns at once."""
        if not self._ask_for_hold():
            self._take_task(self._complete())

    def leave(self) -> None:
        """As `Completion.leave`: what is under way at an upstream needs a task to end it."""
        if self.task is not None:
            super().leave()
        elif self._exchange is not None:
            self.hand_over()
            # Behind the first step of the task, which waits for the exchange then.
            self._loop.call_soon(super().leave)
        else:
            self._left = True

    def hand_over(self) -> None:
        """Go on in a task, if it waits for an upstream."""
        if self._exchange is not None and self.task is None:
            self._exchange.stay()
            self._gateway.fleet.withdraw(self._health)
            self._take_task(self._go_on())

    def forget(self, task: asyncio.Task[None]) -> None:
        super().forget(task)
        self._reply.over()

    def _ask_for_hold(self) -> bool:
        """False: this is for a task, which also says what is wrong with it."""
        ask, gateway = self._ask, self._gateway
        if ask.mark is None or ask.claim is not None or gateway.rules.current.filters is not None or gateway.is_closing:
            return False
        try:
            at = gateway.clock.now()
            key = self._key = gateway.keys.at_hand(ask.mark, "inference", at)
            if key is None:
                return False
            request = ask.surface.parse(ask.body)
            if request.shows:
                return False
            self._request = request
            if request.extent is not None:
                return False
            wish = Wish(request, key, len(ask.body), ask.retention_h, ask.surface)
            order = orders.judge(wish, gateway.rules, at, request.max_tokens)
            if order.only is None or gateway.cache.place(order, ask.cache) is not None:
                return False
            gateway.enter(key.key_id)
        except Exception:
            return False
        try:
            gateway.ledger.opening(orders.opening(order), self._opened)
        except Exception:
            gateway.exit(key.key_id)
            return False
        self._order = order
        gateway.plain.add(self)
        return True

    def _opened(self, opened: Opened | Exception) -> None:
        gateway, order = self._gateway, self._order
        if isinstance(opened, Exception):
            # A length that was left to us may be a shorter one.
            again = isinstance(opened, MoneyShort | TokensShort) and order.request.max_tokens is None
            return self._take_task(self._begin_anew() if again else self._refuse_held(opened))
        held = orders.confirmed(order, opened)
        if held is None:
            return self._take_task(self._begin_anew(opened.policy_epoch))
        order = self._order = held
        assert order.only is not None
        route, way, target = order.only
        self._health = gateway.fleet.of(route.upstream)
        if not (self._left or gateway.is_closing or self._health.is_open):
            try:
                body = route.upstream.message(way, order.request, route.their_name, order.tokens_max)
                self._exchange = gateway.client.start(target, body, self._answered, at_head=order.request.stream)
            except Exception:  # the task tells it
                self._exchange = None
        if self._exchange is None:
            return self._take_task(self._go_on())
        gateway.fleet.begin(self._health)
        self._asked_s = self._loop.time()

    def _answered(self, whole: bool) -> None:
        """What came of the upstream is settled where it is a whole answer that can be read and sealed at once."""
        gateway, order, exchange = self._gateway, self._order, self._exchange
        assert exchange is not None and order.only is not None
        route, way, target = order.only
        if exchange.is_stale:
            gateway.client.forget(target)
            gateway.fleet.withdraw(self._health)
            self._exchange = None
            return self._take_task(self._go_on())
        if order.request.stream:
            return self._flow(exchange)
        if not whole or self._is_long(exchange.size):
            return self.hand_over()
        try:
            said = exchange.peek()
            read = way.dialect.read(said)
        except Exception:  # the task comes to it too, and knows what is to be done
            return self.hand_over()
        outcome = Outcome(answer=said, usage=read.usage, route=route)
        if read.usage is None:
            outcome.tokens = read.tokens
        self._charge(outcome)

    def _flow(self, exchange: Exchange) -> None:
        """Pass a stream on as it comes."""
        gateway, order = self._gateway, self._order
        call = Call(order, gateway.client, gateway.fleet, gateway.ledger.progress, self)
        self._at_upstream = call
        gateway.look_after()
        try:
            flows = order.surface.kept is None and call.flow(exchange, self._flowed)
        except Exception:
            flows = False
        if not flows:
            self._at_upstream = None
            self.hand_over()

    def _flowed(self, whole: bool) -> None:
        """A stream has come to its end, or a task has to go on with it."""
        call = self._at_upstream
        assert call is not None
        if not whole or self._is_long(len(call.outcome.answer)):
            return self.hand_over()
        self._charge(call.outcome)

    def _charge(self, outcome: Outcome) -> None:
        """Measure, seal and settle what came."""
        order, said = self._order, outcome.answer
        try:
            measured = measure(order, outcome)
            box = None if isinstance(order.kept_until, Never) or not said else self._box(order, said, cut=False)
            self._found = outcome, measured, box is not None
            settle = self._settle(order, outcome, measured, kept.beside_charge(order, box))
            self._gateway.ledger.settling(settle, self._settled)
        except Exception:  # as above
            return self.hand_over()
        self._exchange = self._at_upstream = None
        self._gateway.fleet.end_well(self._health, self._loop.time() - self._asked_s)

    def _settled(self, settled: Settled) -> None:
        gateway, order = self._gateway, self._order
        gateway.exit(order.key.key_id)
        outcome, measured, is_kept = self._found
        try:
            ended = Ended(order, outcome, measured, settled, is_kept)
            self._count(ended)
            if not self._left:
                if self._reply.is_held_up:
                    return self._take_task(self._answer(ended))
                self._tell_end(ended)
        except Exception as error:
            return self._take_task(_failed(error))
        gateway.plain.discard(self)
        self._reply.over()

    def _tell_end(self, ended: Ended) -> None:
        if not ended.order.request.stream:
            return self._reply.tell(200, self._headers(ended), ended.outcome.answer)
        if not self.begun:
            self._tell(b"")
        self._reply.finish(cost_comment(ended.settled.charged) + ended.outcome.tail)

    # in a task

    def _take_task(self, work: Coroutine[Any, Any, None]) -> None:
        self._gateway.plain.discard(self)
        self._gateway.run(self, self._told_ending(work))

    async def _begin_anew(self, epoch: int | None = None) -> None:
        """Once more from the beginning: by the rules of `epoch`, with the hold given back, or without any hold."""
        try:
            if epoch is not None:
                await self._gateway.ledger.settle(orders.void(self._order))
                await self._gateway.rules.renew(epoch)
        finally:
            self._gateway.exit(self._order.key.key_id)
        await self._complete()

    async def _refuse_held(self, error: Exception) -> None:
        """End what the ledger refused, in a task, which gives its place back."""
        self._gateway.exit(self._order.key.key_id)
        raise error

    async def _go_on(self) -> None:
        """From the hold, with what was sent to the upstream, if anything was."""
        try:
            ended = await self._carried_out()
        finally:
            self._gateway.exit(self._order.key.key_id)
            if self._exchange is not None:
                self._exchange.cancel()  # nothing where it ended
        await self._conclude(None, ended)


async def _failed(error: Exception) -> None:
    raise error
