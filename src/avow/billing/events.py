"""What is told to the ledger, and what it answers. Amounts are nano-units of the wallet's currency."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

AMOUNT_MAX = 2**62
TOKENS_MAX = 2**31 - 1

# Why a request ended; `refused`: by a filter, or because nobody could answer it as it was. Only `done` must be charged in full
# by its tokens; the others may also be free (invariant I7).
Why = Literal["done", "client_left", "upstream_failed", "refused", "cached", "void", "crash_recovered"]


class Open(msgspec.Struct, frozen=True, gc=False):
    """Hold `amount` for a request until it is settled, or until somebody looks into it after `expires_at`.

    `amount` bounds what the request can cost (`prices.upper`). Whose wallet and which person it is comes from the key in the
    database, never from here. `money_ends_at` and `usage_ends_at` are the ends of the charge and of the usage, which start
    at `at`; null means the life of the account. `tokens_max` bounds input and output together, for the key's rate.
    """

    request_id: UUID
    key_id: UUID
    amount: int
    price_id: UUID
    model: str
    at: datetime
    expires_at: datetime
    money_ends_at: datetime | None
    usage_ends_at: datetime | None
    policy_version: int
    tokens_max: int

    def check(self) -> None:
        """Raise `ValueError` for what PostgreSQL would refuse, before it can spoil a batch."""
        if not 0 <= self.amount <= AMOUNT_MAX or not 0 <= self.tokens_max <= TOKENS_MAX:
            raise ValueError("the amount of a hold is between 0 and 2^62, its tokens between 0 and 2^31 - 1")
        if "\0" in self.model:
            raise ValueError("a model's name holds no NUL")


class Settle(msgspec.Struct, frozen=True, gc=False):
    """Charge a request and end its hold. What `amount` exceeds the hold by is absorbed, not charged.

    The counts are those of `prices.Used`; `estimated`: nobody told them. `extra` is handed to the wrapping SQL function
    (see `Functions`), for the gateway's trace.
    """

    request_id: UUID
    amount: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    latency_ms: int
    status: int
    why: Why
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    image_tokens: int = 0
    audio_tokens: int = 0
    estimated: bool = False
    extra: tuple[Any, ...] | None = None

    def check(self) -> None:
        """Raise `ValueError` for what PostgreSQL would refuse, before it can spoil a batch."""
        # An OR is below zero where any count is, and above 2^31 - 1, which is all ones, where any is.
        bits = self.input_tokens | self.cached_tokens | self.output_tokens | self.latency_ms | self.status
        bits |= self.cache_write_tokens | self.reasoning_tokens | self.image_tokens | self.audio_tokens
        if not 0 <= self.amount <= AMOUNT_MAX or not 0 <= bits <= TOKENS_MAX:
            raise ValueError("amounts lie between 0 and 2^62, counts between 0 and 2^31 - 1")


class Rate(msgspec.Struct, frozen=True, gc=False):
    """The tightest rates that a request falls under, per UTC minute, and what is left of them; None: no such rate."""

    requests: int | None
    requests_left: int | None
    tokens: int | None
    tokens_left: int | None


class Opened(msgspec.Struct, frozen=True, gc=False):
    """The hold is durable. `policy_epoch` is the epoch in force: a plan of another epoch is stale."""

    policy_epoch: int
    rate: Rate | None = None


class Settled(msgspec.Struct, frozen=True, gc=False):
    """The charge is durable: in PostgreSQL, or (`spooled`) on this machine's disk until PostgreSQL is back.

    `charged` is 0 when the ledger knows no such hold: the person was erased meanwhile.
    """

    charged: int
    spooled: bool = False


@dataclass(frozen=True, slots=True)
class Functions:
    """The SQL functions that a batcher calls: those of the ledger, or wrappers that take `extra` more fields of a settle.

    A wrapper of `ledger_batch` takes one array more: a row of the SQL type `extra_type` for each settle with an `extra`, its
    request id before those fields; a wrapper of `ledger_settle` takes the fields themselves.
    """

    batch: str = "ledger_batch"
    settle: str = "ledger_settle"
    extra: int = 0
    extra_type: str = ""
