"""The short way of a stream's chunks: with it everything is as without it, and most of a stream takes it."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avow.gateway import reading, sse, straight
from avow.gateway.assembly import Assembly
from avow.gateway.connection import Timeouts
from avow.gateway.repeats import repeat_of
from avow.gateway.scripted import Script

from .house import HELLO, MODEL, chunks_of
from .streamed import HEAD, Client, Home, Stream, chunk, compared
from .test_direct import ways
from .test_traces import opened

FRAME = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "m"}
FIRST = {**FRAME, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}
LAST = {**FRAME, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
USAGE = {"prompt_tokens": 7, "completion_tokens": 9}
END = b"0\r\n\r\n"


def told(chunk: dict[str, Any], **style: Any) -> bytes:
    return b"data: " + json.dumps(chunk, **style).encode() + b"\n\n"


def says(text: Any, name: str = "content", index: int = 0, **more: Any) -> dict[str, Any]:
    return {**FRAME, "choices": [{"index": index, "delta": {name: text}, "finish_reason": None, **more}]}


def said(*texts: str, **style: Any) -> list[bytes]:
    """The reads of a whole answer, an event each."""
    events = [FIRST, *map(says, texts), LAST, {**FRAME, "choices": [], "usage": USAGE}]
    return [*(chunk(told(each, **style)) for each in events), chunk(sse.DONE) + END]


WORDS = [f" word{number}" for number in range(40)]


async def test_nearly_all_of_a_stream_takes_it_and_the_client_gets_the_very_bytes():
    assert await compared(said(*WORDS)) == len(WORDS) - 1
    stream = Stream(Client(True))
    await stream.feed([HEAD, *said(*WORDS)])
    ended, got, kept, *_ = await stream.end()
    assert ended == "whole" and got == b"".join(map(told, (FIRST, *map(says, WORDS), LAST)))
    assert json.loads(kept)["choices"][0]["message"]["content"] == "".join(WORDS)


ODD = [
    "",
    "é",
    "\n",
    '"',
    "\\",
    "\u2028",
    "\x7f",
    "中文" * 40,
    "😀",
    " avow-cost ",
    "x" * 900,
    "data: [DONE]\n\n",
    "a\r\n",
]


@pytest.mark.parametrize("style", [{}, {"ensure_ascii": False}, {"separators": (",", ":")}, {"sort_keys": True}])
async def test_every_text_passes_and_counts_as_it_would(style):
    assert await compared(said(*WORDS, *ODD, *WORDS, **style)) > len(WORDS)
    assert await compared(said(*WORDS, *ODD, **style), engine=True) > len(WORDS)
    assert await compared(said(*WORDS, *ODD, **style), keeps=False) > len(WORDS)


def reads_cut(reads: list[bytes], places: list[int]) -> list[bytes]:
    whole = b"".join(reads)
    edges = [0, *sorted(places), len(whole)]
    return [whole[a:b] for a, b in pairwise(edges) if a < b]


async def test_a_stream_cut_at_any_byte_is_read_as_it_was_and_takes_the_short_way_again():
    reads = said(*WORDS[:12])
    edges = [sum(map(len, reads[:number])) for number in range(1, len(reads))]
    for place in range(len(b"".join(reads))):
        took = await compared(reads_cut(reads, [*edges, place]))
        assert took >= (11 if place in edges else 7), place


async def test_reads_of_several_chunks_and_parts_of_them():
    reads = said(*WORDS, *ODD)
    for size in (1, 7, 100, 300, 1000):
        whole = b"".join(reads)
        await compared([whole[at : at + size] for at in range(0, len(whole), size)])
    for count in range(2, 9):
        together = [b"".join(reads[at : at + count]) for at in range(0, len(reads), count)]
        assert await compared(together) > len(WORDS + ODD) - 2 * count
        halves = [(here[: len(here) // 2], here[len(here) // 2 :]) for here in together]
        assert await compared([half for both in halves for half in both]) > 10


HTTP = [
    chunk(told(says("good"))),
    chunk(told(says("capital" * 9)), b"%X"),
    chunk(told(says("zero")), b"00%x"),
    chunk(told(says("more")), b"%x;name=value"),
    chunk(told(says("more")), b"%x "),
    chunk(told(says("more")), b"+%x"),
    chunk(told(says("more")), b"0x%x"),
    chunk(told(says("more")), b"\r\n%x"),
    b"1" + chunk(told(says("longer than it says"))),
    chunk(told(says("shorter"))[:-1]) + b"\n",
    chunk(told(says("no end")))[:-2],
    chunk(told(says("one"))) + b"\r\n",
    chunk(told(says("half"))[:20]) + chunk(told(says("half"))[20:]),
    chunk(told(says("two")) + told(says("at once"))),
    chunk(told(says("one")) + told(says("and a part"))[:20]),
    chunk(told(says("a")))[:-1] + b"x",
    b"-2\r\n",
    b"0\r\nx-trailer: 1\r\n\r\n",
    END,
    b"\r\n",
    b"",
    b"\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
]
EVENTS = [
    says("other", index=1),
    says("thought", "reasoning_content"),
    says("thought", "reasoning"),
    says(None),
    says(5),
    says("x", finish_reason="stop"),
    says("x", logprobs={"content": [{"token": "x"}]}),
    {**says("x"), "usage": USAGE},
    {**says("x"), "error": {"code": 400}},
    {**says("x"), "prompt_progress": {"total": 5}},
    {**says("x"), "id": "another"},
    {**says("x"), "system_fingerprint": "f"},
    {"choices": []},
    {},
]
RAW = [
    b'data: {"choices":[{"index":0,"delta":{"content":"a"b"}}]}\n\n',
    told(says("TEXT")).replace(b"TEXT", b"\xff"),
    told(says("TEXT")).replace(b"TEXT", b"\\ud800"),
    told(says("TEXT")).replace(b"TEXT", b"a\nb"),
    told(says("TEXT")).replace(b"TEXT", b'a", "content": "b'),
    told(says("TEXT")).replace(b"TEXT", b'"}}]}\n\ndata: {"choices":[{"delta":{"content":"'),
    told(says("crlf")).replace(b"\n", b"\r\n"),
    b": keep-alive\n\n",
    b": avow-cost 1\n\n",
    b"event: x\n" + told(says("named")),
    sse.DONE,
]
EVERY = st.one_of(
    st.sampled_from(WORDS + ODD).map(lambda text: chunk(told(says(text)))),
    st.sampled_from(WORDS).map(lambda text: chunk(told(says(text, "reasoning_content")))),
    st.sampled_from([chunk(told(each)) for each in EVENTS]),
    st.sampled_from([chunk(each) for each in RAW]),
    st.sampled_from(HTTP),
    st.binary(max_size=20),
)


@settings(max_examples=400, deadline=None)
@given(
    reads=st.lists(st.one_of(st.sampled_from(said(*WORDS)), EVERY), max_size=25),
    cuts=st.lists(st.integers(0, 6000), max_size=3),
    together=st.booleans(),
    patience=st.sampled_from([1, 2, 5, 1000]),
    keeps=st.booleans(),
)
def test_whatever_comes_is_answered_kept_and_counted_as_without_it(reads, cuts, together, patience, keeps):
    if together:
        reads = reads_cut(reads, [place % (len(b"".join(reads)) + 1) for place in cuts])
    asyncio.run(compared(reads, patience, keeps=keeps))


@pytest.mark.parametrize("bad", [*HTTP, *(chunk(each) for each in RAW), *(chunk(told(each)) for each in EVENTS)])
async def test_what_is_odd_within_a_stream_is_judged_the_ordinary_way(bad):
    good = said(*WORDS)
    assert await compared([*good[:20], bad, *good[20:]]) >= 18


@pytest.mark.parametrize("begun", [b"1", b"0", b"1\r", b"1\r\n"])
@pytest.mark.parametrize("paused", [False, True])
async def test_a_read_that_ends_within_a_chunk_keeps_the_next_from_the_short_way(begun, paused):
    good, ends = said(*WORDS), []
    for straightens in (True, False):
        stream = Stream(Client(straightens))
        await stream.feed([HEAD, *good[:10]])
        if paused:
            stream.client.write_paused, stream.client.patience = True, 1
            stream.connection.data_received(good[10])
            stream.connection.data_received(good[11] + begun)  # before anybody has heard that the client is behind
            stream.client.patience = 1000
            for _ in range(5):
                await asyncio.sleep(0)
        else:
            await stream.feed([good[10], good[11] + begun])
        await stream.feed(good[12:])
        ends.append(await stream.end())
    assert ends[0] == ends[1]


async def test_checkpoints_come_at_the_very_token_and_whoever_looks_sees_what_was_delivered():
    reads = [*said(*WORDS * 20)[:-3], *[chunk(told(says("x" * 1500))) for _ in range(4)]]
    assert await compared(reads, tokens_max=10_000) > 700
    assert await compared(reads, tokens_max=300) > 700
    due = []
    for straightens in (True, False):
        stream = Stream(Client(straightens), tokens_max=10_000)
        await stream.feed([HEAD, *reads])
        await stream.end()
        due.append(stream.ledger.due)
    assert due[0] == due[1] and len(due[0]) > 5
    stream = Stream(Client(True), tokens_max=10_000)
    await stream.feed([HEAD, *said(*WORDS)[:31]])
    assert stream.client.straight == 29 and stream.ledger.due == [(0, 0, 2)]
    assert stream.ledger.seen is not None and stream.ledger.seen() == (0, 0, -(-len("".join(WORDS[:30])) // 4))
    await stream.end()


async def test_a_body_longer_than_the_limit_ends_where_it_did():
    reads = said(*WORDS)
    size = sum(len(read) for read in reads) // 2
    for limit in range(size, size + 300, 7):
        assert await compared(reads, body_bytes=limit) > 10


async def test_nothing_goes_past_a_client_that_left_or_reads_no_more():
    stream = Stream(Client(True))
    reads = said(*WORDS)
    await stream.feed([HEAD, *reads[:10]])
    assert stream.client.straight == 8
    stream.client.write_paused, stream.client.patience = True, 1
    await stream.feed(reads[10:11])
    assert stream.client.straight == 8 and stream.connection.straight is None
    stream.client.patience = 100
    await stream.feed(reads[11:20])
    assert stream.client.straight > 12
    before, got = stream.client.straight, stream.client.got
    assert stream.call.drain()
    await stream.feed(reads[20:])
    assert (stream.client.straight, stream.client.got) == (before, got)
    await stream.end()
    assert stream.call.outcome.tokens == -(-len("".join(WORDS)) // 4)


async def test_a_connection_that_takes_no_more_ends_the_stream_as_it_would():
    ends = []
    for straightens in (True, False):
        client = Client(straightens)
        stream = Stream(client)
        reads = said(*WORDS)
        await stream.feed([HEAD, *reads[:10]])
        client.fails = True
        await stream.feed(reads[10:12])
        with pytest.raises(RuntimeError):
            await stream.task
        ends.append((client.got, stream.call.outcome.tokens, stream.assembly.body(None)))
    assert ends[0] == ends[1] and ends[0][1] == -(-len("".join(WORDS[:9])) // 4)


class Clock:
    """The loop's time and timers, as far as a connection needs them."""

    def __init__(self) -> None:
        self.now_s, self.due = 100.0, list[tuple[float, Any]]()

    def time(self) -> float:
        return self.now_s

    def call_at(self, at: float, what: Any) -> asyncio.TimerHandle:
        self.due.append((at, what))
        return asyncio.get_running_loop().call_later(3600, lambda: None)

    def pass_to(self, at: float) -> None:
        while due := sorted((each for each in self.due if each[0] <= at), key=lambda each: each[0]):
            self.due.remove(due[0])
            self.now_s = max(self.now_s, due[0][0])
            due[0][1]()
        self.now_s = at


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(Home, "timeouts", Timeouts(first_byte_s=10, between_bytes_s=10, total_s=100))
    return Clock()


def on_clock(clock: Clock) -> Stream:
    stream = Stream(Client(True))
    connection = stream.connection
    assert connection._timer is not None
    connection._timer.cancel()
    connection._loop, connection._time, connection._timer = clock, clock.time, None  # type: ignore[assignment]
    connection.start(stream.exchange, b"")
    return stream


async def test_a_stream_may_be_silent_as_long_as_ever_and_last_as_long_as_ever(clock):
    stream = on_clock(clock)
    reads = said(*WORDS)
    await stream.feed([HEAD, *reads[:3]])
    for read in reads[3:8]:
        clock.pass_to(clock.now_s + 9)
        await stream.feed([read])
    assert stream.client.straight == 6 and not stream.task.done()
    clock.pass_to(clock.now_s + 9.5)
    await asyncio.sleep(0)
    assert not stream.task.done()
    clock.pass_to(clock.now_s + 0.5)
    assert (await stream.end())[0] == "upstream_timeout"
    stream = on_clock(clock)
    await stream.feed([HEAD, *reads[:3]])
    began_s = clock.now_s
    for read in reads[3:]:
        clock.pass_to(clock.now_s + 9)
        await stream.feed([read])
        if stream.task.done():
            break
    assert (await stream.end())[0] == "upstream_timeout" and clock.now_s - began_s == 108


LONE = [
    says("text"),
    says("content"),
    says(": "),
    says(", "),
    says("m"),
    says("0", index=0),
    says("a", role="assistant"),
    says("thought", "reasoning_content"),
    {**says("x"), "usage": None, "error": None},
    {"choices": [{"delta": {"content": None, "reasoning_content": "x", "tool_calls": []}}]},
    {"content": "x", "choices": [{"content": "y", "delta": {"reasoning": "", "content": "x"}}]},
]
SAME = [
    b'{"choices":[{"delta":{"content":"a","content":"a"}}]}',
    b'{"choices":[{"delta":{"content":"b","content":"b"}}]}',
    b'{"choices":[{"delta":{"content":"x"},"delta":{"content":"x"}}]}',
    b'{"choices":[],"choices":[{"delta":{"content":"x"}}]}',
    b'{"choices":[{"delta":{"content":"x"}}],"choices":[{"delta":{"content":"x"}}]}',
    b'{"x":{"choices":[{"delta":{"content":"x"}}]},"choices":[{"delta":{"content":"x"}}]}',
    b'{"x":"\\"content\\":\\"x\\"","choices":[{"delta":{"content":"x"}}]}',
    b'{"choices":[{"index":true,"delta":{"content" : "x"}}]}',
]


@given(
    line=st.sampled_from([json.dumps(each).encode() for each in LONE] + SAME),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    ascii_only=st.booleans(),
)
def test_a_text_between_what_repeats_is_all_that_a_chunk_says(line, text, ascii_only):
    found = repeat_of(line)
    assert found is not None and found.fits(line)
    other = found.before + json.dumps(text, ensure_ascii=ascii_only).encode()[1:-1] + found.after
    reader, assembly = sse.ChatStream(wants_usage=False), Assembly()
    _, data = reader.feed(b"data: " + line + b"\n\n" + b"data: " + other + b"\n\n")
    reading.join(assembly, data)
    short, joined = sse.ChatStream(wants_usage=False), Assembly()
    _, data = short.feed(b"data: " + line + b"\n\n")
    reading.join(joined, data)
    short.count([text])
    joined.extend(found.choice, found.name, [text])
    assert (reader.tokens, reader.usage, reader.finish, reader.fault) == (short.tokens, None, None, "")
    assert assembly.body(None) == joined.body(None)


@pytest.mark.parametrize(
    "chunk",
    [
        says(""),
        says("x", finish_reason="stop"),
        says("x", logprobs={"content": []}),
        says("x", "reasoning"),
        says("x", "refusal"),
        {"choices": [{"delta": {"content": "x", "reasoning_content": "y"}}]},
        {"choices": [{"delta": {"content": "x", "tool_calls": [{}]}}]},
        {"choices": [{"delta": {"content": "x", "function_call": {"name": "f"}}}]},
        {"choices": [{"delta": {"content": "x"}}, {"delta": {"content": "x"}}]},
        {**says("x"), "usage": {}},
        {**says("x"), "error": "no"},
        {**says("x"), "prompt_progress": {}},
        {**says("x"), "more": "x" * 20_000},
        {"choices": []},
    ],
)
def test_a_chunk_that_does_more_than_to_say_a_text_repeats_nothing(chunk):
    assert repeat_of(json.dumps(chunk).encode()) is None


async def test_what_never_repeats_is_not_searched_for_ever(monkeypatch):
    searched = []
    monkeypatch.setattr(straight, "repeat_of", lambda line: searched.append(line) or repeat_of(line))
    reads = [chunk(told({**says("x"), "obfuscation": "x" * number})) for number in range(1, 100)]
    assert await compared(reads) == 0
    assert len(searched) == 2 * (straight.TRIES + 1)  # in a task and without one


class Apart(asyncio.Event):
    """Lets everybody else read what was sent, before more is."""

    async def wait(self):
        for _ in range(10):
            await asyncio.sleep(0)
        return True


async def test_over_real_sockets_a_stream_is_answered_counted_and_kept_alike(house, monkeypatch):
    taken = []
    take = straight.Straight.take

    def count(self, data):
        left = take(self, data)
        taken.append(len(data) - len(left))
        return left

    monkeypatch.setattr(straight.Straight, "take", count)
    ann = await house.customer(tenant_keep_h=24)
    house.upstream.script = Script(tokens=tuple(WORDS), usage=False, gate=Apart())
    short, long = await ways(house, ann, {"model": MODEL, "messages": HELLO, "stream": True})
    assert sum(taken) > len(short.text) // 2
    assert short.text == long.text and short.text.count("data: ") == len(WORDS) + 2
    assert "".join(each["choices"][0]["delta"].get("content") or "" for each in chunks_of(short)) == "".join(WORDS)
    rows = await house.usages(ann)
    assert rows[0].output_tokens == rows[1].output_tokens == -(-len("".join(WORDS)) // 4) and rows[0].amount
    kept = [await opened(house, ann, row) for row in await house.traces()]
    assert kept[0]["response"] == kept[1]["response"]
