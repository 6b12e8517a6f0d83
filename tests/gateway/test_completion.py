"""Completions from end to end: the official client, a real server, the real ledger and vault, a scripted upstream."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from avow.gateway import meter
from avow.gateway.scripted import Script

from .house import COSTLY, CREDENTIAL, DOLLAR, HELLO, MODEL, chained, chunks_of, until

STREAM = {"model": MODEL, "messages": HELLO, "stream": True}


@pytest.fixture(params=[False, True], ids=["cold", "warm"])
def is_warm(request):
    return request.param


async def test_a_json_answer_is_delivered_and_paid_for(house):
    ann = await house.customer()
    raw = await house.client(ann).chat.completions.with_raw_response.create(model=MODEL, messages=HELLO)
    answer = raw.parse()
    assert answer.choices[0].message.content == "Hello there."
    row = await house.settled(ann)
    # 11 input tokens at 1 000 and 3 output tokens at 3 000 nano-dollars
    assert row.amount == 11 * 1000 + 3 * 3000
    assert (row.input_tokens, row.output_tokens, row.status, row.why) == (11, 3, 200, "done")
    assert raw.headers["avow-cost"] == "0.000020000"
    assert raw.headers["avow-request-id"] == str(row.id)
    assert raw.headers["avow-stored"] == "none" and "avow-expires-at" not in raw.headers
    assert raw.headers["avow-policy"] == house.vault.policy.hash
    assert await house.wallet(ann) == (DOLLAR - row.amount, 0)
    assert await house.traces() == []


async def test_a_stream_is_passed_on_event_by_event_with_its_cost_before_the_end(house):
    ann = await house.customer()
    said = ""
    async for chunk in await house.client(ann).chat.completions.create(**STREAM):
        assert chunk.usage is None
        said += chunk.choices[0].delta.content or ""
    assert said == "Hello there."
    assert (await house.settled(ann)).amount == 20_000
    raw = await house.post(ann, STREAM)
    assert raw.headers["content-type"].startswith("text/event-stream")
    assert raw.headers["avow-stored"] == "none" and raw.headers["avow-request-id"]
    assert raw.text.split("\n\n")[-3:] == [": avow-cost 0.000020000", "data: [DONE]", ""]
    assert all(chunk["choices"] for chunk in chunks_of(raw))


async def test_the_usage_chunk_passes_when_the_client_asked_for_it(house):
    ann = await house.customer()
    raw = await house.post(ann, {**STREAM, "stream_options": {"include_usage": True}})
    last = chunks_of(raw)[-1]
    assert last["choices"] == [] and last["usage"]["completion_tokens"] == 3


async def test_what_is_sent_on_is_encoded_anew_without_names_of_people(house):
    ann = await house.customer()
    asked = {**STREAM, "user": "anna@example.com", "metadata": {"a": "b"}, "safety_identifier": "x", "store": False}
    await house.post(ann, {**asked, "temperature": 0.5, "made_up": {"a": 1}, "stream_options": {"x": 1}})
    (sent,) = house.upstream.requests
    assert sent == {
        "model": "their-plain",
        "messages": HELLO,
        "stream": True,
        "stream_options": {"x": 1, "include_usage": True},
        "store": False,
        "temperature": 0.5,
        "made_up": {"a": 1},
        "max_tokens": 1000,
    }
    assert house.upstream.heads[0]["authorization"] == f"Bearer {CREDENTIAL}"
    assert ann.secret not in json.dumps(house.upstream.heads)
    await house.post(ann, {"model": MODEL, "messages": HELLO, "max_completion_tokens": 2})
    assert house.upstream.requests[1]["max_completion_tokens"] == 2
    assert "max_tokens" not in house.upstream.requests[1] and "stream_options" not in house.upstream.requests[1]


async def test_cached_tokens_have_their_own_price(house):
    ann = await house.customer()
    house.upstream.then(Script(cached_tokens=10))
    await house.post(ann, {"model": MODEL, "messages": HELLO})
    row = await house.settled(ann)
    assert (row.cached_tokens, row.amount) == (10, 1 * 1000 + 10 * 500 + 3 * 3000)


async def test_a_charge_is_never_more_than_its_hold(house):
    ann = await house.customer()
    house.upstream.then(Script(prompt_tokens=100_000))
    raw = await house.post(ann, {"model": MODEL, "messages": HELLO, "max_tokens": 5})
    row = await house.settled(ann)
    assert row.amount == row.held < 100_000 * 1000
    assert raw.headers["avow-cost"] == f"0.{row.amount:09d}"


# money


async def test_an_empty_wallet_is_402_and_nothing_is_called(house):
    ann = await house.customer(balance=10)
    with pytest.raises(Exception) as caught:
        await house.client(ann).chat.completions.create(model=MODEL, messages=HELLO, max_tokens=1000)
    assert caught.value.status_code == 402 and caught.value.code == "insufficient_quota"
    assert (await house.post(ann, STREAM)).status_code == 402
    assert house.upstream.requests == [] and await house.wallet(ann) == (10, 0)


async def test_a_length_left_to_us_is_what_the_balance_affords(house):
    ann = await house.customer(balance=800_000)
    assert (await house.post(ann, {"model": MODEL, "messages": HELLO})).status_code == 200
    (sent,) = house.upstream.requests
    assert 1 <= sent["max_tokens"] < 1000
    row = await house.settled(ann)
    assert row.held <= 800_000
    assert (await house.post(ann, {"model": MODEL, "messages": HELLO, "max_tokens": 1000})).status_code == 402


async def test_many_at_once_never_overdraw(house):
    ann = await house.customer(balance=1_000_000)
    body = {"model": MODEL, "messages": HELLO, "max_tokens": 50}
    answers = await asyncio.gather(*(house.post(ann, body) for _ in range(40)))
    counts = {status: sum(a.status_code == status for a in answers) for status in (200, 402)}
    assert sum(counts.values()) == 40 and counts[200] and counts[402]
    assert await house.wallet(ann) == (1_000_000 - counts[200] * 20_000, 0)


async def test_a_revoked_key_pays_for_nothing_more_although_it_is_remembered(house):
    ann = await house.customer()
    assert (await house.post(ann, STREAM)).status_code == 200
    await house.revoke(ann)
    answer = await house.post(ann, STREAM)
    assert answer.status_code == 401 and answer.json()["error"]["code"] == "invalid_api_key"
    assert len(house.upstream.requests) == 1


async def test_too_many_calls_of_one_key_at_once_are_429(house_of_one):
    house = house_of_one
    ann, bob = await house.customer(), await house.customer()
    house.upstream.script = Script(gate=asyncio.Event())
    first = asyncio.create_task(house.post(ann, STREAM))
    await house.upstream.arrived.wait()
    answer = await house.post(ann, STREAM)
    assert answer.status_code == 429 and answer.headers["retry-after"]
    house.upstream.script.gate.set()
    assert (await house.post(bob, STREAM)).status_code == 200
    assert (await first).status_code == 200
    assert (await house.post(ann, STREAM)).status_code == 200


# rules that change


async def test_new_rules_hold_from_the_next_request_on_and_the_stale_hold_is_given_back(house):
    ann = await house.customer()
    await house.post(ann, STREAM)
    await house.raise_price(MODEL, factor=2)
    await house.bump_epoch()
    assert (await house.post(ann, STREAM)).text.split("\n\n")[-3] == ": avow-cost 0.000040000"
    rows = await house.usages(ann)
    assert [(row.why, row.amount) for row in rows] == [("done", 20_000), ("void", 0), ("done", 40_000)]
    assert await house.wallet(ann) == (DOLLAR - 60_000, 0)


# an upstream that fails


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (Script(status=500), 502, "upstream_error"),
        (Script(status=401), 502, "upstream_error"),
        (Script(status=404), 502, "upstream_error"),
        (Script(status=302), 502, "upstream_error"),
        (Script(status=400), 400, "upstream_rejected"),
        (Script(status=429, retry_after_s=7), 503, "upstream_busy"),
        (Script(status=503), 503, "upstream_busy"),
        (Script(status=504), 504, "upstream_timeout"),
        (Script(die_after=0), 502, "upstream_lost"),
        (Script(garbage_after=0), 502, "upstream_garbage"),
        (Script(raw=b"SSH-2.0-OpenSSH_9.2\r\n"), 502, "upstream_garbage"),
        (Script(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull"), 502, None),
        (Script(silent=True), 504, "upstream_timeout"),
    ],
)
async def test_a_failure_before_the_first_token_costs_nothing_and_tells_nothing(
    hasty_house, script, status, code, stream
):
    house = hasty_house
    ann = await house.customer()
    house.upstream.then(script, script)
    answer = await house.post(ann, {**STREAM, "stream": stream})
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["code"] == (code or error["code"])
    assert script.error_text not in answer.text and CREDENTIAL not in answer.text
    if status == 503:
        assert answer.headers["retry-after"] == str(script.retry_after_s or 2)
    row = await house.settled(ann)
    assert (row.amount, row.why, row.status) == (0, "refused" if status == 400 else "upstream_failed", status)
    assert await house.wallet(ann) == (DOLLAR, 0)


async def test_an_upstream_that_is_down_is_502(house):
    ann = await house.customer()
    await house.upstream.__aexit__()
    for pool in house.gateway.client._pools.values():
        pool.close_idle()
    assert (await house.post(ann, STREAM)).json()["error"]["code"] == "upstream_refused"
    assert (await house.settled(ann)).amount == 0


@pytest.mark.parametrize(
    "script",
    [Script(die_after=2), Script(garbage_after=2), Script(error_after=2), Script(tokens=("a", "b"), done=False)],
)
async def test_a_stream_that_breaks_ends_with_an_error_and_costs_what_was_delivered(house, script):
    ann = await house.customer()
    house.upstream.then(script)
    raw = await house.post(ann, STREAM)
    assert raw.status_code == 200
    chunks = chunks_of(raw)
    row = await house.settled(ann)
    if not script.done:  # it said that it was finished, only `[DONE]` is missing
        assert raw.text.endswith("data: [DONE]\n\n") and row.why == "done"
        return
    assert [c["choices"][0]["delta"]["content"] for c in chunks[:-1]] == ["Hello", " there"]
    assert set(chunks[-1]) == {"error"} and script.error_text not in raw.text
    assert raw.text.endswith(f": avow-cost 0.{row.amount:09d}\n\n")
    # "Say hello." is 10 bytes and a role of 4: four tokens by our guess, and three by the bytes that arrived
    assert (row.why, row.input_tokens, row.output_tokens, row.amount) == ("upstream_failed", 4, 3, 4 * 1000 + 3 * 3000)


async def test_the_official_client_sees_a_broken_stream_as_an_error(house):
    ann = await house.customer()
    house.upstream.then(Script(garbage_after=1))
    with pytest.raises(Exception, match="upstream"):
        async for _ in await house.client(ann).chat.completions.create(**STREAM):
            pass


async def test_an_answer_without_usage_is_charged_by_a_low_guess(house):
    ann = await house.customer()
    house.upstream.then(Script(usage=False), Script(usage=False))
    await house.post(ann, {"model": MODEL, "messages": HELLO})
    await house.post(ann, STREAM)
    rows = await house.usages(ann)
    assert [(row.why, row.input_tokens, row.output_tokens) for row in rows] == [("done", 4, 3), ("done", 4, 3)]


# a client that leaves


async def test_a_client_that_leaves_stops_the_upstream_and_pays_for_what_arrived(house):
    ann = await house.customer()
    house.upstream.script = Script(tokens=("a", "b", "c"), gate=asyncio.Event(), gate_after=2)
    stream = await house.client(ann).chat.completions.create(**STREAM)
    said = [(await anext(stream)).choices[0].delta.content for _ in range(2)]
    await stream.close()
    await house.upstream.left.wait()
    row = await house.settled(ann)
    assert said == ["a", "b"]
    assert (row.why, row.status, row.input_tokens, row.output_tokens) == ("client_left", 499, 4, 2)
    assert row.amount == 4 * 1000 + 2 * 3000
    assert await house.wallet(ann) == (DOLLAR - row.amount, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_before_the_first_token_pays_for_the_input(house, stream):
    ann = await house.customer()
    house.upstream.script = Script(gate=asyncio.Event())
    task = asyncio.create_task(house.post(ann, {**STREAM, "stream": stream}))
    await house.upstream.arrived.wait()
    task.cancel()
    await house.upstream.left.wait()
    row = await house.settled(ann)
    assert (row.why, row.input_tokens, row.output_tokens) == ("client_left", 4, 0)
    assert row.amount == 4 * 1000
    assert await house.wallet(ann) == (DOLLAR - row.amount, 0)


async def test_a_client_that_reads_nothing_has_left(impatient_house):
    house = impatient_house
    ann = await house.customer()
    # a token per chunk, and each a megabyte: no socket buffer holds them
    house.upstream.script = Script(tokens=("x" * 500_000,) * 200)
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    body = json.dumps(STREAM).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {ann.secret}\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    await reader.readuntil(b"\r\n\r\n")
    reader._transport.pause_reading()
    row = await house.settled(ann)
    assert row.why == "client_left" and row.output_tokens == 1000 and row.amount <= row.held
    reader._transport.resume_reading()
    assert not (await reader.read()).endswith(b"0\r\n\r\n")
    writer.close()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_waits_too_long_is_let_go(impatient_house, stream):
    house = impatient_house
    ann = await house.customer()
    house.upstream.script = Script(gate=asyncio.Event(), gate_after=1 if stream else 0)
    if stream:
        with pytest.raises(httpx.RemoteProtocolError):
            await house.post(ann, STREAM)
    else:
        answer = await house.post(ann, {**STREAM, "stream": False})
        assert answer.status_code == 504 and answer.json()["error"]["code"] == "upstream_timeout"
    row = await house.settled(ann)
    assert (row.why, bool(row.amount)) == (("client_left", True) if stream else ("upstream_failed", False))


@pytest.mark.parametrize("sent", [0, 2])
async def test_stopping_settles_what_runs_and_tells_the_client(house, sent):
    ann = await house.customer()
    house.upstream.script = Script(gate=asyncio.Event(), gate_after=sent)
    task = asyncio.create_task(house.post(ann, STREAM))
    await house.upstream.arrived.wait()
    await until(lambda: [stream.seen()[2] for stream in house.batcher._streams.values()] == ([3] if sent else []))
    await house.gateway.close(grace_s=0.05)
    answer = await task
    row = await house.settled(ann)
    if sent:
        assert answer.text.endswith(f": avow-cost 0.{row.amount:09d}\n\n") and chunks_of(answer)[-1]["error"]
        assert (row.why, row.output_tokens) == ("upstream_failed", 3)
    else:
        assert answer.status_code == 503 and answer.json()["error"]["code"] == "stopping"
        assert (row.why, row.amount) == ("upstream_failed", 0)


async def test_a_ledger_that_does_not_answer_is_503_and_nothing_is_called(house):
    ann = await house.customer()
    await house.batcher.close()
    answer = await house.post(ann, STREAM)
    assert answer.status_code == 503 and answer.headers["retry-after"]
    assert house.upstream.requests == []


# one platform behind another


@pytest.mark.parametrize("stream", [False, True])
async def test_whatever_breaks_between_hold_and_charge_gives_the_hold_back(house, monkeypatch, stream):
    ann = await house.customer()

    def broken(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr(meter, "measure", broken)
    asked = {"model": MODEL, "messages": HELLO, "stream": stream}
    if stream:
        with pytest.raises(httpx.RemoteProtocolError):  # what has begun cannot be told any more; it is not whole
            await house.post(ann, asked)
    else:
        assert (await house.post(ann, asked)).status_code == 500
    row = await house.settled(ann)
    assert (row.why, row.amount) == ("void", 0)
    assert await house.wallet(ann) == (DOLLAR, 0)


async def test_an_answer_that_cannot_be_kept_is_delivered_and_paid_for(house, monkeypatch):
    ann = await house.customer(tenant_keep_h=24)

    async def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(house.vault, "prepare", full)
    answer = await house.post(ann, {"model": MODEL, "messages": HELLO})
    assert (answer.status_code, answer.headers["avow-stored"]) == (200, "none")
    assert (await house.settled(ann)).amount == 20_000
    assert await house.traces() == []


@pytest.mark.parametrize("stream", [False, True])
async def test_a_second_platform_can_be_the_upstream(house, stream):
    ann, reseller = await house.customer(), await house.customer()
    await chained(house, reseller, "test/chained", MODEL)
    raw = await house.post(ann, {**STREAM, "model": "test/chained", "stream": stream})
    assert raw.status_code == 200
    assert raw.text.count("avow-cost") == (1 if stream else 0)
    assert raw.headers["avow-request-id"] == str((await house.settled(ann)).id)
    # the price of the second model is ten times that of the first
    assert (await house.settled(ann)).amount == 200_000 and (await house.settled(reseller)).amount == 20_000


async def test_the_log_holds_nothing_of_what_was_said(house, capfd):
    marker, ann = "marker-7Qx1", await house.customer()
    asked = {"model": MODEL, "messages": [{"role": "user", "content": marker}], "user": marker}
    house.upstream.then(Script(status=500, error_text=marker), Script(garbage_after=1, tokens=(marker,)))
    for body in (asked, {**asked, "stream": True}, {**asked, "model": marker}, {**asked, "n": marker}, marker.encode()):
        answer = await house.post(ann, body, **{"x-marker": marker, "user-agent": marker})
        assert marker not in answer.text.replace(f'"content": "{marker}"', "")
    await house.settled(ann, 2)
    out, err = capfd.readouterr()
    assert marker not in out + err and CREDENTIAL not in out + err and ann.secret not in out + err


async def test_a_costly_model_needs_its_own_hold(house):
    ann = await house.customer(balance=10_000_000)
    assert (await house.post(ann, {"model": MODEL, "messages": HELLO, "max_tokens": 100})).status_code == 200
    assert (await house.post(ann, {"model": COSTLY, "messages": HELLO, "max_tokens": 100})).status_code == 402
