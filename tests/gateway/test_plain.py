"""A plain request needs no task; whatever turns out otherwise ends as it would have in one."""

from __future__ import annotations

import asyncio
import gc
import json
import re
import socket
from datetime import UTC, datetime, timedelta

import httpx
import openai
import pytest

from avow.accounts.tables import api_key
from avow.billing.tables import wallet
from avow.gateway import fleet, tables
from avow.gateway.completion import Gateway
from avow.gateway.direct import Turn
from avow.gateway.scripted import Script
from avow.policy import parse

from .house import DOLLAR, HELLO, MODEL, TEXT, chunks_of, open_house, until
from .test_traces import opened

ASK = {"model": MODEL, "messages": HELLO}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
BODY = json.dumps(ANSWER).encode()


@pytest.fixture
def is_warm():
    return True


@pytest.fixture
def tasks(monkeypatch):
    """The completions that were given a task."""
    given, run = [], Gateway.run

    def count(gateway, completion, work):
        given.append(completion)
        run(gateway, completion, work)

    monkeypatch.setattr(Gateway, "run", count)
    return given


def said(head: bytes, body: bytes = BODY) -> Script:
    return Script(raw=b"HTTP/1.1 %b\r\n\r\n%b" % (head.replace(b"LENGTH", b"content-length: %d" % len(body)), body))


def streamed(events: bytes, kind: bytes = b"text/event-stream") -> Script:
    body = b"%x\r\n%b\r\n" % (len(events), events) if events else b""
    return said(b"200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked" % kind, body + b"0\r\n\r\n")


HI = b'data: {"id": "x", "choices": [{"index": 0, "delta": {"content": "hi"}}]}\n\n'
STOP = b'data: {"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\n'


async def test_what_is_plain_has_no_task(house, tasks):
    ann = await house.customer(tenant_keep_h=24)
    for count in (1, 2):
        answer = await house.post(ann, ASK)
        assert answer.status_code == 200 and answer.headers["avow-stored"] == "trace"
        row = await house.settled(ann, count)
        assert (row.why, row.status, row.amount) == ("done", 200, 11_000 + 9_000)
        assert float(answer.headers["avow-cost"]) * DOLLAR == row.amount
    # The first box of a person's hour needs a key that is made beside the loop.
    assert len(tasks) == 1 and len(await house.traces()) == 2
    assert house.gateway.running == 0


async def test_a_stream_has_none_while_its_client_reads_it(house, tasks):
    ann = await house.customer(tenant_keep_h=24)
    house.upstream.script = Script(tokens=tuple(f" word{number}" for number in range(40)))
    said = []
    for count in (1, 2):
        answer = await house.post(ann, {**ASK, "stream": True})
        row = await house.settled(ann, count)
        assert (row.why, row.status, row.amount) == ("done", 200, 11_000 + 40 * 3_000)
        assert answer.text.endswith(f": avow-cost {row.amount / DOLLAR:.9f}\n\ndata: [DONE]\n\n")
        said.append("".join(each["choices"][0]["delta"].get("content") or "" for each in chunks_of(answer)))
    assert len(tasks) == 1  # as above
    assert said[0] == said[1] == "".join(house.upstream.script.tokens)
    kept = [await opened(house, ann, row) for row in await house.traces()]
    assert [each["response"]["choices"][0]["message"]["content"] for each in kept] == said


async def test_a_stream_that_is_given_up_or_left_is_paid_as_far_as_it_came(house, tasks):
    ann = await house.customer()
    gate = asyncio.Event()
    house.upstream.script = Script(tokens=("word",) * 9, gate=gate, gate_after=4, usage=False)
    async with house.client(ann) as client:
        stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        await anext(each async for each in stream if each.choices[0].delta.content)
        assert not tasks and house.gateway.running == 1
        await stream.close()
    row = await house.settled(ann)
    assert (row.why, row.status) == ("client_left", 499) and 1 <= row.output_tokens <= 4 and len(tasks) == 1
    async with house.client(ann) as client:
        stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
        await anext(each async for each in stream if each.choices[0].delta.content)
        closing = asyncio.create_task(house.gateway.close(grace_s=0.0))
        with pytest.raises(openai.APIError):
            async for _ in stream:
                pass
        await closing
    row = await house.settled(ann, 2)
    assert row.why == "upstream_failed" and 1 <= row.output_tokens <= 4


async def test_what_is_kept_of_a_stream_that_was_left_is_what_a_task_keeps(house, tasks):
    ann = await house.customer(tenant_keep_h=24)
    await house.post(ann, ASK)  # makes the key of the hour, which a first box waits for
    tasks.clear()
    house.upstream.script = Script(tokens=("word",) * 9, gate=asyncio.Event(), gate_after=4, usage=False)
    for needs_task in (False, True):
        named = {"idempotency-key": "needs-a-task"} if needs_task else {}
        async with house.client(ann) as client:
            stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, extra_headers=named)
            words = (each async for each in stream if each.choices[0].delta.content)
            for _ in range(4):
                await anext(words)
            assert len(tasks) == needs_task
            await stream.close()
        row = await house.settled(ann, 2 + needs_task)
        assert (row.why, row.output_tokens) == ("client_left", 4)
        tasks.clear()
    _, plain, in_task = [(await opened(house, ann, row))["response"] for row in await house.traces()]
    assert plain == in_task and plain["choices"][0]["message"]["content"] == "word" * 4


async def test_a_stream_that_takes_too_long_is_let_go_though_it_has_no_task(database, tmp_path, tasks):
    async with open_house(database, tmp_path, is_warm=True, stream_s_max=0.2) as house:
        ann = await house.customer()
        house.upstream.script = Script(tokens=("word",) * 9, gate=asyncio.Event(), gate_after=4, usage=False)
        with pytest.raises(httpx.RemoteProtocolError):
            await house.post(ann, {**ASK, "stream": True})
        row = await house.settled(ann)
        assert row.why == "client_left" and row.output_tokens >= 1 and len(tasks) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({**ASK, "stream": True}, 200),
        ({**ASK, "temperature": 0}, 200),
        ({**ASK, "messages": [{"role": "user", "content": "long " * 14_000}]}, 200),
        ({**ASK, "model": "test/none"}, 404),
    ],
)
async def test_what_is_not_plain_has_one(house, tasks, body, status):
    ann = await house.customer(tenant_keep_h=24)
    assert (await house.post(ann, body)).status_code == status
    assert len(tasks) == 1


@pytest.mark.parametrize(
    "script",
    [
        said(b"200 OK\r\nLENGTH"),
        said(b"200 OK\r\nContent-Type: application/json\r\nLENGTH\r\nConnection: keep-alive"),
        said(b"200 OK\r\nLENGTH\r\nConnection: close"),
        said(b"200 OK\r\ntransfer-encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)),
        said(b"200 OK"),
        said(b"200 OK\r\nLENGTH", BODY[:-1] + b", "),
        said(b"200 OK\r\nLENGTH\r\ncontent-length: 1"),
        said(b"200 OK\r\nLENGTH\r\ncontent-encoding: gzip"),
        said(b"200 OK\r\ncontent-length: 9999"),
        said(b"503 No\r\nLENGTH"),
        said(b"429 No\r\nretry-after: 7\r\nLENGTH"),
        said(b"302 Found\r\nlocation: /\r\nLENGTH"),
        said(b"200 OK\r\nLENGTH", b'{"object": "chat.completion"}'),
        said(b"200 OK\r\nLENGTH", b""),
        Script(raw=b"no HTTP at all"),
        Script(raw=b""),
        Script(usage=False),
        Script(tokens=("x" * 70_000,)),
        Script(die_after=0),
        Script(die_after=2),
        streamed(b""),
        streamed(HI),
        streamed(HI + HI + b"data: [DONE]\n\n"),
        streamed(HI + STOP),
        streamed(HI + STOP + b"data: {"),
        streamed(HI + b"data: {"),
        streamed(HI + b'data: {"error": {"code": 400}}\n\n'),
        streamed(b'data: {"error": {"code": 400}}\n\n'),
        streamed(b"data: [DONE]\n\n"),
        streamed(HI + STOP + b"data: [DONE]\n\n", b"application/json"),
        streamed(HI + STOP + b"data: [DONE]\n\n", b"Text/Event-Stream"),
        streamed(HI + STOP + b"data: [DONE]\n\n", b"text/event-stream\r\nconnection: close"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_every_answer_of_an_upstream_ends_as_it_does_in_a_task(database, tmp_path, script, stream):
    ended = []
    for is_warm in (True, False):
        folder = tmp_path / str(is_warm)
        folder.mkdir()
        async with open_house(database, folder, is_warm=is_warm) as house:
            ann = await house.customer(tenant_keep_h=24)
            house.upstream.script = script
            answer = await house.post(ann, {**ASK, "stream": stream})
            row = await house.settled(ann)
            told = {
                name: answer.headers.get(name) for name in ("avow-cost", "avow-stored", "retry-after", "avow-cache")
            }
            charged = row.why, row.status, row.amount, row.input_tokens, row.output_tokens, row.estimated
            error = re.sub("chatcmpl-[0-9a-f-]*", "", answer.text) if answer.is_success else answer.json()["error"]
            ended.append((answer.status_code, error, told, charged))
            assert (await house.wallet(ann))[1] == 0
            await house.execute(tables.route.delete())
            await house.execute(tables.model.delete())
            await house.execute(tables.upstream.delete())
    assert ended[0] == ended[1]


async def test_a_kept_connection_that_was_closed_meanwhile_is_replaced(house, tasks):
    ann = await house.customer()
    await house.post(ann, ASK)
    asked = len(house.upstream.requests)
    tasks.clear()
    house.upstream.then(Script(raw=b""))
    assert (await house.post(ann, ASK)).status_code == 200
    assert len(tasks) == 1 and len(house.upstream.requests) == asked + 2
    row = await house.settled(ann, 2)
    assert (row.why, row.amount) == ("done", 20_000)


async def test_a_length_that_was_left_to_us_is_what_the_balance_affords(house):
    ann = await house.customer(balance=600_000)
    answer = await house.post(ann, ASK)
    assert answer.status_code == 200
    assert 0 < house.upstream.requests[-1]["max_tokens"] < 200
    assert (await house.settled(ann)).amount == 20_000


async def test_what_was_judged_by_rules_that_are_over_is_judged_anew(house, tasks):
    ann = await house.customer()
    await house.raise_price(MODEL, factor=2)
    await house.bump_epoch()
    answer = await house.post(ann, ASK)
    assert answer.headers["avow-cost"] == "0.000040000"
    row = await house.settled(ann)
    assert (row.why, row.amount) == ("done", 40_000) and await house.wallet(ann) == (DOLLAR - 40_000, 0)
    assert len(tasks) == 1


async def test_who_leaves_before_the_hold_is_durable_pays_nothing(house, tasks):
    ann = await house.customer()
    async with house.databases.keeper.begin() as c:  # the ledger waits for this wallet
        await c.execute(wallet.select().where(wallet.c.id == ann.wallet_id).with_for_update())
        asked = asyncio.create_task(house.post(ann, ASK))
        await until(lambda: len(house.gateway.plain) == 1)
        [plain] = house.gateway.plain
        asked.cancel()
        await until(lambda: plain._left)
        assert not tasks
    row = await house.settled(ann)
    assert (row.why, row.status, row.amount) == ("client_left", 499, 0) and not house.upstream.requests


async def test_a_gateway_that_stops_lets_them_end(house, tasks):
    ann = await house.customer()
    await house.post(ann, ASK)
    gate = asyncio.Event()
    house.upstream.script = Script(gate=gate)
    asked = asyncio.create_task(house.post(ann, ASK))
    await until(lambda: len(house.upstream.requests) == 2)
    assert len(house.gateway.plain) == 1 and house.gateway.running == 1
    tasks.clear()
    closing = asyncio.create_task(house.gateway.close())
    await until(lambda: len(tasks) == 1)
    assert not house.gateway.plain and house.gateway.running == 1
    gate.set()
    await closing
    assert (await asked).status_code == 200
    assert (await house.settled(ann, 2)).why == "done"


async def test_no_more_calls_of_a_key_run_than_may(database, tmp_path):
    async with open_house(database, tmp_path, is_warm=True, calls_per_key_max=1) as house:
        ann = await house.customer()
        gate = asyncio.Event()
        house.upstream.script = Script(gate=gate)
        first = asyncio.create_task(house.post(ann, ASK))
        await until(lambda: len(house.upstream.requests) == 1)
        assert (await house.post(ann, ASK)).status_code == 429
        gate.set()
        assert (await first).status_code == 200
        assert (await house.post(ann, ASK)).status_code == 200


@pytest.mark.parametrize(
    ("terms", "status", "code"),
    [
        ({"scopes": ["read"]}, 403, "scope_missing"),
        ({"network_digests": ["4/32/none"]}, 403, "network_refused"),
        ({"models": ["test/other"]}, 404, "model_not_found"),
        ({"state": "revoked"}, 401, "key_revoked"),
    ],
)
async def test_a_key_that_is_known_may_no_more_than_before(house, terms, status, code):
    ann = await house.customer()
    assert (await house.post(ann, ASK)).status_code == 200
    await house.execute(api_key.update().where(api_key.c.id == ann.key_id).values(**terms))
    house.directory.clear()
    for _ in range(3):  # the first of them makes it known
        refused = await house.post(ann, ASK)
        assert (refused.status_code, refused.json()["error"]["code"]) == (status, code)
    assert len(house.upstream.requests) == 1


async def test_a_key_that_is_known_ends(house):
    ann = await house.customer()
    ends_at = house.clock.now() + timedelta(minutes=5)
    await house.execute(api_key.update().where(api_key.c.id == ann.key_id).values(expires_at=ends_at))
    house.directory.clear()
    assert [(await house.post(ann, ASK)).status_code for _ in range(2)] == [200, 200]
    house.clock.move(timedelta(minutes=5))
    assert (await house.post(ann, ASK)).json()["error"]["code"] == "key_expired"


async def test_a_month_is_as_long_as_on_the_day_of_the_request(database, tmp_path):
    """Calendar periods, hours and none, on both sides of a month's end, at one worker that knows its key."""
    text = TEXT.replace('features = ["tls"', 'features = ["tls", "processors"')
    policy = parse(re.sub(r'(?s)(\[category\.usage\].*?\nkeep = )"[^"]*"', r'\1"1 month"', text, count=1))
    async with open_house(database, tmp_path, policy=policy, is_warm=True) as house:
        ann = await house.customer()
        plan = house.gateway.rules.current.plan(await house.directory.find(ann.secret))
        for count, day in enumerate((30, 31, 32, 61), 1):
            house.clock.move(datetime(2027, 1, 1, 12, tzinfo=UTC) + timedelta(days=day - 1) - house.clock.now())
            assert (await house.post(ann, ASK)).status_code == 200
            row = await house.settled(ann, count)
            assert row.ends_at == plan.end("usage", row.since)


async def test_what_was_begun_is_paid_though_its_upstream_fails_others_meanwhile(house):
    """The breaker opens while an answer is on its way that a task has to take over: it is not thrown away."""
    ann = await house.customer()
    gate = asyncio.Event()
    house.upstream.script = Script(tokens=("x" * 70_000,), gate=gate)
    asked = asyncio.create_task(house.post(ann, ASK))
    await until(lambda: len(house.upstream.requests) == 1)
    [(_, health)] = house.gateway.fleet.healths()
    for _ in range(fleet.FAILURES_MAX):
        health.begin()
        health.end(False, 0.1, asyncio.get_running_loop().time())
    gate.set()
    answer = await asked
    assert answer.status_code == 200 and (await house.settled(ann)).why == "done"


async def test_a_key_that_is_read_anew_has_new_terms_in_place_of_the_old(house):
    ann = await house.customer()
    for _ in range(5):
        assert (await house.post(ann, ASK)).status_code == 200
        house.directory.clear()
    assert len(house.gateway.rules.current._terms) == 1


async def test_a_connection_that_is_kept_keeps_nothing_of_what_was_said(house):
    ann = await house.customer()
    async with house.client(ann) as client:
        secret = "a-secret-that-was-said-4711"
        await client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": secret}])
        gc.collect()
        bodies = [each for each in gc.get_objects() if isinstance(each, Turn)]
        assert bodies and not any(secret.encode() in turn.body + turn._ask.body for turn in bodies)


async def test_who_does_not_read_holds_up_only_their_own_answers(house):
    """Answers wait for their client and come in order; whoever leaves meanwhile has paid for what was answered."""
    ann = await house.customer()
    house.upstream.script = Script(tokens=("y" * 40_000,))
    content = json.dumps(ASK).encode()
    head = f"host: x\r\nauthorization: Bearer {ann.secret}\r\ncontent-type: application/json\r\n"
    request = f"POST /v1/chat/completions HTTP/1.1\r\n{head}content-length: {len(content)}\r\n\r\n".encode() + content
    count = 12
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.setblocking(False)
        await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", house.port))
        reader, writer = await asyncio.open_connection(sock=line, limit=4096)
        writer.write(request * count)
        await house.settled(ann)
        assert (await house.post(await house.customer(), ASK)).status_code == 200
        for _ in range(count):
            answer = await reader.readuntil(b"\r\n\r\n")
            assert answer.startswith(b"HTTP/1.1 200 ")
            length = int(answer.partition(b"content-length: ")[2].split(b"\r")[0])
            assert json.loads(await reader.readexactly(length))["choices"][0]["message"]["content"] == "y" * 40_000
        writer.close()
    assert (await house.settled(ann, count)).why == "done"
