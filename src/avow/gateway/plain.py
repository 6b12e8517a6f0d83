"""A completion without a task, as long as it is plain: each step is called by what it waited for.

    key → parse → plan → local checks → wallet hold, durable → upstream → meter → settle with the kept trace → answer

These are the steps of `completion`, and its functions. What is not plain takes the usual way, in a task: what needs more than
these steps, and what is refused, from the beginning; what turns out so later, with its hold and what was sent already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

import msgspec

from avow.billing.events import Opened, Settled
from avow.billing.refusals import MoneyShort, TokensShort
from avow.gateway import kept, orders
from avow.gateway.ask import Ask, Headers, Reply
from avow.gateway.completion import SEALED_BYTES, Completion, Gateway, measure
from avow.gateway.fleet import Health
from avow.gateway.meter import Measured, Outcome
from avow.gateway.orders import Order, Wish
from avow.policy import Never


class Way(Reply, Protocol):
    """A way back to the client by which a whole answer can be told at once, unless it is held up by a slow reader.

    `over`: nothing more will be told.
    """

    @property
    def is_held_up(self) -> bool: ...

    def tell(self, status: int, headers: Headers, body: bytes) -> None: ...

    def over(self) -> None: ...


class Plain(Completion):
    """One request that is answered whole."""

    _reply: Way
    _plain_order: Order
    _asked_s: float
    _health: Health
    _ended: tuple[Outcome, Measured, bool]

    def __init__(self, gateway: Gateway, ask: Ask, reply: Way) -> None:
        super().__init__(gateway, ask, reply)
        if not self._begin():
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
        exchange = self._exchange
        if exchange is not None and self.task is None:
            exchange.told = None
            self._health.in_flight -= 1
            self._take_task(self._gone_on(self._plain_order))

    def forget(self, task: asyncio.Task[None]) -> None:
        super().forget(task)
        self._reply.over()

    def _begin(self) -> bool:
        """Ask for the hold; False: this is for a task."""
        ask, gateway = self._ask, self._gateway
        if ask.claim is not None or gateway.rules.current.filters is not None or gateway.is_closing:
            return False
        try:
            key = self._key = gateway.keys.at_hand(ask.secret, "inference")
            if key is None:
                return False
            request = ask.surface.parse(ask.body)
            if request.shows or request.extent is not None:
                return False
            self._request = request
            if request.stream:
                return False
            wish = Wish(request, key, len(ask.body), ask.retention_h, ask.surface)
            order = orders.judge(wish, gateway.rules, gateway.clock.now(), request.max_tokens)
            if order.only is None or gateway.cache.place(order, ask.cache) is not None:
                return False
            gateway.enter(key.key_id)
        except Exception:  # the task comes to the same, and tells it
            return False
        try:
            opening = gateway.ledger.opening(orders.opening(order))
        except Exception:
            gateway.exit(key.key_id)
            return False
        self._plain_order = order
        gateway.plain.add(self)
        opening.add_done_callback(self._opened)
        return True

    def _opened(self, opening: asyncio.Future[Opened]) -> None:
        gateway, order = self._gateway, self._plain_order
        try:
            opened = opening.result()
        except (MoneyShort, TokensShort):
            return self._take_task(self._begun_anew())
        except Exception as error:
            return self._take_task(self._refused(error))
        if opened.policy_epoch > order.plan.epoch:
            gateway.ledger.settling(orders.void(order))
            return self._take_task(self._begun_anew())
        self._order = order
        if opened.rate is not None:
            order = self._plain_order = self._order = msgspec.structs.replace(order, rate=opened.rate)
        assert order.only is not None
        route, way, target = order.only
        self._health = gateway.fleet.of(route.upstream)
        if self._left or gateway.is_closing or self._health.is_open:
            return self._take_task(self._gone_on(order))
        try:
            body = route.upstream.message(way, order.request, route.their_name, order.tokens_max)
            self._exchange = gateway.client.start(target, body, self._answered)
        except Exception:
            return self._take_task(self._gone_on(order))
        if self._exchange is None:
            return self._take_task(self._gone_on(order))
        gateway.fleet.begin(self._health)
        self._asked_s = self._loop.time()

    def _answered(self, whole: bool) -> None:
        """What came of the upstream is settled where it is a whole answer that can be read and sealed at once."""
        gateway, order, exchange = self._gateway, self._plain_order, self._exchange
        assert exchange is not None and order.only is not None
        route, way, target = order.only
        settle = None
        if whole and exchange.size + len(self._ask.body) <= SEALED_BYTES:
            try:
                said = exchange.taken()
                read = way.dialect.read(said)
                outcome = Outcome(answer=said, usage=read.usage, route=route)
                if read.usage is None:
                    outcome.tokens = read.tokens
                measured = measure(order, outcome)
                box = self._sealed(order, said)
                settle = self._settle(order, outcome, measured, kept.beside_charge(order, box))
            except Exception:  # the task comes to it too
                settle = None
        elif exchange.is_stale:
            gateway.client.forget(target)
            self._health.in_flight -= 1
            self._exchange = None
            return self._take_task(self._gone_on(order))
        if settle is None:
            return self.hand_over()
        now_s = self._loop.time()
        self._health.end(True, now_s - self._asked_s, now_s)
        self._exchange = None
        self._ended = outcome, measured, box is not None
        gateway.ledger.settling(settle).add_done_callback(self._settled)

    def _sealed(self, order: Order, said: bytes) -> bytes | None:
        if isinstance(order.kept_until, Never) or not said:
            return None
        return self._box(order, said, cut=False)

    def _settled(self, settling: asyncio.Future[Settled]) -> None:
        gateway, order = self._gateway, self._plain_order
        gateway.exit(order.key.key_id)
        outcome, measured, is_kept = self._ended
        try:
            settled = settling.result()
            self._count(order, outcome, measured, settled)
            if not self._left and self._reply.is_held_up:
                return self._take_task(self._answer(order, outcome, settled, is_kept))
            if not self._left:
                self._reply.tell(200, self._headers(order, settled, is_kept), outcome.answer)
        except Exception as error:
            return self._take_task(_failed(error))
        gateway.plain.discard(self)
        self._reply.over()

    # in a task

    def _take_task(self, work: Coroutine[Any, Any, None]) -> None:
        self._gateway.plain.discard(self)
        self._gateway.run(self, self._told_ending(work))

    async def _begun_anew(self) -> None:
        self._gateway.exit(self._plain_order.key.key_id)
        await self._complete()

    async def _refused(self, error: Exception) -> None:
        self._gateway.exit(self._plain_order.key.key_id)
        raise error

    async def _gone_on(self, order: Order) -> None:
        try:
            ended = await self._carried_out(order)
        finally:
            self._gateway.exit(order.key.key_id)
        await self._closed(None, *ended)


async def _failed(error: Exception) -> None:
    raise error
