"""What a completion used and what it costs: by the upstream's usage where it is known, else by what was delivered.

The published rule for an answer that ends early: nothing when the failure is ours or the upstream's and nothing was delivered;
else the tokens delivered, and the input. A client that leaves before the first token pays the input too, for the upstream reads
it as soon as it has it: estimated for a provider, and for the embedded engine what it said that it had read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from avow.base.errors import AvowError
from avow.billing import prices
from avow.billing.events import TOKENS_MAX, Why
from avow.billing.prices import Price, Used
from avow.gateway import estimate, extents
from avow.gateway.extents import Extent
from avow.gateway.fleet import Route
from avow.gateway.usage import Usage

# Tokens that a chat template adds and the JSON around the messages does not outweigh: a default system prompt.
TEMPLATE_TOKENS = 64


class Outcome(msgspec.Struct):
    """How the upstream's part ended. `usage` is the upstream's word, `tokens` what was delivered without it.

    `input_tokens` is what was said early of the input; `reads`: an upstream has the input, reads it and charges for it.
    `begun`: the client has the head of a stream. `answer` is the JSON answer, `tail` the event that ends a stream, `finish` the
    reason that a stream gave for its end. `route` is where it was asked last.
    """

    why: Why = "done"
    error: AvowError | None = None
    usage: Usage | None = None
    tokens: int = 0
    input_tokens: int | None = None
    reads: bool = False
    begun: bool = False
    answer: bytes = b""
    tail: bytes = b""
    finish: str | None = None
    route: Route | None = None

    def __repr__(self) -> str:
        return f"Outcome({self.why}, {self.tokens} tokens)"

    @property
    def status(self) -> int:
        """The status that the client saw; 499 for a client that left (nginx's word for it)."""
        if self.why == "client_left":
            return 499
        return 200 if self.error is None or self.begun else self.error.status


class Measured(msgspec.Struct, frozen=True):
    """What is told to the ledger of a request's use, and the amount in nano-units; `estimated`: no upstream told it."""

    used: Used
    amount: int
    estimated: bool = False


FREE = Measured(Used(), 0)


def upper_input_tokens(body_bytes: int) -> int:
    """No byte-level tokenizer makes more tokens than there are bytes of UTF-8, and the JSON as sent has at least those."""
    return body_bytes + TEMPLATE_TOKENS


def measure(
    outcome: Outcome,
    price: Price,
    fields: dict[str, Any],
    said_in: Iterable[str] = ("messages",),
    output_tokens_max: int = TOKENS_MAX,
    extent: Extent | None = None,
) -> Measured:
    """What the client pays. `fields` is the request, read where `said_in` says when the upstream told of no use; then no
    more than `output_tokens_max` are taken for its answer. `extent` is that of a request that is not only text."""
    if outcome.why == "cached" or (outcome.why == "client_left" and not outcome.tokens and not outcome.reads):
        return FREE
    if outcome.why in ("upstream_failed", "refused") and not (outcome.tokens and outcome.begun):
        # Something may have been generated, but nothing of it was delivered.
        return FREE
    if extent is not None:
        if outcome.why in ("upstream_failed", "refused"):  # how much of a sound was delivered, nobody can tell
            return FREE
        said = [fields.get(name) for name in said_in]
        counted, guessed = extents.used(price, extent, outcome.usage, said, outcome.tokens)
        return Measured(counted, prices.cost(price, counted), guessed)
    if outcome.usage is not None:
        used = _told(outcome.usage)
        if outcome.why == "refused":  # what a filter held back was not delivered
            used = Used(used.input, used.cached, min(used.output, outcome.tokens), used.cache_write)
        return Measured(used, prices.cost(price, used))
    known = outcome.input_tokens
    if known is None:
        known = estimate.tokens([fields.get(name) for name in said_in])
    used = Used(min(known, TOKENS_MAX), 0, min(outcome.tokens, output_tokens_max))
    return Measured(used, prices.cost(price, used), estimated=True)


def _told(usage: Usage) -> Used:
    """The upstream's word in our counts, none larger than the ledger takes."""
    parts = usage.buckets()
    read, written = parts.input + parts.cached + parts.cache_write, parts.output + parts.reasoning
    if read > TOKENS_MAX or written > TOKENS_MAX:
        read, written = min(read, TOKENS_MAX), min(written, TOKENS_MAX)
    return Used(read, parts.cached, written, parts.cache_write, parts.reasoning, parts.image, parts.audio)
