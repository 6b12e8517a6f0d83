"""One request's way through the filters: before a model sees it, before its answer is kept, and before a client has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import msgspec

from avow.gateway import asking
from avow.gateway.client import Client
from avow.gateway.filters import ContentBlocked, Filters, Hit, Search
from avow.gateway.guard import PLACES, Guard
from avow.gateway.meter import Outcome
from avow.gateway.orders import Order
from avow.gateway.rules import Rules
from avow.gateway.written import texts

SEARCHED_BYTES = 16 * 1024
"""Longer texts are searched beside the loop."""
T = TypeVar("T")


class Searching:
    """Made for a request whose policy has filters."""

    def __init__(self, filters: Filters) -> None:
        self._filters, self._search = filters, Search(filters)
        self._guard: Guard | None = None

    @property
    def hits(self) -> Collection[Hit]:
        return self._search.hits.values()

    @property
    def guards(self) -> bool:
        """Whether a stream is searched piece by piece."""
        return self._guard is not None

    async def request(self, order: Order, size: int, rules: Rules, client: Client) -> Order:
        """An order of `size` bytes with its request as a model may see it.

        Raises ContentBlocked, InvalidRequest, and what `asking.objects` raises.
        """
        request = order.request
        fields = await _aside(size, self._search.prompt, request.fields, order.surface.said_in)
        if request.extent is not None and request.extent.pictures:
            self._search.images(file.digests for file in request.files)
        self._search.images(each.digests for each in request.pictures)
        said = "\n".join(texts(fields)) if self._filters.judges else ""
        for judge in self._filters.judges if said or request.pictures else ():
            if await asking.objects(judge, order, said, rules, client):
                self._search.note(Hit(judge.name, "prompt", judge.finds, judge.action, 1))
        if self._search.watches and request.stream and not request.answered_as and order.surface.name in PLACES:
            self._guard = Guard(self._search, order.surface.name)
        return msgspec.structs.replace(order, request=request.saying(fields))

    async def answer(self, outcome: Outcome) -> Outcome:
        """A whole answer as it may be kept: searched, with placeholders in it still."""
        try:
            outcome.answer = await _aside(len(outcome.answer), self._search.answer, outcome.answer)
        except ContentBlocked as error:
            outcome.answer = b""
            # Of a stream its pieces decided, which were searched before they went.
            return outcome if outcome.begun else Outcome(why="refused", error=error)
        return outcome

    def passes(self, data: bytes) -> bytes:
        """What of a stream may go on now. Raises ContentBlocked."""
        return data if self._guard is None else self._guard.feed(data)

    def delivered(self, tokens: int) -> int:
        """How many of the tokens that came went on."""
        return tokens if self._guard is None else self._guard.delivered(tokens)

    def let_out(self, outcome: Outcome) -> bytes:
        """What was held back of a stream that has ended; `outcome` is told when it ends for what was found."""
        rest = b""
        if self._guard is not None and outcome.why != "client_left":
            try:
                if not isinstance(outcome.error, ContentBlocked):
                    rest = self._guard.close()
                    outcome.tokens = self._guard.delivered()
                    outcome.tail = self._guard.last(outcome.tail)
            except ContentBlocked as error:
                outcome.error = error
        if isinstance(outcome.error, ContentBlocked):
            outcome.why, outcome.answer = "refused", b""
        return rest

    def told(self, answer: bytes) -> bytes:
        """A whole answer as the client gets it: what stood behind placeholders is back."""
        return self._search.restored(answer)


async def _aside(size: int, work: Callable[..., T], *given: Any) -> T:
    return work(*given) if size <= SEARCHED_BYTES else await asyncio.to_thread(work, *given)
