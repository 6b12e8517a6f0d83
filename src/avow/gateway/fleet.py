"""Which upstream answers: of those that may, the one that is best now; and what is done when it does not.

Each process learns for itself how its upstreams are. An upstream that fails several times in a row is left alone (its
breaker is open) until a probe or a while has passed; then one request tries it. Only what the client has seen nothing of is
tried again, and only as long as retries stay a small part of all requests: a retry must never make an outage worse.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from avow.base.errors import AvowError, Unavailable
from avow.gateway import forecast
from avow.gateway.client import Client
from avow.gateway.connection import UpstreamError, UpstreamFull, UpstreamGarbage, UpstreamTimeout, UpstreamTooLarge
from avow.gateway.forecast import Forecast, Job
from avow.gateway.refusals import UpstreamBusy, UpstreamRejected
from avow.gateway.upstreams import Upstream

FAILURES_MAX = 5
OPEN_S, OPEN_S_MAX = 5.0, 120.0
PROBE_S = 2.0
TRIES_MAX = 3
BACKOFF_S = 0.1
RETRY_SHARE = 0.1
RETRIES_SAVED_MAX = 20.0
REUSED = 0.7
"""How long a call takes where its beginning was read before, of a call elsewhere; what an upstream reads is not known, so this
only decides between routes that are nearly alike."""
REUSE_LOAD_MAX = 1.25
"""How many calls, of the mean of the routes, the one may have that is preferred for the beginning of a call."""

Routing = Literal["finish", "weight", "price"]
ROUTINGS = ("finish", "weight", "price")


class UpstreamsDown(Unavailable):
    """No upstream of this model answers at the moment."""

    code = "upstreams_down"

    def __init__(self, wait_s: float) -> None:
        super().__init__()
        self.wait_s = max(1, round(wait_s))

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": str(self.wait_s)}


@dataclass(frozen=True, slots=True)
class Route:
    """A model at an upstream, by their name for it. Lower ranks come first; of one rank the model's routing chooses, by
    `weight` (a share, or a factor of its speed) or `cost_nano` (what a million tokens cost the operator there)."""

    upstream: Upstream
    their_name: str
    rank: int = 0
    weight: int = 1
    cost_nano: int = 0


class Health:
    """How an upstream is doing, as this process sees it."""

    __slots__ = (
        *("_failures", "_open_until_s", "_opened", "_trying"),
        *("call_s", "in_flight", "left", "name", "probing", "revision"),
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.revision = 0
        self.left = False
        self.in_flight = 0
        self.call_s = forecast.FIRST_GUESS_S
        self.probing: asyncio.Task[None] | None = None
        self._failures = self._opened = 0
        self._open_until_s = 0.0
        self._trying = False

    @property
    def is_open(self) -> bool:
        """Whether its breaker is open: it failed too often in a row."""
        return self._failures >= FAILURES_MAX

    def admits(self, now_s: float) -> bool:
        """Whether a request may go there: it is well, or its time has come and nobody else tries it."""
        return not self.is_open or (now_s >= self._open_until_s and not self._trying)

    def wait_s(self, now_s: float) -> float:
        return max(0.0, self._open_until_s - now_s)

    def begin(self) -> None:
        self.in_flight += 1
        self._trying = self.is_open

    def end(self, well: bool | None, took_s: float, now_s: float) -> None:
        """A call has ended: well, badly, or (None) in a way that says nothing of the upstream."""
        self.in_flight -= 1
        self._trying = False
        if well:
            self._failures = self._opened = 0
            self.call_s += forecast.MEAN_WEIGHT * (took_s - self.call_s)
        elif well is False:
            self._failures += 1
            if self.is_open:
                wait_s = min(OPEN_S * 2**self._opened, OPEN_S_MAX)
                self._open_until_s = now_s + wait_s * random.uniform(0.75, 1.25)  # noqa: S311
                self._opened += 1

    def half_open(self) -> None:
        """A probe was answered: the next request may try."""
        self._open_until_s = 0.0


class Fleet:
    """The upstreams of one process, by their place; they outlive the rules that name them. One whose address or credential
    was changed begins anew: what the one before did says nothing of it."""

    def __init__(
        self,
        client: Client,
        *,
        tries_max: int = TRIES_MAX,
        probe_s: float = PROBE_S,
        now_s: Callable[[], float] | None = None,
    ) -> None:
        self._client = client
        self._tries_max, self._probe_s = tries_max, probe_s
        self._now_s = now_s or asyncio.get_running_loop().time
        self._healths: dict[str, Health] = {}
        self._forecasts: dict[tuple[str, str], Forecast] = {}
        self._retries = RETRIES_SAVED_MAX

    def of(self, upstream: Upstream) -> Health:
        health = self._healths.get(upstream.place)
        return self._meet(upstream) if health is None or health.left else health

    def again(self, route: Route) -> Iterator[Route]:
        """As `tries`, of a route where a call was begun already: that one is not chosen anew."""
        self._save()
        yield route
        yield from self._more((route,))

    def begin(self, health: Health) -> None:
        """A call of the only route there is begins, where it is well; `end_well` or `withdraw` ends it here."""
        health.in_flight += 1

    def withdraw(self, health: Health) -> None:
        """A call that was begun is for somebody else to end."""
        health.in_flight -= 1

    def end_well(self, health: Health, took_s: float) -> None:
        """A call that was begun has ended well."""
        self._save()
        health.end(True, took_s, self._now_s())

    def healths(self) -> Iterator[tuple[str, Health]]:
        """The upstreams that were asked so far, by name, and how they are; one that was changed is there twice while calls
        to it as it was are under way, and told last as it is."""
        seen = sorted(self._healths.values(), key=lambda health: not health.left)
        yield from ((health.name, health) for health in seen)

    def tries(self, routes: Sequence[Route], routing: Routing, job: Job | None = None) -> Iterator[Route]:
        """The routes to try, best first; whoever asks for another has failed at the last. Raises `UpstreamsDown`."""
        self._save()
        queue = self.ranked(routes, routing, job)
        yield queue[0]
        yield from self._more(queue)

    def _save(self) -> None:
        """Each call earns a part of a retry."""
        self._retries = min(RETRIES_SAVED_MAX, self._retries + RETRY_SHARE)

    def _more(self, queue: Sequence[Route]) -> Iterator[Route]:
        for n in range(1, self._tries_max):
            if self._retries < 1:
                return
            self._retries -= 1
            yield queue[n % len(queue)]

    def ranked(self, routes: Sequence[Route], routing: Routing, job: Job | None = None) -> Sequence[Route]:
        """Those that answer, best first; `job` is what is known of the call (None: nothing)."""
        if len(routes) == 1 and not self.of(routes[0].upstream).is_open:
            return routes
        now_s = self._now_s()
        well = [route for route in routes if self.of(route.upstream).admits(now_s)]
        if not well:
            raise UpstreamsDown(min(self.of(route.upstream).wait_s(now_s) for route in routes))
        if len(well) > 1:
            key, reused = _KEYS[routing], self._reused(well, job)
            well.sort(key=lambda route: (route.rank, *key(route, self._finish_s(route, job, reused))))
        return well

    def learn(self, route: Route, job: Job, took_s: float) -> None:
        """A call at a route has ended well."""
        name = (route.upstream.name, route.their_name)
        self._forecasts.setdefault(name, Forecast()).learn(job, took_s)

    def _finish_s(self, route: Route, job: Job | None, reused: Route | None) -> float:
        """When one more call is expected to end there."""
        health, known = self.of(route.upstream), self._forecasts.get((route.upstream.name, route.their_name))
        call_s = health.call_s if job is None or known is None else known.s(job)
        return (health.in_flight + 1) * call_s * (REUSED if route is reused else 1.0)

    def _reused(self, routes: Sequence[Route], job: Job | None) -> Route | None:
        """The route that may have read the beginning of this call before, unless it has more to do than the others."""
        if job is None or not job.prefix:
            return None
        route = forecast.preferred(routes, job.prefix)
        mean = (sum(self.of(each.upstream).in_flight for each in routes) + 1) / len(routes)
        return route if self.of(route.upstream).in_flight + 1 <= max(1.0, REUSE_LOAD_MAX * mean) else None

    def end(self, upstream: Upstream, well: bool | None, took_s: float) -> None:
        """A call that was begun at an upstream has ended."""
        health = self.of(upstream)
        health.end(well, took_s, self._now_s())
        if not well and health.is_open and not health.left and health.probing is None and upstream.probe is not None:
            health.probing = asyncio.get_running_loop().create_task(self._probe(upstream, health))

    def _meet(self, upstream: Upstream) -> Health:
        """How an upstream is that is seen as it is for the first time, or that is again as it was. A request that was judged
        by rules since replaced may ask for one as it was: its `revision` is older, so the newer one stays what it is."""
        health = self._healths.setdefault(upstream.place, Health(upstream.name))
        others = [each for each in self._healths.values() if each.name == upstream.name and each is not health]
        health.left = any(each.revision > upstream.revision for each in others)
        if not health.left:
            health.revision = upstream.revision
            self._forget(health)
        return health

    def _forget(self, newest: Health) -> None:
        """What is known of an upstream as it was before: nobody asks it there any more."""
        for place, health in list(self._healths.items()):
            if health.name == newest.name and health is not newest:
                health.left = True
                if health.probing is not None:
                    health.probing.cancel()
                if not health.in_flight:
                    del self._healths[place]

    def close(self) -> None:
        for health in self._healths.values():
            if health.probing is not None:
                health.probing.cancel()

    async def _probe(self, upstream: Upstream, health: Health) -> None:
        """Ask an upstream whose breaker is open for its models until it answers; what it answers is not looked at."""
        assert upstream.probe is not None
        try:
            while health.is_open:
                await asyncio.sleep(self._probe_s * random.uniform(0.75, 1.25))  # noqa: S311
                try:
                    exchange = await self._client.send(upstream.probe, b"", resend=True)
                except UpstreamError:
                    continue
                exchange.cancel()
                if exchange.status < 500:
                    health.half_open()
        finally:
            health.probing = None


def may_retry(error: AvowError, *, elsewhere: bool) -> bool:
    """Whether a failure before the first byte may end well at another upstream, or at the same."""
    if isinstance(error, UpstreamTooLarge):  # whoever made it bills it, and the next would too
        return False
    if isinstance(error, UpstreamTimeout | UpstreamBusy | UpstreamFull | UpstreamGarbage):
        return elsewhere
    return isinstance(error, UpstreamError)


def verdict(error: AvowError) -> bool | None:
    """What a failed call says of the upstream: whoever finds a request invalid is well; nothing follows of being busy, nor
    of having more to say than is taken."""
    if isinstance(error, UpstreamRejected):
        return True
    return (
        False if isinstance(error, UpstreamError) and not isinstance(error, UpstreamFull | UpstreamTooLarge) else None
    )


def backoff_s(tried: int) -> float:
    """How long to wait before the same upstream is tried again: longer each time, and not all at once."""
    return BACKOFF_S * float(1 << tried) * random.uniform(0.5, 1.5)  # noqa: S311


def _finish(route: Route, finish_s: float) -> tuple[float, ...]:
    """The expected end of one more call, for its weight; what costs less breaks a tie."""
    return (finish_s / route.weight, route.cost_nano)


def _weight(route: Route, _: float) -> tuple[float, ...]:
    """A draw in which each is first as often as its weight says (Efraimidis and Spirakis, 2006)."""
    return (-(random.random() ** (1 / route.weight)),)  # noqa: S311


def _price(route: Route, finish_s: float) -> tuple[float, ...]:
    return (route.cost_nano, *_finish(route, finish_s))


_KEYS: Mapping[Routing, Callable[[Route, float], tuple[float, ...]]] = {
    "finish": _finish,
    "weight": _weight,
    "price": _price,
}
