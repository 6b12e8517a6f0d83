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
from avow.billing.prices import Price
from avow.gateway.usage import Usage

# Rough, and on the client's side: text has more often four bytes to a token than fewer.
BYTES_PER_TOKEN = 4
# Tokens that a chat template adds and the JSON around the messages does not outweigh: a default system prompt.
TEMPLATE_TOKENS = 64


class Outcome(msgspec.Struct):
    """How the upstream's part ended. `usage` is the upstream's word, `tokens` what was delivered without it.

    `input_tokens` is what was said early of the input; `reads`: an upstream has the input and reads it. `begun`: the client
    has the head of a stream. `answer` is the JSON answer, `tail` the event that ends a stream.
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

    def __repr__(self) -> str:
        return f"Outcome({self.why}, {self.tokens} tokens)"

    @property
    def status(self) -> int:
        """The status that the client saw; 499 for a client that left (nginx's word for it)."""
        if self.why == "client_left":
            return 499
        return 200 if self.error is None or self.begun else self.error.status


class Measured(msgspec.Struct, frozen=True):
    """Tokens, `input_tokens` with the cached ones in it, and the amount in nano-units."""

    input_tokens: int
    cached_tokens: int
    output_tokens: int
    amount: int


FREE = Measured(0, 0, 0, 0)


def upper_input_tokens(body_bytes: int) -> int:
    """No byte-level tokenizer makes more tokens than there are bytes of UTF-8, and the JSON as sent has at least those."""
    return body_bytes + TEMPLATE_TOKENS


def measure(outcome: Outcome, price: Price, fields: dict[str, Any], said_in: Iterable[str] = ("messages",)) -> Measured:
    """What the client pays. `fields` is the request, read where `said_in` says when the upstream told of no use."""
    if outcome.why == "cached" or (outcome.why == "client_left" and not outcome.tokens and not outcome.reads):
        return FREE
    if outcome.why in ("upstream_failed", "refused") and not (outcome.tokens and outcome.begun):
        # Something may have been generated, but nothing of it was delivered.
        return FREE
    usage = outcome.usage
    if usage is not None:
        used = usage.buckets()
        return _measured(price, used.read, used.cached, used.written)
    known = outcome.input_tokens
    if known is None:
        known = estimate_tokens([fields.get(name) for name in said_in])
    return _measured(price, known, 0, outcome.tokens)


def estimate_tokens(value: Any) -> int:
    """A low guess of the tokens in all texts of a value."""
    return -(-_text_bytes(value) // BYTES_PER_TOKEN)


def _measured(price: Price, input_tokens: int, cached_tokens: int, output_tokens: int) -> Measured:
    cached = min(cached_tokens, input_tokens, TOKENS_MAX)
    amount = prices.cost(price, input_tokens, cached, output_tokens)
    return Measured(min(input_tokens, TOKENS_MAX), cached, min(output_tokens, TOKENS_MAX), amount)


def _text_bytes(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if type(value) is int:  # a token of a prompt that was sent as tokens
        return BYTES_PER_TOKEN
    if isinstance(value, dict):
        return sum(map(_text_bytes, value.values()))
    return sum(map(_text_bytes, value)) if isinstance(value, list) else 0
