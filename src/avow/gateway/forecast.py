"""How long a call will take at a route, learned while calls end; from their sizes alone, never from what was written.

Recursive least squares with forgetting (Haykin, Adaptive Filter Theory, chapter 10): the seconds of a call are a weighted sum of
one, its input and the output that it may have. A model of three weights follows an upstream that changes within some
dozens of calls and needs no more than a hundred multiplications.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from avow.gateway.fleet import Route
    from avow.gateway.orders import Order

FIRST_GUESS_S = 1.0
FORGETS = 0.98
"""The weight of a call, of that of the next one."""
SPREAD, SPREAD_MAX = 100.0, 1e4
MEAN_WEIGHT = 0.2
AWAY_MAX = 10.0
"""How far a forecast may be from the mean of the last calls, as a factor either way."""
PREFIX_CHARACTERS_MIN, PREFIX_CHARACTERS = 64, 1024
_OPENINGS = ("system", "instructions", "messages", "prompt", "input")


class Job(NamedTuple):
    """What is known of a call before it is made. `prefix` is a hash of its beginning, for as long as the request runs (empty:
    too short to be worth anything)."""

    input_tokens: int
    output_tokens: int
    prefix: bytes = b""


class Forecast:
    """The calls of one model at one upstream."""

    __slots__ = ("_spread", "_weights", "mean_s")

    def __init__(self) -> None:
        self.mean_s = FIRST_GUESS_S
        self._weights = [FIRST_GUESS_S, 0.0, 0.0]
        self._spread = [[SPREAD if row == column else 0.0 for column in range(3)] for row in range(3)]

    def s(self, job: Job) -> float:
        """The seconds that a call is expected to take."""
        found = sum(weight * size for weight, size in zip(self._weights, _sizes(job), strict=True))
        return min(max(found, self.mean_s / AWAY_MAX), self.mean_s * AWAY_MAX)

    def learn(self, job: Job, took_s: float) -> None:
        """A call has ended well after so many seconds."""
        self.mean_s += MEAN_WEIGHT * (took_s - self.mean_s)
        sizes, spread = _sizes(job), self._spread
        seen = [sum(cell * size for cell, size in zip(row, sizes, strict=True)) for row in spread]
        total = FORGETS + sum(size * each for size, each in zip(sizes, seen, strict=True))
        missed_s = took_s - sum(weight * size for weight, size in zip(self._weights, sizes, strict=True))
        self._weights = [weight + each / total * missed_s for weight, each in zip(self._weights, seen, strict=True)]
        # Calls that are all alike teach nothing of the other sizes: without an end the spread would grow over all bounds.
        grows = FORGETS if max(spread[n][n] for n in range(3)) < SPREAD_MAX else 1.0
        self._spread = [
            [(spread[row][column] - seen[row] * seen[column] / total) / grows for column in range(3)]
            for row in range(3)
        ]


def job_of(order: Order) -> Job:
    """The sizes of a request, and its beginning."""
    return Job(order.input_tokens_max, order.output_tokens_max, _prefix(order))


def preferred(routes: Sequence[Route], prefix: bytes) -> Route:
    """The route that calls with this beginning go to, as long as the routes stay the same: an upstream that has read a
    beginning before need not read it again (rendezvous hashing, Thaler and Ravishankar, 1998)."""
    return max(routes, key=lambda route: _digest(prefix + route.upstream.name.encode()))


def _sizes(job: Job) -> tuple[float, float, float]:
    return 1.0, job.input_tokens / 1000, job.output_tokens / 1000


def _prefix(order: Order) -> bytes:
    fields = order.request.fields
    first: Any = next((fields[name] for name in _OPENINGS if fields.get(name)), "")
    if isinstance(first, list):
        first = first[0]
    if isinstance(first, dict):
        first = first.get("content")
    if not isinstance(first, str) or len(first) < PREFIX_CHARACTERS_MIN:
        return b""
    # Nobody learns from the time of an answer what another organisation has asked: each has beginnings of its own.
    return _digest(f"{order.key.tenant_id}\0{order.request.model}\0{first[:PREFIX_CHARACTERS]}".encode())


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=16).digest()
