"""What the requests to `/v1` came to, counted in plain numbers as they end: two look-ups and a dozen additions each.

Rows are by surface and by model, both names that the operator gave or we did; a model that is not offered has none.
"""

from __future__ import annotations

from collections import Counter

from avow.base.metrics import Family, Histogram, Sheet
from avow.gateway.meter import Measured

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

RUNNING, OPEN, CALL_S = "avow_upstream_running", "avow_upstream_open", "avow_upstream_call_seconds"
UPSTREAMS = (
    Family(RUNNING, "gauge", "Calls under way at an upstream.", ("upstream",)),
    Family(OPEN, "gauge", "Processes whose breaker of an upstream is open.", ("upstream",)),
    Family(CALL_S, "gauge", "Mean time of the last calls, in the slowest process.", ("upstream",), largest=True),
)
FAMILIES = (
    Family(
        "avow_requests_total",
        "counter",
        "Requests to /v1 whose body was read, by status.",
        ("surface", "model", "status"),
    ),
    Family("avow_request_seconds", "histogram", "From a request to its durable charge.", ("surface",), SECONDS),
    Family("avow_first_token_seconds", "histogram", "From a request to its first event.", ("model",), SECONDS),
    Family("avow_tokens_total", "counter", "Tokens used; cached ones are not in input.", ("model", "bucket")),
    Family("avow_charged_nano_total", "counter", "Nano-units of money that were charged.", ("model",)),
    Family(
        "avow_audio_longer_than_held_total",
        "counter",
        "Recordings that an upstream heard for longer than money was held for.",
        ("model",),
    ),
    Family("avow_refused_total", "counter", "Requests to /v1 that were turned away before.", ("status",)),
)


class _Model:
    """What was used of a model."""

    __slots__ = ("amount", "cached", "first", "input", "output")

    def __init__(self) -> None:
        self.input = self.cached = self.output = self.amount = 0
        self.first = Histogram(SECONDS)


class _End:
    """Requests of a surface to a model that ended alike, with what they share with others."""

    __slots__ = ("count", "took", "used")

    def __init__(self, used: _Model, took: Histogram) -> None:
        self.count, self.used, self.took = 0, used, took


class Watch:
    """The counts of one process since it began."""

    def __init__(self) -> None:
        self._ends: dict[tuple[str, str, int], _End] = {}
        self._uncharged: Counter[tuple[str, int]] = Counter()
        self._turned_away: Counter[int] = Counter()
        self._outlasted: Counter[str] = Counter()
        self._models: dict[str, _Model] = {}
        self._took: dict[str, Histogram] = {}

    def settled(
        self,
        surface: str,
        model: str,
        status: int,
        measured: Measured,
        charged: int,
        took_s: float,
        first_s: float | None,
    ) -> None:
        """A request was charged `charged` nano-units. `first_s`: after how long a stream began; None: none did."""
        end = self._ends.get((surface, model, status))
        if end is None:
            end = self._end(surface, model, status)
        end.count += 1
        end.took.see(took_s)
        total, used = end.used, measured.used
        total.input += used.input - used.cached
        total.cached += used.cached
        total.output += used.output
        total.amount += charged
        if first_s is not None:
            total.first.see(first_s)

    def _end(self, surface: str, model: str, status: int) -> _End:
        used = self._models.setdefault(model, _Model())
        took = self._took.setdefault(surface, Histogram(SECONDS))
        return self._ends.setdefault((surface, model, status), _End(used, took))

    def uncharged(self, surface: str, status: int) -> None:
        """A request was refused without a charge. Which model it was to go to is not told, for
        a client may name anything."""
        self._uncharged[surface, status] += 1

    def turned_away(self, status: int) -> None:
        """A request was refused before its body was read whole, or asked for no completion."""
        self._turned_away[status] += 1

    def outlasted(self, model: str) -> None:
        """An upstream heard a recording for longer than money was held for."""
        self._outlasted[model] += 1

    def tell(self, sheet: Sheet) -> None:
        """Write the counts on a sheet."""
        for (surface, model, status), end in self._ends.items():
            sheet.add("avow_requests_total", (surface, model, _class(status)), end.count)
        for (surface, status), count in self._uncharged.items():
            sheet.add("avow_requests_total", (surface, "", _class(status)), count)
        for status, count in self._turned_away.items():
            sheet.add("avow_refused_total", (_class(status),), count)
        for model, count in self._outlasted.items():
            sheet.add("avow_audio_longer_than_held_total", (model,), count)
        for surface, took in self._took.items():
            sheet.put("avow_request_seconds", (surface,), took)
        for model, used in self._models.items():
            for bucket, tokens in (("input", used.input), ("cached", used.cached), ("output", used.output)):
                sheet.add("avow_tokens_total", (model, bucket), tokens)
            sheet.add("avow_charged_nano_total", (model,), used.amount)
            if any(used.first.counts):
                sheet.put("avow_first_token_seconds", (model,), used.first)


def _class(status: int) -> str:
    return f"{status // 100}xx"
