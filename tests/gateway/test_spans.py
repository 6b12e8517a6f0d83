"""Traces as a collector gets them: read with the official messages of OTLP, sent over a real socket, and nothing in them of
what was said or by whom."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import httpx
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from avow.base.actor import COMMAND
from avow.base.clock import SystemClock
from avow.base.metrics import Sheet
from avow.gateway import spans
from avow.gateway.scripted import Script
from avow.gateway.spans import FAMILIES, Spans
from avow.registers import book, broker, incidents
from avow.registers.book import Whose
from avow.registers.broker import Broker
from avow.registers.entries import Entry

from .house import CLAUDE, CREDENTIAL, HELLO, MODEL, OUTSIDE, POLICY, TEXT, open_house, parse, serving, until

WORD = "marker-4713"


@dataclass
class Collector:
    """Answers as a collector does, by `status`, and reads what it gets as the protocol says."""

    status: int = 200
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[bytes, bytes]] = field(default_factory=list)

    async def __call__(self, scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        self.bodies.append(body)
        self.headers.append(dict(scope["headers"]))
        await send({"type": "http.response.start", "status": self.status, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})

    @property
    def spans(self):
        found = []
        for body in self.bodies:
            told = json_format.Parse(body, ExportTraceServiceRequest())
            for resource in told.resource_spans:
                assert [each.key for each in resource.resource.attributes] == ["service.name"]
                found += [span for scoped in resource.scope_spans for span in scoped.spans]
        return found


def attributes(span):
    def value(any_value):
        kind = any_value.WhichOneof("value")
        if kind == "array_value":
            return [value(each) for each in any_value.array_value.values]
        return getattr(any_value, kind)

    return {each.key: value(each.value) for each in span.attributes}


@asynccontextmanager
async def collected(database, tmp_path, *, share=1.0, policy=POLICY, processor=""):
    """A gateway whose traces go to a collector on this machine."""
    collector = Collector()
    async with serving(collector) as url:
        where = f"{url}/v1/traces"
        barred = partial(spans.barred, lambda: policy, where, processor)
        told = Spans(where, "x-token: abc", share, SystemClock(), httpx.AsyncClient(), barred)
        async with open_house(database, tmp_path, spans=told) as house:
            yield house, collector
        await told.close()


def said(**fields):
    return {"model": MODEL, "messages": [{"role": "user", "content": WORD}], "max_tokens": 9, "user": WORD, **fields}


async def test_a_span_tells_how_a_request_went_and_nothing_of_what_it_was(database, tmp_path):
    async with collected(database, tmp_path) as (house, collector):
        ann = await house.customer()
        house.upstream.script = Script(tokens=(WORD, "2"), cached_tokens=4)
        answers = [
            await house.post(ann, said()),
            await house.post(ann, said(stream=True)),
            await house.post(ann, said(model=OUTSIDE)),
            await house.post(ann, {**said(model=CLAUDE), "stream": True}, path="/v1/messages"),
        ]
        house.upstream.then(Script(status=500, error_text=WORD))
        assert (await house.post(ann, said())).status_code == 502
        await until(lambda: len(house.gateway.spans) == 5)
        await house.gateway.spans.send()
        assert [answer.status_code for answer in answers] == [200] * 4
        whole, stream, outside, claude, failed = collector.spans
        assert attributes(whole) == {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "avow",
            "gen_ai.request.model": MODEL,
            "gen_ai.response.model": "their-plain",
            "gen_ai.usage.input_tokens": 11,
            "gen_ai.usage.cache_read.input_tokens": 4,
            "gen_ai.usage.output_tokens": 2,
            "gen_ai.response.finish_reasons": ["stop"],
            "http.response.status_code": 200,
            "avow.ended": "done",
        }
        assert (whole.name, whole.kind) == (f"chat {MODEL}", 3)
        assert 0 < whole.end_time_unix_nano - whole.start_time_unix_nano < 60e9
        assert attributes(stream)["gen_ai.response.finish_reasons"] == ["stop"]
        assert attributes(stream)["avow.first_token_s"] > 0
        assert attributes(outside)["gen_ai.provider.name"] == "acme"
        assert attributes(claude)["gen_ai.response.finish_reasons"] == ["end_turn"]
        ended = attributes(failed)
        assert (ended["error.type"], ended["http.response.status_code"], failed.status.code) == (
            "upstream_error",
            502,
            2,
        )
        assert len({each.trace_id for each in collector.spans}) == 5
        names = {name for span in collector.spans for name in attributes(span)}
        assert names <= set(spans.ATTRIBUTES)
        told = {field.name for span in collector.spans for field, _ in span.ListFields()}
        times = {"start_time_unix_nano", "end_time_unix_nano"}
        assert told == {"trace_id", "span_id", "name", "kind", "attributes", "status"} | times
        sent = b"".join(collector.bodies)
        ids = [ann.tenant_id, ann.subject_id, ann.key_id, ann.wallet_id]
        ids += [answer.headers["avow-request-id"] for answer in answers]
        for secret in (
            WORD,
            CREDENTIAL,
            ann.secret,
            "127.0.0.1",
            *map(str, ids),
            *(str(i).replace("-", "") for i in ids),
        ):
            assert secret.encode() not in sent
        assert collector.headers[0][b"x-token"] == b"abc"


async def test_a_collector_that_does_not_answer_stops_nobody_and_what_has_no_room_is_lost(
    database, tmp_path, monkeypatch
):
    monkeypatch.setattr(spans, "SPANS_MAX", 3)
    async with collected(database, tmp_path) as (house, collector):
        ann, told = await house.customer(), house.gateway.spans
        collector.status = 503
        for n in range(5):
            assert (await house.post(ann, said())).status_code == 200
            await until(lambda n=n: told.seen == n + 1)
            await told.send()
        assert len(told) == 3
        collector.status, collector.bodies = 200, []
        await told.send()
        assert (len(told), len(collector.spans)) == (0, 3)
        sheet = Sheet(FAMILIES)
        told.tell(sheet)
        assert {row.labels[0]: row.values[0] for row in sheet.rows()} == {"sent": 3, "lost": 2}


async def test_nothing_goes_where_the_policy_gives_nothing_and_none_is_made_without_a_share(database, tmp_path):
    async with collected(database, tmp_path, processor="acme") as (house, collector):
        ann = await house.customer()
        await house.post(ann, said())
        await until(lambda: len(house.gateway.spans) == 1)
        await house.gateway.spans.send()
        assert (len(house.gateway.spans), collector.bodies) == (0, [])


COLLECTOR = {
    **{"name": "collector", "to": "collector", "recipient": "Collector", "basis": "own", "purpose": "service"},
    **{"fields": {}, "region": "DE", "host": "otel.invalid"},
}


async def test_a_collector_gets_nothing_until_its_host_is_entered_and_what_goes_is_noted(database, tmp_path):
    async with open_house(database, tmp_path) as house:
        ann = await house.customer()
        for entered in (False, True):
            if entered:
                async with database.keeper.begin() as c:
                    made = Entry(**COLLECTOR), Whose()
                    assert await book.propose(c, house.vault, COMMAND, "terminal", *made) is None
            http = Broker(database.app, house.vault).client("traces")
            told = Spans("https://otel.invalid/v1/traces", "", 1.0, house.clock, http, lambda: None)
            house.gateway.spans = told
            assert (await house.post(ann, said())).status_code == 200
            await until(lambda told=told: len(told) == 1)
            await told.send()
            # What could not be sent, for there is no such machine, waits; what must not go is gone.
            assert len(told) == int(entered)
            sheet = Sheet(FAMILIES)
            told.tell(sheet)
            ends = {row.labels[0]: row.values[0] for row in sheet.rows()}
            assert ends.get("barred", 0) == int(not entered) and "sent" not in ends
            await told.close()
        async with database.keeper.begin() as c:
            found = await incidents.listed(c, only_open=True, after=None, limit=10)
            assert [(each.part, each.about) for each in found] == [("traces", "otel.invalid")]
            flows = [(each["part"], each["host"], each["entry"]) for each in await broker.flows(c)]
            assert ("traces", "otel.invalid", "collector") in flows


async def test_without_a_share_no_span_is_made(database, tmp_path):
    async with collected(database, tmp_path, share=0.0) as (house, collector):
        ann = await house.customer()
        await house.post(ann, {**said(), "messages": HELLO})
        await house.settled(ann)
        await asyncio.sleep(0)
        await house.gateway.spans.send()
        assert (house.gateway.spans.seen, collector.bodies) == (0, [])


GIVES = TEXT.replace('features = ["tls"', 'features = ["tls", "processors"').replace(
    'categories = ["api_content"]', 'categories = ["usage"]'
)


@pytest.mark.parametrize(
    ("endpoint", "processor", "policy", "goes"),
    [
        ("http://127.0.0.1:4318/v1/traces", "", POLICY, True),
        ("https://otel.example.org/v1/traces", "", POLICY, False),
        ("https://otel.example.org/v1/traces", "nobody", POLICY, False),
        ("https://otel.example.org/v1/traces", "acme", POLICY, False),
        ("https://otel.example.org/v1/traces", "acme", parse(GIVES), True),
        ("http://127.0.0.1:4318/v1/traces", "acme", POLICY, False),
    ],
)
def test_an_outside_party_gets_spans_only_by_the_policys_word(endpoint, processor, policy, goes):
    reason = spans.barred(lambda: policy, endpoint, processor)
    assert (reason is None) == goes
