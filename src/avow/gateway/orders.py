"""An order: a request that was admitted, for which the money is held.

The local checks come first, then the hold, durable before any upstream is called. A hold whose answer names a newer epoch
than the rules it was judged by is given back, the rules are loaded anew, and the request is judged once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import msgspec

from avow.accounts.directory import KeyRecord
from avow.base.clock import Clock
from avow.base.ids import uuid7
from avow.billing import prices
from avow.billing.events import TOKENS_MAX, Open, Opened, Rate, Settle, Settled
from avow.billing.prices import Price
from avow.billing.refusals import MoneyShort, TokensShort
from avow.engines.llm import PromptTooLong
from avow.gateway import estimate, extents, meter, refusals
from avow.gateway.fleet import Route
from avow.gateway.pictures import TakesNoPictures
from avow.gateway.rules import CONTENT, MONEY, USAGE, Model, Only, RuleBook
from avow.gateway.surfaces import CHAT, Surface
from avow.gateway.wire import Request
from avow.policy import Never, Plan

# A hold outlives the longest call, so that a live request is never looked into by the recovery.
HOLD = timedelta(minutes=30)
FITS_BYTES_MIN = 16 * 1024  # nothing smaller is too large for any model
TRIES_MAX = 4
OWN_MODEL = "avow/filters"
"""What the requests are counted under that our own filters answer."""


class OverRate(refusals.TooLarge):
    """This request may use more tokens than the key may in a whole minute."""

    hint = "Nothing was charged. Send a shorter prompt, ask for fewer tokens, or raise the key's tokens per minute."


class Ledger(Protocol):
    """Money: see `billing.ledger.Batcher`."""

    async def open(self, event: Open) -> Opened: ...

    async def settle(self, event: Settle) -> Settled: ...

    def opening(self, event: Open, told: Callable[[Opened | Exception], object]) -> object: ...

    def settling(self, event: Settle, told: Callable[[Settled], object]) -> None: ...

    def progress(self, request_id: UUID, seen: Callable[[], tuple[int, int, int]]) -> int: ...


class Wish(msgspec.Struct, frozen=True):
    """What a client wants: the parsed request, its size as sent, and the hours that it lets us keep it (None: as planned)."""

    request: Request
    key: KeyRecord
    body_bytes: int
    retention_h: int | None
    surface: Surface = CHAT


class Order(msgspec.Struct, frozen=True):
    """On whose account, to which model, for how much at most, and until when it is kept (None: life of the account).

    `routes` are those that may see it and offer its surface, `only` is the one that answers it without more ado, `rate` what is
    left of the rates that it falls under."""

    request_id: UUID
    surface: Surface
    request: Request
    key: KeyRecord
    plan: Plan
    model: Model
    routes: Sequence[Route]
    price: Price
    at: datetime
    input_tokens_max: int
    tokens_max: int
    amount: int
    kept_until: datetime | Never | None
    money_ends_at: datetime | None
    usage_ends_at: datetime | None
    only: Only | None = None
    rate: Rate | None = None

    @property
    def keeps(self) -> bool:
        return not isinstance(self.kept_until, Never)

    @property
    def output_tokens_max(self) -> int:
        """Of all its answers together."""
        return self.tokens_max * self.request.choices

    @property
    def content_owner(self) -> UUID:
        """Whom the kept content is about: the person whose key it is, or the organisation, whose own id is its tenant's."""
        return self.key.tenant_id if CONTENT in self.plan.of_tenant else self.key.subject_id


async def place(wish: Wish, rules: RuleBook, ledger: Ledger, clock: Clock) -> Order:
    """Judge a wish and hold its highest price. Raises the refusals of the local checks and those of the ledger."""
    tokens_max = wish.request.max_tokens
    for _ in range(TRIES_MAX):
        order = judge(wish, rules, clock.now(), tokens_max)
        try:
            opened = await ledger.open(opening(order))
        except TokensShort as short:
            if wish.request.max_tokens is not None or wish.request.extent is not None:
                raise
            tokens_max = _fitting(order, short)
            continue
        except MoneyShort as short:
            if wish.request.max_tokens is not None or wish.request.extent is not None:
                raise
            # The client left the length to us: as much as balance and budget afford.
            tokens_max = _affordable(order, short)
            continue
        if (held := confirmed(order, opened)) is not None:
            return held
        await ledger.settle(void(order))
        await rules.renew(opened.policy_epoch)
    raise refusals.RulesChanging()


def confirmed(order: Order, opened: Opened) -> Order | None:
    """An order whose hold is durable, with its rate; None: it was judged by rules that are over."""
    if opened.policy_epoch > order.plan.epoch:
        return None
    return order if opened.rate is None else msgspec.structs.replace(order, rate=opened.rate)


async def place_own(wish: Wish, rules: RuleBook, ledger: Ledger, clock: Clock) -> Order:
    """The order of a request that our own filters answer: it costs nothing, yet limits and usage count it.

    Raises ModelUnknown where the policy has no filters any more, and what the ledger refuses."""
    for _ in range(TRIES_MAX):
        current, at = rules.current, clock.now()
        if current.filters is None:
            raise refusals.ModelUnknown(param="model")
        surface = replace(wish.surface, said_in=(), bills=False, repeats=False)
        model, price = Model(OWN_MODEL, (), 0, 0), Price(UUID(int=0), OWN_MODEL, "USD", 0, 0, 0, at)
        whose = wish.request, wish.key, current.plan(wish.key)
        money_ends_at, usage_ends_at = (_end(whose[2], category, at) for category in (MONEY, USAGE))
        ends = Never.NEVER, money_ends_at, usage_ends_at
        order = Order(uuid7(), surface, *whose, model, (), price, at, 0, 0, 0, *ends)
        opened = await ledger.open(opening(order))
        if (held := confirmed(order, opened)) is not None:
            return held
        await ledger.settle(void(order))
        await rules.renew(opened.policy_epoch)
    raise refusals.RulesChanging()


def void(order: Order) -> Settle:
    """Give an order's money back: nothing was asked of anybody."""
    return Settle(order.request_id, 0, 0, 0, 0, 0, 503, "void")


def judge(wish: Wish, book: RuleBook, at: datetime, tokens_max: int | None) -> Order:
    """The local checks: is there such a model with a price, and may its upstream see this content?"""
    rules, request, key, surface = book.current, wish.request, wish.key, wish.surface
    terms = rules.terms(key, request.model, surface)
    if terms is None:
        raise refusals.ModelUnknown(param="model")
    model, plan, routes = terms.model, terms.plan, terms.seen_by(at)
    if not routes:
        elsewhere = model.seen_by(plan, at)
        raise refusals.NotOffered(param="model") if elsewhere else refusals.PolicyForbids(model.reason(plan))
    if wish.body_bytes > FITS_BYTES_MIN:
        routes = [route for route in routes if route.upstream.fits is None or route.upstream.fits(request)]
        if not routes:
            raise PromptTooLong(param="messages")
    if request.pictures and model.picture_tokens is None:
        raise TakesNoPictures(param="model")
    price = rules.prices.of(model.id, at)
    if not surface.is_priced(price):
        raise refusals.NotPriced(param="model")
    if request.extent is not None:
        extents.check(price, request.fields)
    kept_until, money_ends_at, usage_ends_at = terms.ends(at)
    if wish.retention_h is not None:
        kept_until = plan.end(CONTENT, at, wish.retention_h)
    if request.stores and isinstance(kept_until, Never):
        raise refusals.StoringForbidden(param="store")
    input_tokens, tokens, amount = _bounds(wish, model, price, tokens_max)
    whose, what = (surface, request, key, plan, model), (price, at, input_tokens, tokens, amount)
    return Order(uuid7(), *whose, routes, *what, kept_until, money_ends_at, usage_ends_at, terms.only)


def _bounds(wish: Wish, model: Model, price: Price, tokens_max: int | None) -> tuple[int, int, int]:
    """The most that a request can have of input, and of each answer, in tokens, and what it can cost."""
    request = wish.request
    if request.extent is not None:
        text = meter.upper_input_tokens(estimate.text_bytes(request.fields))
        most = extents.bounds(price, request.extent, text, model.output_tokens_max)
        amount = prices.upper(price, most.input, most.output, most.image, most.audio)
        return most.input, most.output // max(request.choices, 1), amount
    if not wish.surface.bills:
        return 0, 0, 0
    input_tokens = meter.upper_input_tokens(wish.body_bytes) + request.input_extra
    if request.pictures:
        chars = sum(each.chars for each in request.pictures)
        input_tokens += len(request.pictures) * (model.picture_tokens or 0) - chars
    tokens = _tokens_max(wish, input_tokens, tokens_max or model.output_tokens_max, model.output_tokens_max)
    return input_tokens, tokens, prices.upper(price, input_tokens, tokens * request.choices)


def _tokens_max(wish: Wish, input_tokens: int, wanted: int, model_max: int) -> int:
    """How long an answer may be. One that the key's rate could never allow is refused, or cut where the client left it to us."""
    tokens = min(wanted, model_max)
    if wish.key.tokens_per_min is None:
        return tokens
    room = wish.key.tokens_per_min - input_tokens
    if not wish.request.choices:
        if room < 0:
            raise OverRate()
        return tokens
    room //= wish.request.choices
    if room < 1 or (room < tokens and wish.request.max_tokens is not None):
        raise OverRate()
    return min(tokens, room)


def _fitting(order: Order, short: TokensShort) -> int:
    """How long an answer may be where the client left it to us and a rate that it shares with others is small."""
    room = (short.tokens_per_min - order.input_tokens_max) // order.request.choices if order.request.choices else 0
    if not 1 <= room < order.tokens_max:
        raise short
    return room


def _affordable(order: Order, short: MoneyShort) -> int:
    if not order.request.choices:
        raise short
    total = prices.output_tokens_affordable(order.price, order.input_tokens_max, short.affordable)
    tokens = order.tokens_max if total is None else total // order.request.choices
    if not 1 <= tokens < order.tokens_max:
        raise short
    return tokens


def opening(order: Order) -> Open:
    """What the ledger is told of an order."""
    tokens_max = min(order.input_tokens_max + order.output_tokens_max, TOKENS_MAX)
    return Open(
        order.request_id,
        order.key.key_id,
        order.amount,
        order.price.id,
        order.model.id,
        order.at,
        order.at + HOLD,
        order.money_ends_at,
        order.usage_ends_at,
        order.plan.policy_version,
        tokens_max,
    )


def _end(plan: Plan, category: str, at: datetime) -> datetime | None:
    """The end of a fact that the ledger must write: what the policy never keeps ends as it begins."""
    ends_at = plan.end(category, at)
    return at if isinstance(ends_at, Never) else ends_at
