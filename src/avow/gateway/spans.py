"""Traces of requests for an OpenTelemetry collector, by the conventions for generative AI, and nothing of what was said in them.

A span has the attributes of `ATTRIBUTES` and no others: words of ours, names that the operator gave, and counts. There is no id
of a request, key, person or organisation in it, and its own ids are made by chance, so whoever receives it cannot ask for more;
a trace that a client begun is not gone on with, for its id would be theirs. Still a span tells of something that somebody did,
so an outside party gets it only where the policy gives that party the category `usage`, and an entry of the register
holds for its host: the client that is given to `Spans` asks before each request.

Where no collector is set there is no `Spans`. What cannot be sent waits for the next turn, and what there is no room for is lost.
"""

from __future__ import annotations

import asyncio
import random
import re
import secrets
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import structlog

from avow.base import log
from avow.base.clock import Clock
from avow.base.db import AWAY
from avow.base.metrics import Family, Sheet
from avow.catalog import store
from avow.gateway.meter import Measured, Outcome
from avow.gateway.orders import Order
from avow.gateway.wire import CHOICES_MAX
from avow.policy import Policy
from avow.registers.broker import Blocked, is_here

CATEGORY = "usage"
SEND_S = 5.0
ANSWER_S_MAX = 10.0
SPANS_MAX = 4096
BATCH_MAX = 512
_CLIENT, _ERROR = 3, 2
"""SPAN_KIND_CLIENT, as the conventions say of a call of a model, and STATUS_CODE_ERROR."""

ATTRIBUTES = (
    *("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model"),
    *("gen_ai.usage.input_tokens", "gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.output_tokens"),
    *("gen_ai.response.finish_reasons", "http.response.status_code", "error.type"),
    *("avow.ended", "avow.first_token_s"),
)
"""All that a span may tell; docs/reference/traces.md says what each is."""
_OPERATIONS = {"chat": "chat", "messages": "chat", "responses": "chat", "completions": "text_completion"}
FINISHES = frozenset(
    "stop length tool_calls function_call content_filter end_turn max_tokens stop_sequence tool_use pause_turn refusal".split()
)
"""The reasons that providers document; any other is theirs, and stays with us."""
READ_BYTES_MAX = 64 * 1024
_FINISH = re.compile(rb'"(?:finish_reason|stop_reason)" ?: ?"([a-z_]{1,32})"')

FAMILIES = (Family("avow_spans_total", "counter", "Spans for the collector: sent, lost, or barred.", ("end",)),)

store(
    "collector of traces",
    "processor",
    "AVOW_OTLP_ENDPOINT",
    categories=(CATEGORY,),
    why="where the operator named one: how long requests took and how they ended, by model and without any id",
)
store(
    "spans that wait",
    "memory",
    "gateway workers, seconds",
    why="how long requests took and how they ended, by model and without any id",
)

_encode = msgspec.json.Encoder().encode


class Spans:
    """Those of one process. `share` of the requests are taken, by chance; `seen`: how many were. `http` is closed with it."""

    def __init__(
        self,
        endpoint: str,
        header: str,
        share: float,
        clock: Clock,
        http: httpx.AsyncClient,
        barred: Callable[[], str | None],
    ) -> None:
        self._share, self._clock, self._http, self._barred = share, clock, http, barred
        name, _, value = header.partition(":")
        self._headers = {"content-type": "application/json", **({name.strip(): value.strip()} if header else {})}
        self._url = endpoint
        self._waiting: deque[dict[str, Any]] = deque(maxlen=SPANS_MAX)
        self.seen = 0
        self._ends: Counter[str] = Counter()
        self._said = ""

    def see(self, order: Order, outcome: Outcome, measured: Measured, took_s: float, first_s: float | None) -> None:
        """A request was settled."""
        if random.random() < self._share:  # noqa: S311
            self.seen += 1
            self._ends["lost"] += len(self._waiting) == SPANS_MAX
            ended_ns = int(self._clock.now().timestamp() * 1e9)
            told = dict(_told(order, outcome, measured, first_s))
            self._waiting.append(_span(told, ended_ns - int(took_s * 1e9), ended_ns, failed="error.type" in told))

    def tell(self, sheet: Sheet) -> None:
        """Write the figures on a sheet."""
        for end, count in self._ends.items():
            sheet.add("avow_spans_total", (end,), count)

    async def go_on(self) -> None:
        """Send what waits every few seconds; what is left is sent when it is cancelled."""
        try:
            while True:
                await asyncio.sleep(SEND_S)
                await self.send()
        finally:
            with suppress(TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(1):
                    await self.send()
            await self.close()

    async def close(self) -> None:
        """Let go of the connections."""
        await self._http.aclose()

    def __len__(self) -> int:
        """How many spans wait."""
        return len(self._waiting)

    async def send(self) -> None:
        """Send all that waits, or throw it away where the policy or the register does not let it out."""
        if reason := self._barred():
            return self._throw_away(reason)
        while self._waiting:
            batch = [self._waiting[n] for n in range(min(BATCH_MAX, len(self._waiting)))]
            try:
                answer = await self._http.post(self._url, content=_encode(_request(batch)), headers=self._headers)
                answer.raise_for_status()
            except Blocked as blocked:
                return self._throw_away(str(blocked))
            except (httpx.HTTPError, *AWAY) as wrong:
                return self._say("spans_not_sent", **log.failure(wrong))
            self._said = ""
            for _ in batch:
                self._waiting.popleft()
            self._ends["sent"] += len(batch)

    def _throw_away(self, reason: str) -> None:
        self._ends["barred"] += len(self._waiting)
        self._waiting.clear()
        self._say("spans_barred", reason=reason)

    def _say(self, event: str, **fields: Any) -> None:
        """Once until it is well again."""
        if self._said != event:
            self._said = event
            structlog.get_logger().warning(event, **fields)


def barred(in_force: Callable[[], Policy], endpoint: str, processor: str) -> str | None:
    """Why the policy lets no spans go to a collector; None: it does. One on this machine is none of an outside party."""
    if not processor:
        return (
            None
            if is_here(urlsplit(endpoint).hostname or "")
            else "AVOW_OTLP_PROCESSOR does not say which party of the policy it is"
        )
    part = in_force().parts.get(f"processor.{processor}")
    if part is None:
        return f"the policy names no processor {processor}"
    return None if CATEGORY in part.values["categories"] else f"the policy gives {processor} no {CATEGORY}"


def _told(order: Order, outcome: Outcome, measured: Measured, first_s: float | None) -> Iterator[tuple[str, Any]]:
    route = outcome.route
    yield "gen_ai.operation.name", _OPERATIONS.get(order.surface.name, order.surface.name)
    yield "gen_ai.request.model", order.model.id
    if route is not None:
        yield "gen_ai.provider.name", route.upstream.processor or "avow"
        yield "gen_ai.response.model", route.their_name
    yield "gen_ai.usage.input_tokens", measured.used.input
    yield "gen_ai.usage.cache_read.input_tokens", measured.used.cached
    yield "gen_ai.usage.output_tokens", measured.used.output
    if reasons := _finishes(outcome):
        yield "gen_ai.response.finish_reasons", reasons
    yield "http.response.status_code", outcome.status
    yield "avow.ended", outcome.why
    if first_s is not None:
        yield "avow.first_token_s", first_s
    if outcome.error is not None:
        yield "error.type", outcome.error.code


def _finishes(outcome: Outcome) -> list[str]:
    """Why the answers ended, by the words of a stream or of an answer that is here as a whole."""
    whole = outcome.answer if len(outcome.answer) <= READ_BYTES_MAX else b""
    words = [outcome.finish] if outcome.finish is not None else [each.decode() for each in _FINISH.findall(whole)]
    return [word for word in words[:CHOICES_MAX] if word in FINISHES]


def _span(told: dict[str, Any], began_ns: int, ended_ns: int, *, failed: bool) -> dict[str, Any]:
    """A span in the JSON of OTLP 1 (opentelemetry.proto.trace.v1, as protobuf's JSON is written)."""
    return {
        "traceId": secrets.token_hex(16),
        "spanId": secrets.token_hex(8),
        "name": f"{told['gen_ai.operation.name']} {told['gen_ai.request.model']}",
        "kind": _CLIENT,
        "startTimeUnixNano": str(began_ns),
        "endTimeUnixNano": str(ended_ns),
        "attributes": [{"key": name, "value": _value(told[name])} for name in ATTRIBUTES if name in told],
        **({"status": {"code": _ERROR}} if failed else {}),
    }


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(each) for each in value]}}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}


def _request(spans: list[dict[str, Any]]) -> dict[str, Any]:
    service = {"key": "service.name", "value": {"stringValue": "avow"}}
    scoped = {"scope": {"name": "avow.gateway"}, "spans": spans}
    return {"resourceSpans": [{"resource": {"attributes": [service]}, "scopeSpans": [scoped]}]}
