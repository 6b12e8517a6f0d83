"""Streams under the rules: they say what the whole answer would, and end before what is blocked."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avow.gateway import filters, guard
from avow.gateway.filters import ContentBlocked, Passage, Search
from avow.gateway.guard import Guard
from avow.gateway.scripted import Script
from tests import LIMIT_S

from .filtering import ASK, FOUND, RULES, decisions, policy_of, rule, searching
from .house import CLAUDE, HELLO, MODEL, until


@pytest.fixture
def house_policy():
    return policy_of(RULES)


@pytest.mark.parametrize(
    ("path", "model", "body"),
    [
        ("/v1/chat/completions", MODEL, {"messages": HELLO}),
        ("/v1/chat/completions", CLAUDE, {"messages": HELLO}),
        ("/v1/completions", MODEL, {"prompt": "x"}),
        ("/v1/responses", MODEL, {"input": "x"}),
        ("/v1/messages", CLAUDE, {"messages": HELLO, "max_tokens": 900}),
        ("/v1/messages", MODEL, {"messages": HELLO, "max_tokens": 900}),
    ],
)
async def test_a_stream_ends_before_what_is_blocked_and_is_charged_for_what_came_before(house, path, model, body):
    ann = await house.customer(tenant_keep_h=48)
    harmless = tuple("word " for _ in range(4 * guard.WINDOW_CHARS // 5))
    gate, text = asyncio.Event(), ""
    words = (*harmless, "zeb", "ra", " cross", "ing", " and more")
    house.upstream.then(Script(tokens=words, gate=gate, gate_after=len(harmless)))
    headers = {"authorization": f"Bearer {ann.secret}"}
    async with (
        httpx.AsyncClient(base_url=house.url, headers=headers, timeout=LIMIT_S) as http,
        http.stream("POST", path, json={"model": model, "stream": True, **body}) as answer,
    ):
        assert answer.status_code == 200
        async for piece in answer.aiter_text():
            text += piece
            gate.set()
    assert text.count("word ") > 50 and "zeb" not in text and "content_blocked" in text
    row = await house.settled(ann)
    assert (row.why, row.status) == ("refused", 200) and 0 < row.amount <= row.held
    came = text.count("word ")
    assert came - 1 <= row.output_tokens <= came * len("word ") // 4 + 2 < len(harmless)
    assert await house.traces() == []
    assert [(each.filter, each.stage) for each in await decisions(house)] == [("house", "output")]


async def test_who_leaves_before_anything_came_pays_for_no_answer(house):
    ann = await house.customer()
    gate = asyncio.Event()
    house.upstream.then(Script(tokens=("word ",) * 90, gate=gate, gate_after=80))
    asked = asyncio.create_task(house.post(ann, {**ASK, "stream": True}))
    await until(lambda: any(each._searching and each._searching._guard for each in house.gateway._running))
    (running,) = house.gateway._running
    await until(lambda: running._searching._guard._chars >= 75 * len("word "))
    asked.cancel()
    row = await house.settled(ann)
    assert (row.why, row.output_tokens) == ("client_left", 0)


async def test_who_leaves_a_searched_stream_is_settled(house):
    ann = await house.customer()
    gate = asyncio.Event()
    house.upstream.then(Script(tokens=tuple("word " for _ in range(300)), gate=gate, gate_after=280))
    stream = await house.client(ann).chat.completions.create(**ASK, stream=True)
    async for _ in stream:
        break
    await stream.close()
    row = await house.settled(ann)
    assert (row.why, row.status) == ("client_left", 499) and row.amount <= row.held


WORDS = st.lists(
    st.sampled_from(
        ["word", "a", "ann@example.org", "<EMAIL_1>", "<EMAIL_2>", "x" * 300, "grumble", ", ", "\n", "é中"]
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(WORDS, st.lists(st.integers(1, 60), min_size=1, max_size=30), st.sampled_from([1, 2]))
def test_a_stream_says_what_the_whole_answer_would_however_it_is_cut(words, sizes, choices):
    text = " ".join(words)
    search = Search(FOUND)
    search.prompt({"messages": "to bob@example.org"}, ["messages"])
    watch = Guard(search, "chat")
    out, at, number = b"", 0, 0
    while at < len(text):
        piece = text[at : at + sizes[number % len(sizes)]]
        at += len(piece)
        number += 1
        for index in range(choices):
            data = {"choices": [{"index": index, "delta": {"content": piece}}]}
            out += watch.feed(b"data: " + json.dumps(data).encode() + b"\n\n")
    out += watch.close()
    counts = {hit.filter: hit.score for hit in search.hits.values() if hit.stage == "output"}
    whole = {rule.name: choices * len(rule.check(text)) for rule in FOUND.at["output"]}
    assert counts == {name: count for name, count in whole.items() if count}
    events = [json.loads(line[6:]) for line in out.decode().split("\n\n") if line]
    assert len(events) == number * choices
    for index in range(choices):
        told = "".join(c["delta"]["content"] for e in events for c in e["choices"] if c["index"] == index)
        assert told == filters.changed(text, search.told(Passage(text), Counter()))
        assert "ann@example.org" not in told and "<EMAIL_1>" not in told


def chunk(**delta):
    return b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"


PLANTED = "bob.smith@example.org"
PIECE_CHARS_MAX = 400
PIECES = st.lists(st.tuples(st.integers(0, 3), st.integers(1, PIECE_CHARS_MAX)), max_size=80)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.text("xyz ", max_size=900), st.text("xyz ", max_size=900)), min_size=2, max_size=4), PIECES
)
def test_however_unevenly_texts_grow_side_by_side_nothing_slips_through(around, pieces):
    """Each choice holds an address, at any place; they come cut anywhere and in any order."""
    said = {index: f"{before} {PLANTED} {after}" for index, (before, after) in enumerate(around)}
    left, search = dict(said), Search(FOUND)
    watch, out, held = Guard(search, "chat"), b"", 0
    held_max = guard.WINDOW_CHARS * (3 + len(said)) + PIECE_CHARS_MAX + len(said) * len(PLANTED)
    rest = [(index, 50) for index in said for _ in range(len(said[index]) // 50 + 1)]
    for index, size in [*((index % len(said), size) for index, size in pieces), *rest]:
        piece, left[index] = left[index][:size], left[index][size:]
        event = {"choices": [{"index": index, "delta": {"content": piece}}]}
        gone = watch.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
        out += gone
        held += len(piece) - sum(map(len, told(gone, said).values()))
        assert held <= held_max, "what is held back is bounded"
    got = told(out + watch.close(), said)
    for index, text in said.items():
        before, _, after = text.partition(PLANTED)
        assert PLANTED not in got[index]
        assert got[index].startswith(before) and got[index].endswith(f"[email]{after}")
    assert search.hits["told", "output"].score == len(said)


def told(out, said):
    """What a client has of each choice."""
    events = [json.loads(line[6:]) for line in out.decode().split("\n\n") if line]
    return {
        index: "".join(c["delta"]["content"] for e in events for c in e["choices"] if c["index"] == index)
        for index in said
    }


def test_a_text_that_stops_within_what_is_blocked_and_goes_on_later_is_stopped_there():
    watch = Guard(Search(FOUND), "chat")
    out = watch.feed(chunk(content="Cross at the zebra "))
    other = {"choices": [{"index": 1, "delta": {"content": "and so on, "}}]}
    for _ in range(400):
        out += watch.feed(b"data: " + json.dumps(other).encode() + b"\n\n")
    assert b"zebra" in out, "the control: others that go on do not wait for ever"
    with pytest.raises(ContentBlocked):
        watch.feed(chunk(content="crossing."))
        watch.close()


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x", "function_call": {"name": "n", "arguments": "zebra crossing"}},
        {"content": "x", "reasoning_details": [{"type": "reasoning.text", "text": "zebra crossing"}]},
        {"content": "x", "annotations": [{"url_citation": {"title": "zebra crossing"}}]},
        {"content": "x", "tool_calls": [{"index": 0, "type": "custom", "custom": {"input": "zebra crossing"}}]},
        {"content": "x", "tool_calls": [{"index": 0, "function": {"arguments": r'{"a":"\\nzebra\\u0020crossing"}'}}]},
    ],
)
def test_nothing_of_an_event_goes_unsearched(delta):
    watch = Guard(Search(FOUND), "chat")
    with pytest.raises(ContentBlocked):
        watch.feed(chunk(**delta))
        watch.close()


def test_an_event_is_changed_in_all_its_fields():
    watch = Guard(Search(FOUND), "chat")
    note = {"title": "ann@example.org"}
    out = (
        watch.feed(chunk(content="Ask bob@exam", annotations=[note]))
        + watch.feed(chunk(content="ple.org."))
        + watch.close()
    )
    first, second = (json.loads(each[6:])["choices"][0]["delta"] for each in out.decode().split("\n\n") if each)
    assert first == {"content": "Ask [email]", "annotations": [{"title": "[email]"}]} and second == {"content": "."}


WORDS_RULE = rule("words", "house", "output", "block", words=["ass"], patterns=["^is .* green"])


def test_a_word_begins_where_it_begins_in_the_whole_answer():
    watch = Guard(Search(searching(WORDS_RULE)), "chat")
    pieces = [piece for n in range(200) for piece in ("gr", "ass ", "is " + n % 7 * "x", " green ")]
    out = b"".join(watch.feed(chunk(content=piece)) for piece in pieces) + watch.close()
    assert out.count(b"data: ") == len(pieces)
    with pytest.raises(ContentBlocked):
        for piece in ("gr", "ass ", "and ", "ass", ".") * 200:
            watch.feed(chunk(content=piece))


def test_events_without_a_finding_pass_byte_for_byte():
    watch = Guard(Search(FOUND), "chat")
    made = [
        b": a comment\n\n",
        b'event: x\r\ndata:  {"choices" : [{"index":0, "delta":{"content":"h\\u00e9"}}], "n": 1.0}\r\n\r\n',
        b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
        b"data: not JSON\n\n",
    ]
    assert b"".join([*(watch.feed(each) for each in made), watch.close()]) == b"".join(made)
