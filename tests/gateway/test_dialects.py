"""Each dialect's reader and translation: cut at every place, fed nonsense, cut off; never an exception that is not named."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from avow.gateway import dialects, reading, scripted_answers, sse
from avow.gateway.connection import UpstreamGarbage
from avow.gateway.dialects import CHAT, CHAT_AS_MESSAGES, MESSAGES, MESSAGES_AS_CHAT, RESPONSES, TEXT
from avow.gateway.scripted import Script
from avow.gateway.wire import Request

ASKED = {"model": "m", "stream_options": {"include_usage": True}}
REQUEST = Request("m", True, True, 5, 1, {})
STREAMS = {
    "chat": (CHAT, scripted_answers.chat_events),
    "text": (TEXT, scripted_answers.text_events),
    "messages": (MESSAGES, scripted_answers.message_events),
    "responses": (RESPONSES, scripted_answers.response_events),
}
WHOLE = {
    "chat": scripted_answers.chat,
    "text": scripted_answers.text,
    "messages": scripted_answers.message,
    "responses": scripted_answers.response,
}
SCRIPTS = [
    Script(),
    Script(thinking="hm"),
    Script(tool=("f", '{"a":1}')),
    Script(cached_tokens=4, tokens=("é", "\n\n", "🙂")),
]
PLACES = st.lists(st.integers(0, 10_000), max_size=30)


def cuts(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(stream) + 1) for place in places}), len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


def outcome(dialect: dialects.Dialect, pieces: list[bytes]) -> tuple[Any, ...]:
    assert dialect.stream is not None and dialect.assembly is not None
    reader, assembly, passed = dialect.stream(wants_usage=True), dialect.assembly(), b""
    for piece in pieces:
        more, data = reader.feed(piece)
        passed += more
        for event in data:
            assembly.add(event)
    joined = json.loads(reader.whole or assembly.body(reader.usage))
    return passed, reader.tail, reader.tokens, reader.usage, reader.fault, reader.done, joined


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("script", SCRIPTS, ids=["plain", "thinking", "tool", "text"])
def test_a_stream_cut_at_each_byte_is_the_same_stream(name, script):
    dialect, events = STREAMS[name]
    stream = b"".join(events(script, ASKED))
    at_once = outcome(dialect, [stream])
    assert at_once[4] == "" and at_once[5] and at_once[2] > 0 and at_once[3] is not None
    assert at_once[0] + at_once[1] == stream
    for place in range(1, len(stream)):
        assert outcome(dialect, [stream[:place], stream[place:]]) == at_once


@pytest.mark.parametrize("name", STREAMS)
@given(places=PLACES, number=st.integers(0, len(SCRIPTS) - 1))
def test_whatever_the_pieces_the_answer_is_the_same(name, places, number):
    dialect, events = STREAMS[name]
    stream = b"".join(events(SCRIPTS[number], ASKED))
    assert outcome(dialect, cuts(stream, places)) == outcome(dialect, [stream])


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("script", SCRIPTS[:1] + SCRIPTS[3:], ids=["plain", "text"])
def test_the_joined_stream_says_what_the_whole_answer_says(name, script):
    dialect, events = STREAMS[name]
    joined = outcome(dialect, [b"".join(events(script, ASKED))])[-1]
    text = json.dumps("".join(script.tokens))
    assert text in json.dumps(joined) and text in json.dumps(WHOLE[name](script, ASKED))
    assert (
        dialect.read(json.dumps(joined).encode()).usage.buckets()
        == dialect.read(json.dumps(WHOLE[name](script, ASKED)).encode()).usage.buckets()
    )


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("type", "index", "delta", "content", "tool_calls", "function", "arguments", "choices", "usage"),
                    *(
                        "message",
                        "content_block",
                        "text",
                        "id",
                        "name",
                        "stop_reason",
                        "finish_reason",
                        "response",
                        "item",
                    ),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=6,
)
KINDS = st.sampled_from(
    [
        *("message_start", "message_delta", "message_stop", "content_block_start", "content_block_delta", "error"),
        *("response.created", "response.output_text.delta", "response.output_item.done", "response.completed", "ping"),
    ]
)
EVENTS = st.lists(
    st.tuples(KINDS, st.dictionaries(st.sampled_from(["index", "delta", "message", "choices"]), ODD, max_size=3)),
    max_size=4,
)
busy = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)


@pytest.mark.parametrize("name", STREAMS)
@busy
@given(events=EVENTS, places=PLACES)
def test_nonsense_in_the_right_places_means_the_same_however_it_is_cut(name, events, places):
    dialect, _ = STREAMS[name]
    stream = b"".join(scripted_answers.event({**fields, "type": kind}) for kind, fields in events)
    assert outcome(dialect, cuts(stream, places)) == outcome(dialect, [stream])


@pytest.mark.parametrize(("dialect", "back"), [(MESSAGES, CHAT_AS_MESSAGES), (CHAT, MESSAGES_AS_CHAT)])
@busy
@given(events=EVENTS, body=ODD)
def test_nonsense_is_translated_or_refused_by_name(dialect, back, events, body):
    reader, retold = dialect.stream(wants_usage=True), back.stream(REQUEST)
    for kind, fields in events:
        _, data = reader.feed(scripted_answers.event({**fields, "type": kind}))
        try:
            reading.retell(retold, data)
        except UpstreamGarbage:
            return
    told, tail = retold.close(reader.usage)
    assert tail and isinstance(told, bytes)
    with suppress(UpstreamGarbage):
        json.loads(reading.translate(back, json.dumps(body).encode()))


@pytest.mark.parametrize("name", STREAMS)
@given(
    stream=st.binary(max_size=200) | st.text(alphabet='data: {}[]":,x1\r\n', max_size=60).map(str.encode), places=PLACES
)
def test_arbitrary_bytes_mean_the_same_however_they_are_cut(name, stream, places):
    """But for empty lines between two events and behind the last, which mean nothing."""
    dialect, _ = STREAMS[name]
    at_once, in_pieces = (outcome(dialect, [*pieces, b"\n\n"]) for pieces in ([stream], cuts(stream, places)))
    assert [re.sub(rb"[\r\n]+", b"\n", each).strip(b"\n") for each in in_pieces[:2]] == [
        re.sub(rb"[\r\n]+", b"\n", each).strip(b"\n") for each in at_once[:2]
    ]
    assert in_pieces[2:] == at_once[2:]


@pytest.mark.parametrize("name", STREAMS)
def test_an_event_without_end_is_not_kept(name):
    dialect, _ = STREAMS[name]
    reader = dialect.stream()
    for _ in range(sse.EVENT_BYTES_MAX // 65536 + 2):
        reader.feed(b"x" * 65536)
    assert reader.fault == "garbage"


def test_what_was_delivered_of_a_message_is_counted_when_it_is_cut_off():
    """Its start tells the input and an output of nearly nothing: that is no report of what was used."""
    events = scripted_answers.message_events(Script(tokens=("a",) * 9), ASKED)
    reader = dialects.MESSAGES.stream()
    reader.feed(b"".join(events[:7]))
    assert (reader.usage, reader.tokens, reader.prompt_tokens) == (None, 5, 11)
